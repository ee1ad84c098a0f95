"""What a client can get wrong, as the official SDK shows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx2
import openai
import pytest
from openai import OpenAI

from e2e.sound import tone
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "Hello."}
GOOD_FILE = ("a.wav", tone(1.0))


@pytest.fixture(scope="module")
def asr(fake_asr: RunningServer) -> Iterator[OpenAI]:
    with fake_asr.openai() as client:
        yield client
    fake_asr.expect_no_uploads()


@pytest.fixture(scope="module")
def english_asr(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose model is known to understand English only."""
    folder = str(tmp_path_factory.mktemp("models"))
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="tiny.en", MODEL_DIR=folder, OFFLINE="true") as server:
        yield server


def _check_body(response: httpx2.Response) -> dict[str, str | None]:
    assert response.headers["x-request-id"]
    body: dict[str, dict[str, str | None]] = response.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("fields", "file", "param", "code", "told"),
    [
        ({}, ("a.wav", b"this is no sound at all" * 50), "file", None, ""),
        ({}, ("a.wav", b""), "file", None, "empty"),
        ({}, ("a.wav", tone(0.05)), "file", "audio_too_short", "0.1"),
        ({"response_format": "docx"}, GOOD_FILE, "response_format", "unsupported_value", "verbose_json"),
        ({"temperature": 7}, GOOD_FILE, "temperature", None, "7"),
        ({"temperature": "warm"}, GOOD_FILE, "temperature", None, "warm"),
        ({"language": "klingon"}, GOOD_FILE, "language", None, "klingon"),
        ({"timestamp_granularities[]": "letter"}, GOOD_FILE, "timestamp_granularities", None, "letter"),
    ],
    ids=["garbage", "empty", "short", "format", "hot", "warm", "language", "granularity"],
)
def test_bad_transcriptions(
    asr: OpenAI, fields: dict[str, object], file: tuple[str, bytes], param: str, code: str | None, told: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        asr.audio.transcriptions.create(model="whisper-1", file=file, extra_body=fields)
    error = _check_body(caught.value.response)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert told in str(error["message"])


@pytest.mark.parametrize("field", ["file", "model"])
def test_missing_fields(fake_asr: RunningServer, field: str) -> None:
    sent = {"model": "whisper-1"} if field == "file" else {"language": "en"}
    # The part without a file name is a plain field: it makes the body a multipart form.
    files = {"note": (None, b"no file")} if field == "file" else {"file": GOOD_FILE}
    with fake_asr.http() as client:
        response = client.post("/v1/audio/transcriptions", data=sent, files=files)
    assert response.status_code == 400
    assert _check_body(response)["param"] == field


def test_an_unknown_model(asr_server: RunningServer, tts_server: RunningServer) -> None:
    with asr_server.openai() as asr, tts_server.openai() as tts:
        calls: list[Callable[[], object]] = [
            lambda: asr.audio.transcriptions.create(model="whispr-9", file=GOOD_FILE),
            lambda: asr.audio.translations.create(model="whispr-9", file=GOOD_FILE),
            lambda: asr.models.retrieve("whispr-9"),
            lambda: tts.audio.speech.create(**{**SPEECH, "model": "whispr-9"}),  # type: ignore[arg-type]
        ]
        for call in calls:
            with pytest.raises(openai.NotFoundError) as caught:
                call()
            assert caught.value.code == "model_not_found"
            assert caught.value.param == "model"
            assert "whispr-9" in str(_check_body(caught.value.response)["message"])
    asr_server.expect_no_uploads()


@pytest.mark.parametrize(
    ("change", "param", "told"),
    [
        ({"voice": "darth"}, "voice", "alloy"),
        ({"input": ""}, "input", ""),
        ({"input": " \n\t"}, "input", ""),
        ({"input": "?!"}, "input", "nothing to speak"),
        ({"speed": 9}, "speed", "9"),
        ({"speed": 0.1}, "speed", "0.1"),
        ({"response_format": "midi"}, "response_format", "mp3"),
        ({"input": "a" * 200_001}, "input", "200000"),
    ],
    ids=["voice", "empty", "blank", "unspeakable", "fast", "slow", "format", "long"],
)
def test_bad_speech(tts_server: RunningServer, change: dict[str, object], param: str, told: str) -> None:
    with tts_server.openai() as client, pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{**SPEECH, **change})  # type: ignore[arg-type]
    error = _check_body(caught.value.response)
    assert error["param"] == param
    assert told in str(error["message"])


def test_an_upload_above_the_limit(start_server: StartServer) -> None:
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", ASR_MAX_UPLOAD_MB="1") as server:
        with server.openai() as client, pytest.raises(openai.APIStatusError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(60.0)))
        assert caught.value.status_code == 413
        assert "1048576" in str(_check_body(caught.value.response)["message"])
        server.expect_no_uploads()
        with server.openai() as client:
            assert client.audio.transcriptions.create(model="whisper-1", file=GOOD_FILE).text


def test_keys(start_server: StartServer) -> None:
    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake", API_KEYS="sk-one,sk-two") as server:
        for key, is_known in {"sk-one": True, "sk-two": True, "sk-three": False}.items():
            with server.openai(key) as client:
                if is_known:
                    assert client.audio.speech.create(**SPEECH).content  # type: ignore[arg-type]
                    continue
                with pytest.raises(openai.AuthenticationError) as caught:
                    client.audio.speech.create(**SPEECH)  # type: ignore[arg-type]
        error = _check_body(caught.value.response)
        assert error["code"] == "invalid_api_key"
        assert "sk-three" not in str(error["message"])
        with server.http() as plain:
            assert plain.get("/health").status_code == 200
            assert plain.get("/v1/models").status_code == 401


def test_routes_that_are_none(fake_asr: RunningServer, fake_tts: RunningServer) -> None:
    for server, path in ((fake_asr, "/v1/audio/transcriptions"), (fake_tts, "/v1/audio/speech")):
        with server.http() as client:
            missing = client.post("/v1/audio/nonsense")
            wrong = client.get(path)
        assert missing.status_code == 404
        assert "/v1/audio/nonsense" in str(_check_body(missing)["message"])
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "POST"
        _check_body(wrong)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/audio/translations", {}, "model"),
        ("/v1/audio/transcriptions", {"language": "de"}, "language"),
        ("/v1/audio/transcriptions", {"languages[]": "de"}, "languages"),
        ("/v1/audio/transcriptions", {"language": "de", "background": "true"}, "language"),
    ],
)
def test_what_a_model_cannot_do_is_said_before_it_is_loaded(
    english_asr: RunningServer, path: str, fields: dict[str, str], param: str
) -> None:
    with english_asr.http() as client:
        answer = client.post(path, data={"model": "whisper-1", **fields}, files={"file": GOOD_FILE})
    assert answer.status_code == 400, answer.text
    error = _check_body(answer)
    assert (error["param"], error["code"]) == (param, "unsupported_value")
    assert "tiny.en" in str(error["message"])
    assert "base" in str(error["message"])
    assert english_asr.engines() == []
