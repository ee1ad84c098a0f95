"""`voice-stack status`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.commands import free_port, run
from conftest import StartServer
from running_server import RunningServer

WIDTH = 80


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(tmp_path), "COLUMNS": "300"}


@pytest.fixture(scope="module")
def chat(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("chat") as server:
        yield server


def test_all_servers_on_a_narrow_terminal(
    environment: dict[str, str], fake_asr: RunningServer, fake_tts: RunningServer, chat: RunningServer
) -> None:
    with fake_tts.http() as client:
        client.post("/v1/audio/speech", json={"model": "tts-1", "input": "So that an engine is there."})
    urls = ("--asr-url", fake_asr.url, "--tts-url", f"{fake_tts.url}/v1", "--chat-url", chat.url)
    result = run(environment | {"COLUMNS": str(WIDTH)}, "status", *urls)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert f"asr  {fake_asr.url}  ready" in result.stdout
    assert any("fake/" in line and "ready" in line for line in lines)
    assert "     asks asr http://127.0.0.1:5001, tts http://127.0.0.1:5002, llm none" in lines
    answers = json.loads(run(environment, "status", "--json", *urls).stdout)
    assert [answer["status"]["server"] for answer in answers.values()] == list(answers) == ["asr", "tts", "chat"]


def test_a_server_that_is_not_there(environment: dict[str, str], fake_asr: RunningServer) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    result = run(environment, "status", "--asr-url", fake_asr.url, "--tts-url", nowhere, "--chat-url", nowhere)
    assert result.returncode == 1
    assert f"tts  {nowhere}  does not answer" in result.stdout
    assert "asr" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
