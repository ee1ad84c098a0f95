"""How far a request goes: who joins must be able to read all of it."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from walk import walk

MOST_FILES = 61


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def transcribe(wav: bytes) -> Callable[[str], None]:
    def send(url: str) -> None:
        form = {"model": "whisper-1", "language": "en"}
        answer = httpx2.post(f"{url}/v1/audio/transcriptions", data=form, files={"file": ("a.wav", wav)}, timeout=60)
        assert answer.json()["text"]

    return send


def speak(url: str) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Good morning, everybody.", "cache": False}
    assert len(httpx2.post(f"{url}/v1/audio/speech", json=body, timeout=60).content) > 1000


def test_a_request_passes_through_few_files(model_dir: Path, spoken: Callable[[str], bytes]) -> None:
    sends = {"asr": transcribe(spoken("Three seconds of speech are enough for this.")), "tts": speak}
    environment = {"OFFLINE": "true", "MODEL_DIR": str(model_dir)}
    with ThreadPoolExecutor() as threads:  # each mostly waits
        ways = threads.map(lambda kind: walk(kind, _free_port(), environment, sends[kind]), sends)
    for way in ways:
        files = {stop.file for stop in way}
        assert {stop.process for stop in way} == {"API", "engine"}
        assert len(files) <= MOST_FILES, "\n".join(sorted(files))
