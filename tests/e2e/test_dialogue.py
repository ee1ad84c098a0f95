"""Marks in a text: other speakers, on other engines too, and pauses."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import pytest
from numpy.typing import NDArray

from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
RATE = 24_000
BLOCK = 1200  # samples: 50 ms
PIPER = "en_US-joe-medium"


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    """Hums by default, at 220 Hz; Piper's voice is there, too."""
    with start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake") as started:
        yield started


def speak(server: RunningServer, text: str, **fields: object) -> NDArray[np.float32]:
    body = {"model": "tts-1", "voice": "fake", "input": text, "response_format": "pcm", **fields}
    with server.http() as client:
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<i2").astype(np.float32) / 32768


def describe(samples: NDArray[np.float32]) -> str:
    """What is heard, block by block: `h` is humming, `.` is silence, `s` is anything else; runs are one letter."""
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    spectra = np.abs(np.fft.rfft(blocks * np.hanning(BLOCK), axis=1)) ** 2
    hum_bin = round(220 * BLOCK / RATE)
    hum = spectra[:, hum_bin - 2 : hum_bin + 3].sum(axis=1) / (spectra.sum(axis=1) + 1e-9)
    loud = np.sqrt((blocks**2).mean(axis=1)) > 0.003
    heard = np.where(hum > 0.95, "h", "s")
    return "".join(np.where(loud, heard, "."))


def test_a_speaker_of_another_engine_takes_a_turn(server: RunningServer) -> None:
    text = f"Once upon a time. [voice:{PIPER}] The boats come back at five in the morning. [voice] That was long ago."
    heard = describe(speak(server, text))
    # A block in which a sound ends is neither. Nobody falls into another's word.
    turns = re.fullmatch(r"\.*h{8,}s?\.{3,}(s[hs.]*s)\.{3,}s?h{8,}s?\.*", heard)
    assert turns, heard
    assert len(turns[1]) * BLOCK / RATE == pytest.approx(2.4, abs=0.9)


def test_a_pause_is_as_long_as_it_says(server: RunningServer) -> None:
    def silence_s(text: str) -> float:
        heard = describe(speak(server, text))
        return max(map(len, heard.replace("s", "h").strip(".").split("h"))) * BLOCK / RATE

    assert silence_s("One two three. [pause:1.5s] Four five six.") == pytest.approx(1.5, abs=0.11)
    assert silence_s("One two three [Pause: 800 ms] four five six.") == pytest.approx(0.8, abs=0.11)
    assert silence_s("One two three. Four five six.") < 0.6


def test_a_pause_may_end_and_begin_a_text(server: RunningServer) -> None:
    samples = speak(server, "[pause:1s] One two three. [pause:2s]")
    heard = describe(samples)
    assert (len(heard) - len(heard.lstrip("."))) * BLOCK / RATE == pytest.approx(1.0, abs=0.11)
    assert (len(heard) - len(heard.rstrip("."))) * BLOCK / RATE == pytest.approx(2.0, abs=0.11)


def test_an_unknown_speaker_is_refused_before_the_first_byte(server: RunningServer) -> None:
    with server.http() as client:
        body = {"model": "tts-1", "voice": "fake", "input": "Hello. [voice:nobody] Who is there?"}
        answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    assert "'nobody' does not exist" in answer.json()["error"]["message"]
    assert PIPER in answer.json()["error"]["message"]


@pytest.mark.parametrize("text", ["See [1] and [voice:] here.", "A [link](pause:5s) here.", "Take [voice over] off."])
def test_what_is_no_mark_is_text(server: RunningServer, text: str) -> None:
    heard = describe(speak(server, text))
    assert "s" not in heard
    assert heard.count("h") * BLOCK / RATE > 0.6
