"""`voice-stack bench` against real servers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from running_server import RunningServer, free_port


def _bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voice_stack", "bench", *arguments]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )


def test_a_server_is_measured(fake_asr: RunningServer, tts_server: RunningServer, tmp_path: Path) -> None:
    options = ["--clients", "3", "--minutes", "0.5", "--json"]
    result = _bench(tmp_path, "--asr-url", fake_asr.url, "--tts-url", tts_server.url, *options)
    assert result.returncode == 0, result.stderr
    figures = {figure["name"]: figure["ours"] for figure in json.loads(result.stdout)}
    assert len(figures["One client, short clips"]) == 16
    assert len(figures["3 clients, short clips"]) == 48
    (rate,) = figures["3 clients, requests per second"]
    assert rate == pytest.approx(48 / sum(figures["3 clients, short clips"]) * 3, rel=0.5)
    assert figures["File of 0.5 min, with short clips beside it"][0] > 0
    assert figures["First text of a file of 0.5 min"][0] > 0


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = _bench(tmp_path, "--asr-url", url, "--tts-url", url)
    assert result.returncode == 1
    assert url in result.stderr
    assert "Traceback" not in result.stderr


def test_clips_must_be_wav_files_that_can_be_joined(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    result = _bench(tmp_path, "--audio", "text.wav")
    assert result.returncode == 1
    assert "text.wav is no WAV file" in result.stderr
    assert "Traceback" not in result.stderr
