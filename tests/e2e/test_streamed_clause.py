"""A clause that an engine hands out while it makes it: heard at once, and the same speech as one that is made whole."""

import json
import time

import numpy as np
import pytest

from running_server import RunningServer

# One clause of 60 characters, 3.6 s of sound, in eight pieces with half a second between them.
CLAUSE = "Say this sentence of sixty characters by and by pieces=0.5."
REST = "And this one at the end in one go."


def ask(server: RunningServer, text: str, **fields: object) -> tuple[bytes, float]:
    """The samples of a speech, and for how many seconds more it was made after its beginning had come."""
    body = {"model": "tts-1", "input": text, "response_format": "pcm", "cache": False, **fields}
    with server.http() as client, client.stream("POST", "/v1/audio/speech", json=body) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        first, began = next(pieces), time.monotonic()
        return first + b"".join(pieces), time.monotonic() - began


@pytest.fixture(scope="module")
def streamed(fake_tts: RunningServer) -> tuple[bytes, float]:
    return ask(fake_tts, f"{CLAUSE} {REST}")


def test_it_is_heard_while_it_is_made(streamed: tuple[bytes, float]) -> None:
    assert streamed[1] > 2.0


def test_it_lasts_as_long_as_the_whole_one(fake_tts: RunningServer, streamed: tuple[bytes, float]) -> None:
    whole, _ = ask(fake_tts, f"{CLAUSE} {REST}", stream=False)
    assert len(streamed[0]) / 48_000 == pytest.approx(len(whole) / 48_000, abs=0.02)


def test_its_pieces_meet_without_a_break(streamed: tuple[bytes, float]) -> None:
    clause = streamed[0][: round(0.06 * len(CLAUSE) * 48_000) // 2 * 2]
    samples = np.frombuffer(clause, "<i2").astype(np.float64)
    period = round(24_000 / 220)  # of the tone
    levels = np.sqrt(np.mean(samples[: samples.size // period * period].reshape(-1, period) ** 2, axis=1))
    inside = levels[10:-10]  # without the fades at its ends
    assert inside.min() > 0.8 * inside.max()


def test_its_times_are_those_of_the_whole_clause(fake_tts: RunningServer) -> None:
    body = {"model": "tts-1", "input": f"{CLAUSE} {REST}", "stream_format": "sse", "timestamps": True, "cache": False}
    with fake_tts.http() as client:
        lines = client.post("/v1/audio/speech", json=body).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    first, second = (event for event in events if event["type"] == "speech.timestamps")
    assert (first["text"], second["text"]) == (CLAUSE, REST)
    assert 0 <= first["start"] < 0.1
    assert first["end"] == pytest.approx(0.06 * len(CLAUSE), abs=0.2)
    assert first["end"] < second["start"] < second["end"]


def test_words_are_known_before_the_rest_of_their_clause_is_made(tts_server: RunningServer) -> None:
    text = "The museum opens at ten in the morning and closes at six."
    body = {"model": "tts-1", "input": text, "stream_format": "sse", "timestamps": True, "cache": False}
    with tts_server.http() as client:
        # The first clause of a voice is made whole: its loudness is measured on it.
        client.post("/v1/audio/speech", json={**body, "stream_format": "audio"}).raise_for_status()
        lines = client.post("/v1/audio/speech", json=body).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    kinds = [event["type"] for event in events]
    assert kinds.index("speech.timestamps") < kinds.index("speech.audio.delta")
    assert kinds.count("speech.audio.delta") >= 3
    (times,) = (event for event in events if event["type"] == "speech.timestamps")
    assert [word["word"] for word in times["words"]] == text.split()
    starts = [word["start"] for word in times["words"]]
    assert starts == sorted(starts)
    audio_s = next(event for event in events if event["type"] == "speech.audio.done")["usage"]["output_tokens"] / 20
    assert 2 < starts[-1] < times["end"] <= audio_s + 0.1
