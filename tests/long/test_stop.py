"""How a server stops: no new work, running work done or handed back, nothing left behind."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import psutil
import pytest
from openai.types.audio import TranscriptionTextDeltaEvent

from core.http.limits.conftest import FAKE_ASR, StartServer
from e2e.sound import tone
from running_server import RunningServer, wait_until


def _post(server: RunningServer, prompt: str) -> httpx2.Response:
    with server.http() as client:
        data = {"model": "whisper-1", "language": "en", "prompt": prompt}
        return client.post("/v1/audio/transcriptions", files={"file": ("a.wav", tone(1.0))}, data=data)


def _get(server: RunningServer, path: str) -> httpx2.Response:
    return httpx2.get(f"{server.url}{path}", timeout=20, trust_env=False)


def test_a_server_that_stops_hands_back_what_it_cannot_finish(start_server: StartServer) -> None:
    with start_server("asr", "--shutdown-grace-s", "1", **FAKE_ASR) as server, ThreadPoolExecutor(1) as threads:
        with server.openai() as client:
            stream = client.audio.transcriptions.create(
                model="whisper-1", file=("a.wav", tone(200.0)), prompt="sleep=0.1", language="en", stream=True
            )
            assert isinstance(next(stream), TranscriptionTextDeltaEvent)
            endless = threads.submit(_post, server, "sleep=120")
            wait_until(lambda: sum(server.count_jobs()) == 2, 20, "both are there")
            engine = psutil.Process(server.engine_pid())
            server.process.terminate()
            wait_until(lambda: _get(server, "/ready").status_code == 503, 10, "it is not ready any more")
            refused = _post(server, "")
            assert _get(server, "/health").status_code == 200
            with pytest.raises(openai.APIError) as caught:
                list(stream)
        assert caught.value.code == "shutting_down"
        for answer in (refused, endless.result()):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["connection"] == "close"
        assert server.process.wait(30) == 0
        assert not engine.is_running()
        assert "Traceback" not in server.log.read_text()
        server.expect_no_uploads()


def test_a_second_signal_ends_it_at_once(start_server: StartServer) -> None:
    with start_server("asr", "--shutdown-grace-s", "600", **FAKE_ASR) as server, ThreadPoolExecutor(1) as threads:
        endless = threads.submit(_post, server, "sleep=600")
        wait_until(lambda: server.count_jobs()[0], 20, "it is at work")
        engine = psutil.Process(server.engine_pid())
        server.process.terminate()
        wait_until(lambda: _get(server, "/ready").status_code == 503, 10, "the stop has begun")
        server.process.send_signal(signal.SIGINT)
        server.process.wait(60)
        wait_until(lambda: not engine.is_running(), 10, "the engine is gone")
        # Whoever waits is told if there is time for it.
        assert endless.exception() is not None or endless.result().status_code == 503
        server.expect_no_uploads()
