"""What the fields beyond the plainest do to an answer, on a real model."""

import json
from collections.abc import Callable, Iterator

import httpx2
import pytest

from e2e.sound import samples_of, wrap_pcm
from running_server import RunningServer

URL = "/v1/audio/transcriptions"
TEXT = "Please water the plants in the kitchen. Then call Zyxlophane."
Spoken = Callable[[str], bytes]
Ask = Callable[..., httpx2.Response]


@pytest.fixture(scope="module")
def ask(asr_server: RunningServer, spoken: Spoken) -> Iterator[Ask]:
    """`ask(name="value", path=..., sound=...)`: an answer."""
    with asr_server.http() as client:

        def send(path: str = URL, sound: bytes | None = None, **fields: str) -> httpx2.Response:
            file = ("a.wav", sound or spoken(TEXT))
            response = client.post(path, data={"model": "whisper-1", **fields}, files={"file": file})
            assert response.status_code == 200, response.text
            return response

        yield send


def test_keywords_are_heard(ask: Ask) -> None:
    assert "Zyxlophane" not in ask().json()["text"]
    for name in ("keywords", "keywords[]", "hotwords"):
        assert "Zyxlophane" in ask(**{name: "Zyxlophane"}).json()["text"], name


def test_the_language_is_one_of_the_candidates(ask: Ask) -> None:
    assert ask(languages='["de", "fr", "en"]').json()["languages"] == [{"code": "en"}]
    assert ask(languages='["de", "fr"]').json()["languages"][0]["code"] in {"de", "fr"}
    assert ask(languages="fr").json()["languages"] == [{"code": "fr"}]
    assert "languages" not in ask().json()
    # A language that is given leaves nothing to find.
    assert ask(languages="fr", language="en", response_format="verbose_json").json()["language"] == "english"


def test_usage_is_that_of_the_model_asked_for(ask: Ask) -> None:
    duration_s = ask(response_format="verbose_json").json()["duration"]
    assert ask().json()["usage"]["type"] == "duration"
    assert 0 <= ask().json()["usage"]["seconds"] - duration_s < 1
    tokens = ask(model="gpt-4o-transcribe").json()["usage"]
    assert tokens["total_tokens"] == tokens["input_tokens"] + tokens["output_tokens"]
    assert tokens["output_tokens"] > len(TEXT.split())


def test_log_probabilities_of_the_tokens(ask: Ask) -> None:
    body = ask(include="logprobs").json()
    assert bytes(byte for token in body["logprobs"] for byte in token["bytes"]).decode().strip() == body["text"]
    by_token = {token["token"]: token["logprob"] for token in body["logprobs"]}
    assert by_token[" plants"] > -0.1
    assert min(by_token.values()) < -0.5, "an unknown name is as sure as a common word"
    # On some processors this model hears nothing in English that it takes for Japanese.
    several = ask(include="logprobs", language="ja").json().get("logprobs", [])
    assert all(token["logprob"] <= 0 for token in several)


def test_the_vad_is_the_request_s(ask: Ask, spoken: Spoken) -> None:
    samples, rate = samples_of(spoken(TEXT))
    late = wrap_pcm(bytes(2 * rate * 5) + samples.tobytes(), rate)

    def speech_s(**fields: str) -> float:
        return float(ask(f"{URL}/verbose", late, **fields).json()["speech_duration"])

    plain_s = speech_s()
    assert 2 < plain_s < samples.size / rate + 0.5
    assert speech_s(vad_filter="false") == pytest.approx(5 + samples.size / rate, abs=0.2)
    assert speech_s(vad_threshold="0.99") < plain_s
    assert speech_s(vad_parameters='{"min_speech_duration_ms": 60000}') == 0


def test_verbose_holds_everything(ask: Ask) -> None:
    answer = ask(f"{URL}/verbose", response_format="srt", include="logprobs", stream="true")
    body = answer.json()
    assert body["text"] == ask().json()["text"]
    assert (body["task"], body["language"], body["language_code"]) == ("transcribe", "english", "en")
    assert 0.5 < body["language_probability"] <= 1
    assert 0 < body["speech_duration"] <= body["duration"] + 0.1
    assert body["model"] == "base"
    assert body["processing"]["run_s"] > 0
    assert body["usage"]["type"] == "duration"
    assert [word for segment in body["segments"] for word in segment["words"]] == body["words"]
    assert [word["word"] for word in body["words"]] == body["text"].split()
    assert all(0 < word["probability"] <= 1 for word in body["words"])
    assert body["logprobs"]


def test_lines(ask: Ask) -> None:
    verbose = ask(response_format="verbose_json").json()
    header, *rows = ask(response_format="tsv").text.splitlines()
    assert header == "start\tend\ttext"
    assert [row.split("\t") for row in rows] == [
        [str(round(part["start"] * 1000)), str(round(part["end"] * 1000)), part["text"].strip()]
        for part in verbose["segments"]
    ]
    lines = ask(response_format="jsonl", word_timestamps="true").text.splitlines()
    assert [json.loads(line)["text"] for line in lines] == [part["text"] for part in verbose["segments"]]
    assert all(json.loads(line)["words"] for line in lines)
    assert ask(response_format="lrc").text.startswith("[00:0")


def test_translations_in_every_format(ask: Ask) -> None:
    path = "/v1/audio/translations"
    text = ask(path).json()["text"]
    assert ask(path).json().keys() == {"text"}
    assert ask(path, response_format="text").text == f"{text}\n"
    assert ask(path, response_format="srt").text.startswith("1\n00:00:0")
    assert ask(path, response_format="vtt").text.startswith("WEBVTT\n\n00:00:0")
    verbose = ask(path, response_format="verbose_json").json()
    assert (verbose["task"], verbose["language"], verbose["text"]) == ("translate", "english", text)
    assert ask(path, language="en").headers["x-ignored-fields"] == "language"
