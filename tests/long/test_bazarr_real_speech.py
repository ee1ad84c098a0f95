"""A film with a real model: words, times, language."""

import json
import re
from functools import cache

import numpy as np

from asr.bazarr.film import DETECT, asr_target
from asr.bazarr.wire import post
from conftest import StartServer
from piper_speech import RATE, speak
from running_server import RunningServer

TEXT = "The committee met on Tuesday to discuss the new bridge. Work on it will begin in the spring."
LATE_S = 7.5
"""Exact zeros with which FFmpeg keeps film time where the sound begins late."""


def _pcm(*parts: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> bytes:
    return b"".join((part * 16_000).astype("<i2").tobytes() for part in parts)


def _silence(duration_s: float) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.zeros(int(duration_s * RATE), np.float32)


@cache
def _film() -> bytes:
    return _pcm(_silence(LATE_S), speak(TEXT), _silence(45.0), speak(TEXT), _silence(20.0))


def _start_s(srt: str) -> float:
    hours, minutes, seconds, milliseconds = map(int, re.findall(r"(\d\d):(\d\d):(\d\d),(\d{3}) --> ", srt)[0])
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


def test_subtitles_keep_film_time(asr_server: RunningServer) -> None:
    answer = post(asr_server.port, asr_target(language="en"), _film())
    srt = answer.body.decode()
    assert srt.lower().count("committee met on tuesday") == 2
    assert LATE_S - 0.001 <= _start_s(srt) <= LATE_S + 0.5
    assert answer.headers["asr-engine"] == "faster-whisper/base"


def test_language_of_a_film_with_little_speech(asr_server: RunningServer) -> None:
    long = _pcm(_silence(300.0)) + _film() + _pcm(_silence(600.0))
    found = json.loads(post(asr_server.port, DETECT, long).body)
    assert (found["detected_language"], found["language_code"]) == ("english", "en")
    assert found["confidence"] > 0.8


def test_film_without_speech(asr_server: RunningServer) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 40 * RATE).astype(np.float32)
    assert post(asr_server.port, asr_target(language="en"), _pcm(noise)).body.strip() == b""
    found = json.loads(post(asr_server.port, DETECT, _pcm(noise)).body)
    assert len(found["language_code"]) in {2, 3}
    assert found["confidence"] <= 0.1


def test_model_that_cannot_translate_hands_over_or_refuses(start_server: StartServer) -> None:
    """The default knows English only: the multilingual model beside it does the rest."""
    target = asr_target(task="translate", language="fr")
    with start_server("asr", ASR_MODEL="tiny.en") as server:
        answer = post(server.port, target, _film())
        assert (answer.status, answer.is_complete) == (200, True)
        assert b" --> " in answer.body
        engines = [engine["engine"] for engine in server.engines()]
    assert engines == ["faster-whisper/base"]
