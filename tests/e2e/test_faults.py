"""Crashes, failures half-way, clients that leave, and the end of a server with work in hand."""

import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import openai
import psutil
import pytest
from openai.types.audio import TranscriptionTextDeltaEvent

from e2e.sound import tone
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
BATCH = 4
"""Windows the fake engine takes at once."""


def _transcribe(server: RunningServer, prompt: str, length_s: float = 1.0) -> str:
    with server.openai() as client:
        return client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", tone(length_s)), prompt=prompt, language="en"
        ).text


def _wait_for_work(server: RunningServer) -> None:
    wait_until(lambda: server.count_jobs()[0], 15, "a job runs")


def _kill_engine(server: RunningServer) -> int:
    pid = server.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_killed_engine_costs_no_job(fake_asr: RunningServer) -> None:
    with ThreadPoolExecutor(6) as threads:
        # Words of their own keep the jobs out of one batch.
        jobs = [threads.submit(_transcribe, fake_asr, f"sleep=0.4 job{n}") for n in range(6)]
        _wait_for_work(fake_asr)
        killed = _kill_engine(fake_asr)
        with fake_asr.http() as client:
            assert client.get("/health").status_code == 200
        assert [job.result() for job in jobs] == ["window 1.0 s."] * 6
    assert fake_asr.engine_pid() not in {None, killed}


def test_an_interrupted_job_is_tried_again(fake_asr: RunningServer, tmp_path: Path) -> None:
    marker = tmp_path / "crashed"
    assert _transcribe(fake_asr, f"crash-once={marker}") == "window 1.0 s."
    assert marker.exists()


def test_a_job_that_kills_its_engine_fails_alone(fake_asr: RunningServer) -> None:
    with ThreadPoolExecutor(4) as threads:
        deadly = threads.submit(_transcribe, fake_asr, "sleep=0.3 crash")
        others = [threads.submit(_transcribe, fake_asr, f"sleep=0.3 job{n}") for n in range(3)]
        with pytest.raises(openai.InternalServerError) as caught:
            deadly.result()
        assert [job.result() for job in others] == ["window 1.0 s."] * 3
    assert caught.value.status_code == 500
    assert caught.value.code == "engine_crashed"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_speech_survives_a_crash(fake_tts: RunningServer, tmp_path: Path) -> None:
    def speak(text: str) -> bytes:
        with fake_tts.openai() as client:
            return client.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format="pcm").content

    assert len(speak(f"Hello crash-once={tmp_path}/crashed")) > 24_000


def _form(prompt: str, sound: bytes) -> tuple[bytes, dict[str, str]]:
    with httpx2.Client() as client:
        data = {"model": "whisper-1", "prompt": prompt, "language": "en"}
        request = client.build_request("POST", "http://127.0.0.1/", data=data, files={"file": ("a.wav", sound)})
        return request.read(), {"Content-Type": request.headers["content-type"]}


def _leave_midway(server: RunningServer, path: str, body: bytes, headers: dict[str, str]) -> None:
    """Send a request, wait until it is worked on, close the socket."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        _wait_for_work(server)


def test_work_stops_when_its_client_leaves(fake_asr: RunningServer, fake_tts: RunningServer) -> None:
    _transcribe(fake_asr, "")  # the engine is loaded
    # At least 40 windows: 16 seconds of work if nobody stopped it.
    body, headers = _form("sleep=0.4", tone(80.0))
    _leave_midway(fake_asr, "/v1/audio/transcriptions", body, headers)
    wait_until(lambda: fake_asr.count_jobs() == (0, 0), 0.4 * BATCH + 6, "the transcription stops")
    fake_asr.expect_no_uploads()

    text = " ".join(["This clause is number one and it takes sleep=0.5 seconds to say."] * 30)
    speech = f'{{"model": "tts-1", "voice": "alloy", "input": "{text}"}}'.encode()
    _leave_midway(fake_tts, "/v1/audio/speech", speech, {"Content-Type": "application/json"})
    wait_until(lambda: fake_tts.count_jobs() == (0, 0), 8, "the speech stops")


def test_a_failure_in_mid_speech_breaks_the_stream(fake_tts: RunningServer) -> None:
    text = "This is the first sentence and all is well with it. " * 4 + "The last one takes sleep=0.5 and will fail."
    speech = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}
    heard: list[int] = []
    with fake_tts.http() as client:
        with client.stream("POST", "/v1/audio/speech", json=speech) as response:
            assert response.status_code == 200
            with pytest.raises(httpx2.RemoteProtocolError):
                heard.extend(map(len, response.iter_bytes()))
        assert sum(heard) > 24_000
        events = client.post("/v1/audio/speech", json={**speech, "stream_format": "sse"}).text
    assert "speech.audio.delta" in events
    assert "speech.audio.done" not in events
    assert '"error"' in events.strip().split("\n\n")[-1]


def _kill_engine_twice(server: RunningServer) -> None:
    killed = _kill_engine(server)
    wait_until(lambda: server.engine_pid() not in {None, killed}, 15, "a new engine")
    _wait_for_work(server)
    _kill_engine(server)


def test_a_failure_in_mid_transcription_is_an_event(fake_asr: RunningServer) -> None:
    with fake_asr.openai() as client:
        stream = client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", tone(60.0)), prompt="sleep=0.2", language="en", stream=True
        )
        assert isinstance(next(stream), TranscriptionTextDeltaEvent)
        _kill_engine_twice(fake_asr)
        with pytest.raises(openai.APIError) as caught:
            list(stream)
    assert caught.value.code == "engine_crashed"


def test_a_server_that_stops_finishes_its_work(start_server: StartServer) -> None:
    settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false"}
    with start_server("asr", **settings) as server, ThreadPoolExecutor(1) as threads:
        _transcribe(server, "")
        job = threads.submit(_transcribe, server, "sleep=1.5")
        _wait_for_work(server)
        pid = server.engine_pid()
        assert pid is not None
        server.process.terminate()
        assert job.result() == "window 1.0 s."
        assert server.process.wait(10) == 0, server.log.read_text()
        assert not psutil.pid_exists(pid)
        assert "Traceback" not in server.log.read_text()
        server.expect_no_uploads()
