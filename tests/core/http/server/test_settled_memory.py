"""What a started process never searches for garbage: a search stops it, for 60 ms where it looks at everything."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
WITNESS = """
import gc, os, signal
def tell(*_):
    with open(os.path.join({folder!r}, str(os.getpid())), "w") as file:
        file.write(f"{{gc.get_freeze_count()}} {{len(gc.get_objects())}}")
signal.signal(signal.SIGUSR1, tell)
"""
MAX_SEARCHED_SHARE = 0.5


@pytest.mark.skipif(sys.platform == "win32", reason="the witness in the process is called by a signal")
def test_a_search_for_garbage_leaves_out_what_the_start_made(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITNESS.format(folder=str(tmp_path)))
    settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "PYTHONPATH": str(tmp_path)}
    with start_server("asr", **settings) as server, server.openai() as client:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(1.0)))
        engine = server.engine_pid()
        assert engine is not None
        for pid in (server.process.pid, engine):
            told = tmp_path / str(pid)
            os.kill(pid, signal.SIGUSR1)
            wait_until(lambda told=told: told.is_file() and told.read_text() != "", 10, "the process tells")
            left_out, searched = map(int, told.read_text().split())
            assert searched < MAX_SEARCHED_SHARE * left_out, (pid, searched, left_out)
