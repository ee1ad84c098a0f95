"""Piper's voices over HTTP: speakers by name and number, files dropped in, files that are broken."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import numpy as np
import pytest

from e2e.sound import samples_of
from running_server import RunningServer
from tiny_piper import TONES_HZ, make_piper_voice

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="module")
def client(start_server: StartServer, folder: Path) -> Iterator[httpx2.Client]:
    make_piper_voice(folder, "chorus")
    make_piper_voice(folder, "en_US-solo-x_low", num_speakers=1, speaker_id_map={})
    (folder / "en_US-solo-x_low.onnx").write_bytes(b"no model")
    with start_server("tts", TTS_VOICE_DIR=str(folder)) as server, server.http() as opened:
        yield opened


def ask(client: httpx2.Client, voice: str) -> httpx2.Response:
    body = {"model": "tts-1", "voice": voice, "input": "Good morning.", "response_format": "wav"}
    return client.post("/v1/audio/speech", json=body)


def pitch_hz(answer: httpx2.Response) -> float:
    assert answer.status_code == 200, answer.text
    samples, rate = samples_of(answer.content)
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / samples.size)


@pytest.mark.parametrize(("voice", "tone"), [("chorus", 0), ("chorus#3922", 1), ("CHORUS#1", 2), ("chorus#2", 2)])
def test_each_speaker_is_heard(client: httpx2.Client, voice: str, tone: int) -> None:
    assert pitch_hz(ask(client, voice)) == pytest.approx(TONES_HZ[tone], abs=5)


def test_a_speaker_may_be_named_by_id_as_openai_does(client: httpx2.Client) -> None:
    body = {"model": "tts-1", "voice": {"id": "chorus#3922"}, "input": "Hello.", "response_format": "wav"}
    assert pitch_hz(client.post("/v1/audio/speech", json=body)) == pytest.approx(TONES_HZ[1], abs=5)


@pytest.mark.parametrize(
    ("voice", "told"),
    [
        ("chorus#3", "a number from 0 to 2 or one of the names alice, 3922, 1"),
        ("chorus#", "a number from 0 to 2"),
        ("en_US-joe-medium#0x1", "one speaker"),
        ("nobody#1", "'nobody#1' does not exist"),
        ("../chorus#1", "does not exist"),
        ("de_DE-thorsten-medium", "does not exist"),
    ],
)
def test_speakers_and_voices_that_are_not_there(client: httpx2.Client, voice: str, told: str) -> None:
    answer = ask(client, voice)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "voice"
    assert told in answer.json()["error"]["message"]


def test_a_broken_voice_fails_alone(client: httpx2.Client) -> None:
    broken = ask(client, "en_US-solo-x_low")
    assert broken.status_code == 500
    assert broken.json()["error"]["code"] == "model_load_failed"
    assert "en_US-solo-x_low.onnx does not load" in broken.json()["error"]["message"]
    assert ask(client, "chorus").status_code == 200


def test_a_voice_that_is_dropped_in_speaks_at_once(client: httpx2.Client, folder: Path) -> None:
    assert ask(client, "latecomer").status_code == 400
    make_piper_voice(folder / "more", "latecomer")
    listed = {voice["id"]: voice for voice in client.get("/v1/audio/voices").json()["voices"]}
    assert listed["latecomer"]["languages"] == ["en"]
    assert "3 speakers: a number from 0 to 2" in listed["latecomer"]["description"]
    assert pitch_hz(ask(client, "latecomer#1")) == pytest.approx(TONES_HZ[2], abs=5)
