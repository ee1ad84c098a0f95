"""Nothing leaves the house: the libraries of the models tell their makers nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from e2e.sound import tone
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home in which a report would be kept until it is sent, on a machine that does not look like a test's."""
    for name in ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_onnx_runtime_reports_nothing(start_server: StartServer, home: Path) -> None:
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server, server.http() as client:
        # Silero's VAD is an ONNX model.
        answer = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", tone(1.0))}, data={"model": "fake"})
        assert answer.status_code == 200, answer.text
    with start_server("tts") as server, server.http() as client:
        speech = {"model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "pcm"}
        assert client.post("/v1/audio/speech", json=speech).status_code == 200
    assert not list(home.rglob("*onnxruntime*")), "ONNX Runtime keeps reports"
