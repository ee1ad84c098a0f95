"""A server that is killed with uploads and speech in hand: the next one finds the disk clean."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from e2e.sound import tone
from running_server import RunningServer, list_uploads, wait_until

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


def test_uploads_of_a_killed_server_go_with_the_next_start(start_server: StartServer, tmp_path: Path) -> None:
    settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "SPOOL_DIR": str(tmp_path)}
    form = {"data": {"model": "whisper-1", "prompt": "sleep=60"}, "files": {"file": ("a.wav", tone(1.0))}}
    with start_server("asr", **settings) as living, start_server("asr", **settings) as server:
        threads = [
            threading.Thread(target=_post, args=(running, path), kwargs=body)
            for running, path, body in (
                (living, "/v1/audio/transcriptions", form),
                (server, "/v1/audio/transcriptions", form),
                (server, "/bazarr/asr", {"files": {"audio_file": ("a.wav", tone(1.0))}, "params": {"encode": "true"}}),
            )
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: living.count_jobs()[0] and server.count_jobs()[0], 30, "both servers work")
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in list_uploads(tmp_path))
        assert len(list_uploads(tmp_path)) >= 2
        _kill(server)
        assert len(list_uploads(tmp_path)) >= 2
        with start_server("asr", **settings):
            assert len(list_uploads(tmp_path)) == 1
        _kill(living)
        for thread in threads:
            thread.join(30)
    with start_server("asr", **settings):
        assert (len(list(tmp_path.iterdir())), list_uploads(tmp_path)) == (1, [])
    assert list(tmp_path.iterdir()) == []


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
