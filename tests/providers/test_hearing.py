"""Providers that hear in place of an engine: what they are asked, what becomes of their answers, what goes wrong."""

import json
import logging
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
from openai import OpenAI
from starlette.responses import JSONResponse, Response

from providers.hearing_stand_ins import HearingStandIn, hearing_stand_in, words_of
from providers.serving import serve
from running_server import wait_until
from voice_stack.asr.app import create_app
from voice_stack.asr.providers.workload import WIRES
from voice_stack.asr.settings import AsrSettings
from voice_stack.core import provider_client

KEY = "sk-made-up-0123456789"  # pragma: allowlist secret
SOUND_S = 6.2
WORDS = [word for word, _, _ in words_of(SOUND_S)]
TEXT = " ".join(WORDS)
WHISPER, SCRIBE, NOVA = "openai/whisper-1", "elevenlabs/scribe_v1", "deepgram/nova-3"
EACH = (WHISPER, SCRIBE, NOVA)
SENTENCES = ["One two.", "Three four.", "Five six.", "Seven eight.", "Nine ten.", "One two."]


@contextmanager
def _serve(url: str, folder: Path, **settings: object) -> Iterator[httpx2.Client]:
    """An ASR server of this process whose providers are the stand-in."""
    keys = {f"provider_{name}_key": KEY for name in ("openai", "elevenlabs", "deepgram")}
    urls = {f"provider_{name}_url": url for name in ("openai", "elevenlabs", "deepgram")}
    own: dict[str, object] = {"engine": "fake", "model": "fake", "preload": False, "speaker_model": "fake"}
    folders = {"jobs_dir": folder / "jobs", "model_dir": folder / "models", "spool_dir": folder / "spool"}
    with serve(create_app(AsrSettings.read(**{**own, **keys, **urls, **folders, **settings}))) as client:
        yield client


@pytest.fixture(scope="module")
def stand_in() -> Iterator[HearingStandIn]:
    with hearing_stand_in() as running:
        yield running


@pytest.fixture(scope="module")
def client(stand_in: HearingStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provider_client, "RETRY_WAITS_S", (0.0, 0.0))
        patch.setattr(provider_client, "READ_TIMEOUT_S", 5.0)
        providers = ["openai", "elevenlabs/scribe_*", "deepgram/nova-3"]
        with _serve(stand_in.url, tmp_path_factory.mktemp("asr"), providers=providers) as serving:
            yield serving


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, which the stand-ins hear by its length alone."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(44_100)
        noise = np.random.default_rng(0).normal(0, 2000, (round(44_100 * SOUND_S), 2))
        sound.writeframes(noise.astype("<i2").tobytes())
    return path


def _ask(
    client: httpx2.Client, path: Path, model: str, task: str = "transcriptions", **fields: str | list[str]
) -> httpx2.Response:
    return client.post(f"/audio/{task}", files={"file": path.read_bytes()}, data={"model": model, **fields})


@pytest.mark.parametrize("model", EACH)
def test_a_file_is_heard_whole_in_one_request(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path, model: str
) -> None:
    del stand_in.asked[:]
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    answer = _ask(client, speech, model, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-provider"] == model.partition("/")[0]
    assert "x-fallback" not in answer.headers
    body = answer.json()
    assert (body["text"], body["language"], body["duration"]) == (TEXT, "english", pytest.approx(SOUND_S, abs=0.01))
    assert [part["text"].strip() for part in body["segments"]] == SENTENCES
    assert [(word["word"], word["start"], word["end"]) for word in body["words"]] == [
        (word, start, pytest.approx(end)) for word, start, end in words_of(SOUND_S)
    ]
    (asked,) = stand_in.asked
    assert (asked.sound_s, asked.media_type) == (pytest.approx(SOUND_S, abs=0.01), "audio/flac")
    assert KEY in "".join(asked.headers.get(name, "") for name in ("authorization", "xi-api-key"))


@pytest.mark.parametrize("model", [*EACH, "openai/gpt-4o-transcribe-diarize"])
@pytest.mark.parametrize("shown", ["text", "srt", "vtt", "tsv", "jsonl", "lrc"])
def test_every_format_has_all_words(
    client: httpx2.Client, speech: Path, stand_in: HearingStandIn, model: str, shown: str
) -> None:
    answer = _ask(client, speech, model, response_format=shown)
    assert answer.status_code == 200, answer.text
    for sentence in SENTENCES:
        assert sentence in answer.text
    assert "word" in stand_in.last.fields.get("timestamp_granularities[]", ["word"]) or shown not in {"srt", "vtt"}


@pytest.mark.parametrize("model", [SCRIBE, NOVA, "openai/gpt-4o-transcribe-diarize"])
def test_the_speakers_are_the_providers(
    client: httpx2.Client, speech: Path, stand_in: HearingStandIn, model: str
) -> None:
    answer = _ask(client, speech, model, response_format="diarized_json", num_speakers="2")
    assert answer.status_code == 200, answer.text
    told = [(part["speaker"], part["text"], part["start"]) for part in answer.json()["segments"]]
    assert told == [("AB"[n % 2], sentence, float(n)) for n, sentence in enumerate(SENTENCES)]
    heeds_count = model == SCRIBE
    assert (stand_in.last.fields.get("num_speakers") == ["2"]) is heeds_count
    assert ("num_speakers" in answer.headers.get("x-ignored-fields", "")) is not heeds_count


def test_speakers_that_a_provider_does_not_tell_are_told_here(client: httpx2.Client, speech: Path) -> None:
    answer = _ask(client, speech, WHISPER, response_format="diarized_json")
    assert answer.status_code == 200, answer.text
    assert "".join(part["text"] for part in answer.json()["segments"]).replace(" ", "") == TEXT.replace(" ", "")
    assert answer.headers["x-provider"] == "openai"


@pytest.mark.parametrize(
    ("model", "asked", "ignored"),
    [
        (
            WHISPER,
            {
                "language": ["de"],
                "prompt": ["Anna, Bob. Ein Satz."],
                "temperature": ["0.4"],
                "response_format": ["verbose_json"],
            },
            {"beam_size", "vad_filter"},
        ),
        (
            "openai/gpt-4o-transcribe",
            {
                "language": ["de"],
                "prompt": ["Anna, Bob. Ein Satz."],
                "temperature": ["0.4"],
                "response_format": ["json"],
            },
            {"beam_size", "vad_filter"},
        ),
        (
            SCRIBE,
            {
                "language_code": ["deu"],
                "keyterms": ["Anna", "Bob"],
                "temperature": ["0.4"],
                "tag_audio_events": ["false"],
            },
            {"beam_size", "vad_filter", "prompt"},
        ),
        (
            NOVA,
            {"language": ["de"], "keyterm": ["Anna", "Bob"], "smart_format": ["true"]},
            {"beam_size", "vad_filter", "prompt", "temperature"},
        ),
    ],
)
def test_what_a_provider_has_is_asked_of_it_and_the_rest_is_said(
    client: httpx2.Client,
    stand_in: HearingStandIn,
    speech: Path,
    model: str,
    asked: Mapping[str, list[str]],
    ignored: set[str],
) -> None:
    fields = {"language": "german", "prompt": "Ein Satz.", "temperature": "0.4"}
    fields |= {"beam_size": "2", "vad_filter": "true", "nonsense": "1"}
    answer = _ask(client, speech, model, **{"keywords[]": ["Anna", "Bob"]}, **fields)
    assert answer.status_code == 200, answer.text
    assert set(answer.headers["x-ignored-fields"].split(", ")) == {*ignored, "nonsense"}
    assert {name: stand_in.last.fields[name] for name in asked} == asked


def test_translations_are_openais_alone(client: httpx2.Client, stand_in: HearingStandIn, speech: Path) -> None:
    answer = _ask(client, speech, WHISPER, "translations", response_format="srt", prompt="A sample.")
    assert answer.status_code == 200, answer.text
    assert (stand_in.last.path, stand_in.last.fields["prompt"]) == ("/v1/audio/translations", ["A sample."])
    assert "Nine ten." in answer.text
    for model in (SCRIBE, NOVA, "openai/gpt-4o-transcribe"):
        refused = _ask(client, speech, model, "translations")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
        assert "cannot translate" in refused.json()["error"]["message"]


def test_a_model_without_times_shows_none(client: httpx2.Client, speech: Path) -> None:
    model = "openai/gpt-4o-transcribe"
    answer = _ask(client, speech, model, **{"include[]": "logprobs"})
    assert answer.json()["text"] == TEXT
    assert len(answer.json()["logprobs"]) == len(WORDS)
    for shown in ({"response_format": "srt"}, {"response_format": "verbose_json"}, {"diarize": "true"}):
        refused = _ask(client, speech, model, **shown)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")
        assert "gives no times" in refused.json()["error"]["message"]
    job = _ask(client, speech, model, background="true").json()
    wait_until(lambda: client.get(f"/jobs/{job['id']}").json()["status"] == "completed", 30, "the job is done")
    result = client.get(f"/jobs/{job['id']}/result")
    assert (result.json()["text"], "no times" in result.headers["x-warnings"]) == (TEXT, True)


def test_a_stream_has_the_same_words(client: httpx2.Client, speech: Path) -> None:
    openai = OpenAI(base_url=str(client.base_url), api_key="unused", max_retries=0)
    with speech.open("rb") as file:
        events = list(openai.audio.transcriptions.create(model=NOVA, file=file, stream=True))
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert deltas == events[-1].text == TEXT  # type: ignore[union-attr]


def test_a_job_of_a_provider_is_shown_cancelled_and_told(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path
) -> None:
    job = _ask(client, speech, SCRIBE, background="true").json()
    wait_until(lambda: client.get(f"/jobs/{job['id']}").json()["status"] == "completed", 30, "the job is done")
    done = client.get(f"/jobs/{job['id']}").json()
    assert (done["percent"], done["model"], done["language"]) == (100.0, SCRIBE, "en")
    assert "Nine ten." in client.get(f"/jobs/{job['id']}/result?response_format=srt").text
    stand_in.delay_s = 20.0
    try:
        job = _ask(client, speech, SCRIBE, background="true").json()
        wait_until(lambda: stand_in.at_once == 1, 10, "the provider has it")
        assert client.get(f"/jobs/{job['id']}").json()["status"] == "running"
        assert client.delete(f"/jobs/{job['id']}").json()["status"] == "cancelled"
        wait_until(lambda: stand_in.left == 1, 10, "the provider hears that nobody waits")
    finally:
        stand_in.delay_s = 0.0


def _verbose(text: str, segments: object = None, **more: object) -> Response:
    body: dict[str, object] = {"text": text, "language": "english", "duration": SOUND_S, "segments": segments}
    return JSONResponse(body | more)


def _segment(text: str, start: float, end: float) -> dict[str, object]:
    return {"text": text, "start": start, "end": end}


HALF = Response(b'{"text": "One two. Thr', headers={"content-length": "400"})
GOOD_SEGMENT = _segment(" One two.", 0.0, 1.0)
LIES = {
    "garbage": Response(b"\x00\xff<html>"),
    "a list": JSONResponse([1, 2]),
    "no text": JSONResponse({"segments": []}),
    "text that no segment has": _verbose("One two. Three four.", [GOOD_SEGMENT]),
    "segments and no text": _verbose("", [GOOD_SEGMENT]),
    "a text without segments": _verbose("One two."),
    "times that run backwards": _verbose("a b", [_segment("a", 3.0, 4.0), _segment(" b", 1.0, 2.0)]),
    "an end before its start": _verbose("a", [_segment("a", 3.0, 1.0)]),
    "times beyond the file": _verbose("a b", [_segment("a", 1.0, 2.0), _segment(" b", 9.0, 9.5)]),
    "times that are no numbers": Response(b'{"text": "a", "segments": [{"text": "a", "start": NaN, "end": 1}]}'),
    "half of the file": _verbose("One two.", [GOOD_SEGMENT], duration=3.0),
    "no words": _verbose("One two.", [GOOD_SEGMENT]),
    "a word less": _verbose("One two.", [GOOD_SEGMENT], words=[{"word": "One", "start": 0.0, "end": 0.4}]),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_cannot_be_so_is_an_error(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path, lie: str
) -> None:
    stand_in.next_answers.append(LIES[lie])
    granularity = "word" if "word" in lie else "segment"
    shown = {"response_format": "verbose_json", "timestamp_granularities[]": granularity}
    answer = _ask(client, speech, WHISPER, **shown)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_failed"), answer.text
    assert "openai" in answer.json()["error"]["message"]
    assert not stand_in.next_answers


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (SCRIBE, {"text": "One two. Three", "words": [{"text": "One", "start": 0.0, "end": 0.4}]}),
        (SCRIBE, {"text": "One", "words": []}),
        (SCRIBE, {"text": "One", "words": [{"text": "One", "type": "word"}]}),
        (NOVA, {"results": {"channels": []}}),
        (NOVA, {"results": {"channels": [{"alternatives": [{"transcript": "One two."}]}]}}),
        (NOVA, {"metadata": {"duration": 2.0}, "results": {"channels": [{"alternatives": [{"transcript": ""}]}]}}),
    ],
)
def test_the_same_of_providers_whose_sentences_are_found_here(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path, model: str, answer: object
) -> None:
    stand_in.next_answers.append(JSONResponse(answer))
    refused = _ask(client, speech, model, response_format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "provider_failed"), refused.text


def test_an_answer_that_breaks_off_is_asked_for_again(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path
) -> None:
    del stand_in.asked[:]
    stand_in.next_answers.append(HALF)
    answer = _ask(client, speech, NOVA)
    assert answer.json()["text"] == TEXT
    assert [asked.size for asked in stand_in.asked] == [stand_in.last.size] * 2


def test_a_sentence_that_ends_with_whispers_window_ends_with_the_file(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path
) -> None:
    stand_in.next_answers.append(_verbose("One two.", [_segment(" One two.", 5.0, 30.0)]))
    answer = _ask(client, speech, WHISPER, response_format="verbose_json")
    assert answer.json()["segments"][0]["end"] == pytest.approx(SOUND_S, abs=0.01)
    assert "drawn back" in answer.headers["x-warnings"]


def test_cues_without_words_go_by_segments_and_say_so(
    client: httpx2.Client, stand_in: HearingStandIn, speech: Path
) -> None:
    stand_in.next_answers.append(_verbose("One two.", [GOOD_SEGMENT]))
    answer = _ask(client, speech, WHISPER, response_format="srt")
    assert "One two." in answer.text
    assert answer.headers["x-fallback"] == "words"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "provider_auth"), (402, "provider_quota"), (429, "provider_busy"), (500, "provider_failed")],
)
def test_trouble_at_a_provider_has_a_status_of_its_own_and_no_key_in_it(
    client: httpx2.Client,
    stand_in: HearingStandIn,
    speech: Path,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = JSONResponse({"error": {"message": f"trouble with {KEY}"}}, status)
    stand_in.next_answers.extend([wrong] * (3 if status in {429, 500} else 1))
    answer = _ask(client, speech, WHISPER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503 if status == 429 else 502, code)
    assert ("retry-after" in answer.headers) is (status == 429)
    told = caplog.text + "".join(json.dumps(record.__dict__, default=repr) for record in caplog.records)
    assert "provider" in told
    assert KEY not in told + answer.text + str(answer.headers)


def test_a_file_that_is_none_or_too_large_leaves_nothing_and_asks_nobody(
    client: httpx2.Client,
    stand_in: HearingStandIn,
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del stand_in.asked[:]
    (tmp_path / "text.wav").write_bytes(b"RIFF, but no more of it" * 40)
    refused = _ask(client, tmp_path / "text.wav", NOVA)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "file")
    monkeypatch.setattr(type(WIRES["openai"]), "max_bytes", 1000)
    large = _ask(client, speech, WHISPER)
    assert large.status_code == 413
    assert "hours of speech" in large.json()["error"]["message"]
    assert stand_in.asked == []


def test_only_what_is_allowed_is_listed_and_used(client: httpx2.Client, stand_in: HearingStandIn, speech: Path) -> None:
    listed = {model["id"]: model["owned_by"] for model in client.get("/models").json()["data"]}
    assert {name: owner for name, owner in listed.items() if owner != "voice-stack"} == {
        "openai/whisper-1": "openai",
        "openai/gpt-4o-transcribe": "openai",
        "openai/gpt-4o-mini-transcribe": "openai",
        "openai/gpt-4o-transcribe-diarize": "openai",
        "elevenlabs/scribe_v1": "elevenlabs",
        "elevenlabs/scribe_v2": "elevenlabs",
        "deepgram/nova-3": "deepgram",
    }
    assert client.get("/models/openai%2Fwhisper-large-v3").json()["owned_by"] == "openai"
    del stand_in.asked[:]
    assert _ask(client, speech, "deepgram/nova-2").status_code == 404
    assert client.get("/models/whisper-1").json()["owned_by"] == "voice-stack"
    assert stand_in.asked == []
    assert client.post("/models/deepgram/nova-3").status_code == 200


def test_live_sessions_and_alignments_stay_here(client: httpx2.Client, stand_in: HearingStandIn, speech: Path) -> None:
    del stand_in.asked[:]
    refused = _ask(client, speech, WHISPER, "alignments", text="One two.")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    headers["sec-websocket-key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    answer = client.get(f"/realtime?intent=transcription&model={WHISPER}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert "Live sessions need a model of this server" in answer.json()["error"]["message"]
    assert stand_in.asked == []


def test_bazarr_gets_the_language_and_the_subtitles_of_a_provider(
    stand_in: HearingStandIn, speech: Path, tmp_path: Path
) -> None:
    with _serve(stand_in.url, tmp_path, providers=["deepgram"], model=NOVA) as client:
        base, files = str(client.base_url).replace("/v1/", ""), {"audio_file": speech.read_bytes()}
        found = client.post(f"{base}/detect-language", files=files)
        assert found.json()["language_code"] == "en", found.text
        made = client.post(f"{base}/asr?output=srt&language=en&task=transcribe", files=files)
        assert "Nine ten." in made.text
        assert made.headers["asr-engine"] == "deepgram/nova-3"


def test_a_model_of_this_server_stands_in_for_a_provider_that_fails(
    stand_in: HearingStandIn, speech: Path, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"providers": ["openai/whisper-1"], "model": WHISPER, "fallback_model": "fake"}
    with _serve(stand_in.url, tmp_path, **settings) as client:
        assert _ask(client, speech, "whisper-1").headers["x-provider"] == "openai"
        stand_in.next_answers.append(JSONResponse({"error": {"message": "no"}}, 401))
        answer = _ask(client, speech, "whisper-1")
        assert (answer.status_code, answer.headers["x-fallback-model"]) == (200, "fake")
        assert "x-provider" not in answer.headers
        stand_in.next_answers.append(LIES["half of the file"])
        assert _ask(client, speech, "whisper-1").headers["x-fallback-model"] == "fake"


def test_metrics_name_the_provider_and_nothing_the_key(client: httpx2.Client, speech: Path) -> None:
    _ask(client, speech, NOVA)
    base = str(client.base_url).replace("/v1/", "")
    for path in ("/status", "/metrics", "/health", "/openapi.json"):
        assert KEY not in client.get(base + path).text, path
    assert 'engine="deepgram",model="nova-3"' in client.get(base + "/metrics").text
