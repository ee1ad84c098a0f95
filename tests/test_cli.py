"""The command line as its users meet it: real processes, real ports."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

READY_LINE = "Both are ready. Ctrl-C stops them."
COMMAND = (sys.executable, "-m", "voice_stack")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli-models")


@pytest.fixture
def environment(tmp_path: Path, model_dir: Path) -> dict[str, str]:
    """The variables of whoever runs the tests without those of the servers; free ports; no hub."""
    prefixes = ("ASR_", "TTS_", "DEBUGPY_", "LOG_", "API_", "SPOOL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    ports = {"ASR_PORT": str(_free_port()), "TTS_PORT": str(_free_port())}
    return kept | ports | {"MODEL_DIR": str(model_dir), "OFFLINE": "true", "COLUMNS": "300", "HOME": str(tmp_path)}


def _run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("voice-stack: ")
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize("server", ["asr", "tts"])
def test_busy_port_is_one_line(server: str, environment: dict[str, str]) -> None:
    variable = f"{server.upper()}_PORT"
    with socket.create_server(("127.0.0.1", int(environment[variable]))):
        result = _run(environment, server)
    _assert_one_line(result, f"port {environment[variable]} on 127.0.0.1 is in use", f"{variable}=... or --port")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["asr", "--engine", "no-such-engine"], ["no-such-engine", "faster-whisper"]),
        (["tts", "--engine", "no-such-engine"], ["no-such-engine", "piper"]),
        (["asr", "--model", "no-such-model"], ["no-such-model", "base"]),
        (["tts", "--model", "no-such-model"], ["no-such-model", "en_US-joe-medium"]),
        (["asr", "--port", "many"], ["ASR_PORT='many'"]),
        (["tts", "--log-level", "LOUD"], ["LOG_LEVEL='LOUD'", "DEBUG"]),
        (["asr", "--host", "198.51.100.7"], ["198.51.100.7", "ASR_HOST"]),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    arguments: list[str], parts: list[str], environment: dict[str, str]
) -> None:
    _assert_one_line(_run(environment, *arguments), *parts)


@pytest.mark.parametrize(
    ("module", "arguments", "command"),
    [
        ("click", ["asr"], "pip install 'voice-stack[embedded]'"),
        ("debugpy", ["asr", "--debugpy-enable"], "pip install 'voice-stack[debug]'"),
    ],
)
def test_missing_library_is_named_with_the_command_that_installs_it(
    module: str, arguments: list[str], command: str, environment: dict[str, str]
) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    code = f"import sys; sys.modules[{module!r}] = None; from voice_stack.__main__ import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    _assert_one_line(result, command)


def test_every_setting_has_a_flag_with_its_variable(environment: dict[str, str]) -> None:
    help_text = _run(environment, "tts", "--help").stdout
    for part in ("--idle-timeout-s", "--preload / --no-preload", "--auto-lang / --no-auto-lang", "[TTS_VOICE_DIR]"):
        assert part in help_text


def test_models_are_listed(environment: dict[str, str]) -> None:
    rows = json.loads(_run(environment, "models", "list", "--json").stdout)
    state = {(row["server"], row["name"]): row["state"] for row in rows}
    assert state["asr", "base"] == "local"
    assert state["tts", "en_US-joe-medium"] == "local"
    assert state["asr", "large-v3"] == "available"
    table = _run(environment, "models", "list").stdout
    assert all(row["name"] in table for row in rows)


def test_model_is_pulled_verified_found_damaged_and_removed(environment: dict[str, str], model_dir: Path) -> None:
    name = "en_US-joe-medium"
    folder = model_dir / name
    pulled = _run(environment, "models", "pull", name)
    assert (pulled.returncode, pulled.stdout.strip()) == (0, str(folder))
    assert _run(environment, "models", "path", name).stdout.strip() == str(folder)
    verified = _run(environment, "models", "verify", name)
    assert verified.returncode == 0
    assert f"{name}/{name}.onnx: intact" in verified.stdout
    (folder / f"{name}.onnx.json").write_text("{}", encoding="utf-8")
    _assert_one_line(_run(environment, "models", "verify"), name, "voice-stack models pull")
    assert _run(environment, "models", "rm", name).returncode == 0
    assert not folder.exists()


@pytest.mark.parametrize("command", ["pull", "verify", "rm", "path"])
def test_unknown_model_is_one_line_with_names_of_both_servers(command: str, environment: dict[str, str]) -> None:
    result = _run(environment, "models", command, "bse")
    _assert_one_line(result, "'bse' is not known", "nearest first: base", "en_US-joe-medium")


def _doctor(environment: Mapping[str, str]) -> tuple[int, dict[str, dict[str, str]]]:
    result = _run(environment, "doctor", "--json")
    return result.returncode, {row["name"]: row for row in json.loads(result.stdout)}


def test_doctor_is_content_with_the_test_installation(environment: dict[str, str]) -> None:
    code, rows = _doctor(environment)
    assert code == 0
    assert {rows[name]["status"] for name in ("audio codecs", "extra asr", "extra piper", "ASR_MODEL=base")} == {"OK"}
    assert rows[f"ASR_PORT={environment['ASR_PORT']}"]["detail"] == "free"


def test_doctor_names_each_fault_and_what_mends_it(environment: dict[str, str]) -> None:
    port = environment["ASR_PORT"]
    faults = {"ASR_MODEL": "large-v3", "TTS_MODLE": "x", "SPOOL_DIR": "/dev/null/spool"}
    with socket.create_server(("127.0.0.1", int(port))):
        code, rows = _doctor(environment | faults)
    assert code == 1
    assert rows["ASR_MODEL=large-v3"]["status"] == "FAIL"
    assert "OFFLINE=false voice-stack models pull large-v3" in rows["ASR_MODEL=large-v3"]["detail"]
    assert rows["SPOOL_DIR"]["status"] == "FAIL"
    assert rows[f"ASR_PORT={port}"]["status"] == "FAIL"
    assert rows["TTS_* variables"]["status"] == "WARN"
    assert "TTS_MODEL" in rows["TTS_* variables"]["detail"]
    assert all(row["remedy"] for row in rows.values() if row["status"] != "OK")


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
        lines = list(iter(process.stdout.readline, f"{READY_LINE}\n")) if process.poll() is None else []
        children = psutil.Process(process.pid).children()
        assert f"http://127.0.0.1:{environment['ASR_PORT']}/v1/audio/transcriptions -F file=@speech.mp3" in "".join(
            lines
        )
        yield process
    finally:
        for left in (process, *children):
            if left.poll() is None if isinstance(left, subprocess.Popen) else left.is_running():
                left.kill()
        process.communicate()


def _health(port: str) -> object:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_both_until_it_is_told_to_stop(number: signal.Signals, environment: dict[str, str]) -> None:
    ports = environment["ASR_PORT"], environment["TTS_PORT"]
    with _up(environment) as process:
        assert [_health(port) for port in ports] == [{"status": "ok"}] * 2
        assert all(
            _doctor(environment)[1][f"{n}_PORT={p}"]["status"] == "OK"
            for n, p in zip(("ASR", "TTS"), ports, strict=False)
        )
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in stderr
        assert all(_is_free(int(port)) for port in ports)


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
    started = time.monotonic()
    result = _run(environment | {"ASR_MODEL": "no-such-model"}, "up")
    assert result.returncode == 1
    assert "'no-such-model' is not known" in result.stderr
    assert "the ASR server ended with exit code 1" in result.stderr
    assert "Traceback" not in result.stderr
    assert time.monotonic() - started < 20
    assert _is_free(int(environment["TTS_PORT"]))
