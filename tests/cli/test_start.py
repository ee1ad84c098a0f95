"""What keeps a server from starting is one line that says so."""

import socket
import subprocess
import sys

import pytest

from cli.commands import assert_one_line, run


@pytest.mark.parametrize("server", ["asr", "tts", "chat"])
def test_busy_port_is_one_line(server: str, environment: dict[str, str]) -> None:
    variable = f"{server.upper()}_PORT"
    with socket.create_server(("127.0.0.1", int(environment[variable]))):
        result = run(environment, server)
    assert_one_line(result, f"port {environment[variable]} on 127.0.0.1 is in use", f"{variable}=... or --port")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["asr", "--engine", "no-such-engine"], ["no-such-engine", "faster-whisper"]),
        (["tts", "--engine", "no-such-engine"], ["no-such-engine", "piper"]),
        (["asr", "--model", "no-such-model"], ["no-such-model", "base"]),
        (["tts", "--model", "no-such-model"], ["no-such-model", "en_US-joe-medium"]),
        (["tts", "--engine", "piper", "--model", "xtts"], ["TTS_MODEL='xtts_v2'", "TTS_ENGINE=xtts"]),
        (["asr", "--port", "many"], ["ASR_PORT='many'"]),
        (["tts", "--log-level", "LOUD"], ["LOG_LEVEL='LOUD'", "DEBUG"]),
        (["asr", "--host", "198.51.100.7"], ["198.51.100.7", "ASR_HOST"]),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    arguments: list[str], parts: list[str], environment: dict[str, str]
) -> None:
    assert_one_line(run(environment, *arguments), *parts)


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
    assert_one_line(result, command)


def test_every_setting_has_a_flag_with_its_variable(environment: dict[str, str]) -> None:
    help_text = run(environment, "tts", "--help").stdout
    for part in ("--idle-timeout-s", "--preload / --no-preload", "--auto-lang / --no-auto-lang", "[TTS_VOICE_DIR]"):
        assert part in help_text
