"""`voice-stack up`: servers that start and end together."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

import psutil
import pytest

from cli.commands import COMMAND, doctor, free_port, is_free, run

READY_LINE = "All are ready. Ctrl-C stops them."
START_ALL = Path(__file__).parents[2] / "scripts/start_all.py"


@contextmanager
def _up(
    environment: Mapping[str, str],
    prefix: str = "/v1",
    command: Sequence[str] = (*COMMAND, "up"),
    shows: str = "",
) -> Iterator[subprocess.Popen[str]]:
    """`voice-stack up`, once all servers are ready; nothing of it is left afterwards."""
    process = subprocess.Popen(
        command,
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
        address = f"http://127.0.0.1:{environment['ASR_PORT']}{prefix}"
        assert f"{address}/audio/transcriptions -F file=@speech.mp3 -F model=whisper-1" in "".join(lines)
        assert shows in "".join(lines)
        yield process
    finally:
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.communicate()


def _ask(port: str, path: str) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
        body: dict[str, str] = json.load(answer)
    return body


STOPS = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if sys.platform != "win32" else [])


@pytest.mark.parametrize("number", STOPS)
def test_up_serves_until_it_is_told_to_stop(number: signal.Signals, environment: dict[str, str]) -> None:
    ports = {name: environment[f"{name.upper()}_PORT"] for name in ("asr", "tts", "chat")}
    with _up(environment) as process:
        assert [_ask(port, "health")["server"] for port in ports.values()] == list(ports)
        _, rows = doctor(environment)
        for name, port in ports.items():
            assert "answers" in rows[f"{name.upper()}_PORT={port}"]["detail"]
            assert rows[f"{name.upper()}_PORT={port}"]["status"] == "OK"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in stderr
        assert all(is_free(int(port)) for port in ports.values())


def test_the_voice_server_knows_its_sisters_wherever_they_are(environment: dict[str, str]) -> None:
    elsewhere = {"ASR_HOST": "0.0.0.0", "ASR_ROOT_PATH": "/voice/asr", "API_V1_STR": "/openai", "ALLOWED_HOSTS": "*"}
    chat = {"CHAT_TTS_URL": "http://127.0.0.1:1/v1", "CHAT_LLM_URL": "http://127.0.0.1:1/v1", "CHAT_LLM_KEY": "sk-own"}
    with _up(environment | elsewhere | chat, prefix="/openai") as process:
        found = _ask(environment["CHAT_PORT"], "status")
        assert found["asr"] == f"http://127.0.0.1:{environment['ASR_PORT']}/openai"
        assert found["tts"] == "http://127.0.0.1:1/v1", "the operator's own word counts"
        assert _ask(environment["ASR_PORT"], "openai/models")
        assert _ask(environment["ASR_PORT"], "status")["llm"] == "http://127.0.0.1:1/v1", "for its translations"
        children = psutil.Process(process.pid).children()
        assert not any("sk-own" in " ".join(child.cmdline()) for child in children)


def test_up_leaves_out_what_is_not_installed(environment: dict[str, str]) -> None:
    hidden = "from importlib import util; found = util.find_spec\n"
    hidden += "util.find_spec = lambda name, *rest: None if name == 'babel' else found(name, *rest)\n"
    code = f"{hidden}from voice_stack.__main__ import main; main()"
    with _up(environment, command=[sys.executable, "-c", code, "up"]) as process:
        assert [child.cmdline()[3] for child in psutil.Process(process.pid).children()] == ["asr", "chat"]
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    assert "The TTS server is left out: babel not installed (pip install 'voice-stack[tts]')." in stderr


def test_killed_up_leaves_no_servers(environment: dict[str, str]) -> None:
    ports = environment["CHAT_PORT"], str(free_port())
    command = [sys.executable, str(START_ALL), "--all", "--check-llm", "http://127.0.0.1:1"]
    shows = "Language model: http://127.0.0.1:1 does not answer; everything else works without\n"
    shows += "Voice server: http://127.0.0.1:{}, http://127.0.0.1:{}\n".format(*ports)
    with _up(environment | {"VOICE_PORTS": ports[1]}, command=command, shows=shows) as process:
        children = psutil.Process(process.pid).children()
        assert len(children) == 3
        process.kill()
        _, alive = psutil.wait_procs(children, timeout=5)
        assert alive == []


def test_up_stops_when_one_server_dies(environment: dict[str, str]) -> None:
    with _up(environment) as process:
        first, *others = psutil.Process(process.pid).children()
        first.kill()
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "server was ended by signal 9" in stderr
        assert not any(other.is_running() for other in others)


def test_up_with_a_server_that_cannot_start_stops_all(environment: dict[str, str]) -> None:
    result = run(environment | {"ASR_MODEL": "no-such-model"}, "up")
    assert result.returncode == 1
    assert "'no-such-model' is not known" in result.stderr
    assert "the ASR server ended with exit code 1" in result.stderr
    assert "Traceback" not in result.stderr
    assert is_free(int(environment["TTS_PORT"]))
