"""A server whose models may hold only so much memory: who makes room, who is refused, who has grown too large."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false"}


def send(server: RunningServer, model: str = "whisper-1", prompt: str = "") -> httpx2.Response:
    with server.http() as client:
        form = {"model": model, "prompt": prompt, "language": "en"}
        return client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", tone(1.0))})


def loaded(server: RunningServer) -> dict[object, float]:
    """Memory of each engine with a process."""
    return {engine["engine"]: float(str(engine["memory_mb"])) for engine in server.engines() if engine["pid"]}


def test_models_share_their_memory(start_server: StartServer, tmp_path: Path) -> None:
    folder = {"MODEL_DIR": str(tmp_path)}
    with start_server("asr", ASR_MEMORY_MB="700", **FAKE, **folder) as server, server.http() as client:
        assert send(server, prompt="memory=400").status_code == 200
        figures = tmp_path / ".memory.json"
        wait_until(lambda: loaded(server).get("fake/fake", 0.0) > 400, 60, "the engine is measured")
        wait_until(lambda: figures.exists() and "fake/fake" in figures.read_text(), 60, "the figures are kept")
        memory = client.get("/status").json()["memory"]
        assert (400 < memory["models_mb"] < 700, memory["budget_mb"]) == (True, 700)
        # `base` needs 370 MB by its files: together they would be too many.
        assert send(server, "base").status_code == 200
        assert set(loaded(server)) == {"fake/base"}
        # It grows beyond all limits, and goes as soon as nobody works with it.
        assert send(server, "base", "memory=800").status_code == 200
        wait_until(lambda: not loaded(server), 60, "the engine is gone")
        assert send(server, "base").status_code == 200
    with start_server("asr", ASR_MEMORY_MB="300", **FAKE, **folder) as server:
        refused = send(server)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "insufficient_memory")
        assert refused.headers["x-should-retry"] == "false"
        for told in ("fake/fake needs 4", "as measured", "300 MB", "ASR_MEMORY_MB"):
            assert told in refused.json()["error"]["message"]
