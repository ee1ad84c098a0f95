"""Servers that are reached through a Unix socket, or below a path of their proxy."""

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from cli.commands import run
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake"}


def test_captions_can_be_asked_for(start_server: StartServer) -> None:
    fake = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_ROOT_PATH": "voice/tts/"}
    with start_server("tts", **fake) as server, server.http() as client:
        for prefix in ("", "/voice/tts"):
            body = {"model": "tts-1", "input": "Hello there.", "voice": "alloy", "timestamps": "sentence"}
            spoken = client.post(f"{prefix}/v1/audio/speech", json=body)
            assert spoken.headers["x-captions"].startswith("/voice/tts/v1/audio/speech/")
            assert client.get(spoken.headers["x-captions"]).json()["sentences"][0]["text"] == "Hello there."


def test_a_unix_socket_for_a_proxy_of_this_machine(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "asr.sock"
    environment = {**os.environ, **FAKE, "ASR_SOCKET": str(path), "HOME": str(tmp_path), "OFFLINE": "true"}
    environment |= {"TRUSTED_PROXIES": "unix", "ASR_BAZARR_NETWORKS": "10.0.0.5", "API_KEYS": "a-key-of-the-house"}
    with start_server("asr", **environment, is_ready=lambda: _answers(path)) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with _through(path) as client:
            assert client.get("/status", headers={"x-forwarded-for": "10.0.0.5"}).status_code == 200
            assert client.get("/status", headers={"x-forwarded-for": "10.0.0.6"}).status_code == 401
        taken = run(environment, "asr")
        assert (taken.returncode, "is in use" in taken.stderr) == (1, True)
        server.process.kill()
        server.process.wait()
    assert path.exists(), "a killed server leaves its socket"
    with start_server("asr", **environment, is_ready=lambda: _answers(path)):
        pass
    assert not path.exists()


def _through(path: Path) -> httpx2.Client:
    return httpx2.Client(base_url="http://asr", transport=httpx2.HTTPTransport(uds=str(path)))


def _answers(path: Path) -> bool:
    try:
        with _through(path) as client:
            return client.get("/health").status_code == 200
    except httpx2.TransportError:
        return False
