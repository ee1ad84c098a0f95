"""A file in which the language changes: each part is written in its own."""

import json

import jiwer
import numpy as np
import openai
import pytest
from whisper_normalizer.basic import BasicTextNormalizer

from kokoro_speech import say, to_wav
from running_server import RunningServer
from voice_stack.tts.engine.kokoro import KokoroEngine

ENGLISH = "The old lighthouse stands on a rocky island, two miles from the harbour. It costs $43,000 a year."
FRENCH = "Demain matin, les enfants de l'école viendront visiter le jardin de ma grand-mère. Ils arrivent à dix heures."
MAX_WORD_ERROR_RATE = 0.25


@pytest.fixture(scope="module")
def both(kokoro: KokoroEngine) -> bytes:
    english, french = say(kokoro, ENGLISH, "bf_emma", "en"), say(kokoro, FRENCH, "ff_siwis", "fr")
    pause = np.zeros(16_000, np.float32)
    return to_wav(np.concatenate([english.samples, pause, french.samples]))


def transcribe(server: RunningServer, sound: bytes, **fields: object) -> dict[str, object]:
    form = {"model": "whisper-1", "response_format": "verbose_json", **fields}
    with server.http() as client:
        answer = client.post("/v1/audio/transcriptions", data=form, files={"file": ("speech.wav", sound)})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = json.loads(answer.text)
    return body


def said_in(body: dict[str, object], language: str) -> str:
    segments = body["segments"]
    assert isinstance(segments, list)
    return "".join(segment["text"] for segment in segments if segment["language"] == language)


def word_error_rate(expected: str, heard: str) -> float:
    normalise = BasicTextNormalizer()
    return float(jiwer.wer(normalise(expected), normalise(heard)))


def test_each_language_is_written_as_it_is_spoken(asr_server: RunningServer, both: bytes) -> None:
    body = transcribe(asr_server, both, **{"timestamp_granularities[]": ["word", "segment"]})
    assert word_error_rate(ENGLISH, said_in(body, "en")) <= MAX_WORD_ERROR_RATE, body["text"]
    assert word_error_rate(FRENCH, said_in(body, "fr")) <= MAX_WORD_ERROR_RATE, body["text"]
    languages, words, text = body["languages"], body["words"], body["text"]
    assert isinstance(languages, list)
    assert sorted(language["code"] for language in languages) == ["en", "fr"]
    assert isinstance(words, list)
    assert " ".join(word["word"] for word in words) == text
    assert {word["language"] for word in words} == {"en", "fr"}


def test_a_file_can_be_held_to_one_language(asr_server: RunningServer, both: bytes) -> None:
    for fields in ({"multilingual": "false"}, {"language": "en"}, {"languages[]": ["en"]}):
        body = transcribe(asr_server, both, **fields)
        assert body["languages"] == [{"code": "en"}], fields
        assert said_in(body, "fr") == ""


def test_openais_client_reads_it(asr_server: RunningServer, both: bytes) -> None:
    client = openai.OpenAI(base_url=f"{asr_server.url}/v1", api_key="none")
    found = client.audio.transcriptions.create(
        model="whisper-1", file=("speech.wav", both), response_format="verbose_json"
    )
    assert found.language in {"english", "french"}
    assert "jardin" in found.text
    assert found.segments
    assert {segment.model_dump()["language"] for segment in found.segments} == {"en", "fr"}
