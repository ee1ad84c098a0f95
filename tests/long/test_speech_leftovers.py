"""A server that is killed while it keeps speech: the next one removes what was half written."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]


def _post(server: RunningServer, path: str, **body: object) -> None:
    """Send a request that may lose its server."""
    with server.http() as client:
        try:
            client.post(path, **body)  # type: ignore[arg-type]
        except httpx2.TransportError:
            return


def _kill(server: RunningServer) -> None:
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)


def test_half_written_speech_goes_and_what_another_server_writes_stays(
    start_server: StartServer, tmp_path: Path
) -> None:
    settings = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_CACHE_DIR": str(tmp_path)}
    # A speech goes to the disk once it is longer than a quarter of a MiB: six seconds here.
    text = " ".join(f"This is clause number {n}, which is long enough." for n in range(8)) + " And sleep=60 at the end."
    body = {"json": {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}}

    def parts() -> list[Path]:
        return sorted(tmp_path.glob("*.part"))

    with start_server("tts", **settings) as living, start_server("tts", **settings) as server:
        threads = [
            threading.Thread(target=_post, args=(running, "/v1/audio/speech"), kwargs=body)
            for running in (living, server)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(parts()) == 2, 30, "both servers write")
        _kill(server)
        assert len(parts()) == 2
        with start_server("tts", **settings):
            assert len(parts()) == 1
        _kill(living)
        for thread in threads:
            thread.join(30)
