"""`voice-stack up --prod`: what ends is started again, and the rest goes on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from running_server import free_port, wait_until
from voice_stack.cli.up import restart_delay_s

START_TIMEOUT_S = 120


@contextmanager
def _up(folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    ours = ("ASR_", "TTS_", "CHAT_", "API_", "LOG_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    fake = {f"{server}_{name}": "fake" for server in ("ASR", "TTS") for name in ("ENGINE", "MODEL")}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "voice_stack", "up", "--prod"],
            cwd=folder,
            env=inherited | fake | {"OFFLINE": "true", "HOME": str(folder), "CHAT_PORT": str(free_port())} | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def _pid(port: int) -> int | None:
    """Process that answers on the port; None if none does."""
    try:
        healthy = httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return None
    listening = (c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN")
    return next(listening, None) if healthy else None


def test_a_killed_server_comes_back_while_the_other_goes_on(tmp_path: Path) -> None:
    asr, tts = free_port(), free_port()
    with _up(tmp_path, ASR_PORT=str(asr), TTS_PORT=str(tts)) as (process, log):
        wait_until(lambda: _pid(asr) and _pid(tts), START_TIMEOUT_S, "both answer")
        first, other = _pid(asr), _pid(tts)
        assert first is not None
        # The supervisor begins when it has seen both; a death before that ends the command, as at any first start.
        wait_until(lambda: "supervised" in log.read_text(), START_TIMEOUT_S, "the supervisor has begun")
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: _pid(asr) not in {None, first}, START_TIMEOUT_S, "the killed server answers again")
        assert _pid(tts) == other
        process.terminate()
        assert process.wait(60) == 0
        wait_until(lambda: _pid(asr) is None and _pid(tts) is None, 10, "both are gone")
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    (ended,) = (line for line in lines if line["message"] == "server ended")
    assert (ended["ended"], ended["by"], ended["restart_in_s"]) == ("asr", "signal 9", 1.0)


def test_a_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    with _up(tmp_path, ASR_PORT=str(free_port()), TTS_PORT=str(free_port()), ASR_ENGINE="no-such") as (process, log):
        assert process.wait(START_TIMEOUT_S) == 1
    assert "no-such" in log.read_text()


@pytest.mark.parametrize(("crashes", "delay_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)])
def test_a_server_that_ends_often_is_started_more_and_more_slowly(crashes: int, delay_s: float) -> None:
    assert restart_delay_s(crashes) == delay_s
