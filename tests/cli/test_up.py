"""`voice-stack up`: two servers that start and end together."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile

import psutil
import pytest

from cli.commands import COMMAND, doctor, is_free, run

READY_LINE = "All are ready. Ctrl-C stops them."


@contextmanager
def _up(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`voice-stack up`, once both servers are ready; nothing of it is left afterwards."""
    process = subprocess.Popen(
        [*COMMAND, "up"],
        env=environment,
        cwd=environment["HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        lines = list(takewhile(lambda line: line.strip() != READY_LINE, process.stdout))
        children = psutil.Process(process.pid).children()
        shown = (
            f"http://127.0.0.1:{environment['ASR_PORT']}/v1/audio/transcriptions -F file=@speech.mp3 -F model=whisper-1"
        )
        assert shown in "".join(lines)
        yield process
    finally:
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.communicate()


def _health(port: str) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        body: dict[str, str] = json.load(answer)
    return body


STOPS = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if sys.platform != "win32" else [])


@pytest.mark.parametrize("number", STOPS)
def test_up_serves_both_until_it_is_told_to_stop(number: signal.Signals, environment: dict[str, str]) -> None:
    ports = environment["ASR_PORT"], environment["TTS_PORT"]
    with _up(environment) as process:
        assert [_health(port)["server"] for port in ports] == ["asr", "tts"]
        _, rows = doctor(environment)
        for name, port in zip(("ASR_PORT", "TTS_PORT"), ports, strict=True):
            assert "answers" in rows[f"{name}={port}"]["detail"]
            assert rows[f"{name}={port}"]["status"] == "OK"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in stderr
        assert all(is_free(int(port)) for port in ports)


def test_killed_up_leaves_no_servers(environment: dict[str, str]) -> None:
    with _up(environment) as process:
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        process.kill()
        _, alive = psutil.wait_procs(children, timeout=5)
        assert alive == []


def test_up_stops_when_one_server_dies(environment: dict[str, str]) -> None:
    with _up(environment) as process:
        first, second = psutil.Process(process.pid).children()
        first.kill()
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "server was ended by signal 9" in stderr
        assert not second.is_running()


def test_up_with_a_server_that_cannot_start_stops_both(environment: dict[str, str]) -> None:
    result = run(environment | {"ASR_MODEL": "no-such-model"}, "up")
    assert result.returncode == 1
    assert "'no-such-model' is not known" in result.stderr
    assert "the ASR server ended with exit code 1" in result.stderr
    assert "Traceback" not in result.stderr
    assert is_free(int(environment["TTS_PORT"]))
