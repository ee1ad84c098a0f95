"""Running `voice-stack` as its users do."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping

COMMAND = (sys.executable, "-m", "voice_stack")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("voice-stack: ")
    for part in parts:
        assert part in result.stderr


def doctor(environment: Mapping[str, str]) -> tuple[int, dict[str, dict[str, str]]]:
    result = run(environment, "doctor", "--json")
    return result.returncode, {row["name"]: row for row in json.loads(result.stdout)}
