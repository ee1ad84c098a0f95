"""When engine processes come and go, and what the log says of a request."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from e2e.sound import tone
from running_server import RunningServer, free_port, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false"}


def transcribe(server: RunningServer, length_s: float = 1.0, prompt: str = "") -> str:
    with server.openai() as client:
        return client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(length_s)), prompt=prompt).text


def test_preloaded_model_makes_ready_wait_for_it(start_server: StartServer) -> None:
    with start_server("asr", "--preload") as server, server.http() as client:
        first = client.get("/ready")
        assert first.status_code == 503
        assert "base" in first.json()["error"]["message"]
        wait_until(lambda: client.get("/ready").status_code == 200, 30, "the model is loaded")
        assert [engine["state"] for engine in server.engines()] == ["ready"]


def test_first_request_starts_the_engine_and_has_one_line_in_the_log(start_server: StartServer) -> None:
    with start_server("asr", LOG_FORMAT="json", **FAKE) as server, server.http() as client:
        assert client.get("/ready").status_code == 200
        assert server.engines() == []
        transcribe(server, 2.0, "sleep=0.4")
        assert server.engine_pid() is not None
        # The line is written after the answer has gone out.
        wait_until(lambda: "/v1/audio/transcriptions" in server.log.read_text(), 5, "the line")
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("path") == "/v1/audio/transcriptions"]
    assert line["status"] == 200
    assert line["audio_s"] == 2.0
    assert line["rtf"] >= 0.19
    assert 0 <= line["queue_s"] <= line["duration_s"] - 0.4
    assert re.fullmatch(r"req_[0-9a-f]{32}", line["request_id"])


def test_uvicorn_runs_the_module_by_name(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, **FAKE, "OFFLINE": "true", "API_V1_STR": "/openai"}
    command = [sys.executable, "-m", "uvicorn", "voice_stack.asr.app:app", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(answers, 20, "uvicorn serves")
        models = httpx2.get(f"http://127.0.0.1:{port}/openai/models", trust_env=False).json()
        assert "whisper-1" in {model["id"] for model in models["data"]}
    finally:
        process.terminate()
        assert process.wait(20) in {0, -15}
