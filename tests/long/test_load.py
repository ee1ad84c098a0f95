"""Many requests at once."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import psutil
import pytest

from e2e.sound import tone
from running_server import RunningServer, wait_until

pytestmark = pytest.mark.alone

StartServer = Callable[..., AbstractContextManager[RunningServer]]
Spoken = Callable[[str], bytes]
REQUESTS = 60
MAX_HEALTH_S = 0.5
CALM_SHARE = 0.9
"""The load and the watcher share the server's two cores: now and then one of them waits for its turn."""
HEALTH_WATCHER = """
import http.client, json, select, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
times_s = []
while not select.select([sys.stdin], [], [], 0.02)[0]:
    started = time.perf_counter()
    connection.request("GET", "/health")
    response = connection.getresponse()
    response.read()
    assert response.status == 200
    times_s.append(time.perf_counter() - started)
print(json.dumps(times_s))
"""


@contextmanager
def _polling(poll: Callable[[], None], pause_s: float) -> Iterator[None]:
    """Call something again and again, in a thread, while the context lasts."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            poll()
            stop.wait(pause_s)

    with ThreadPoolExecutor(1) as threads:
        polling = threads.submit(repeat)
        try:
            yield
        finally:
            stop.set()
    polling.result()


def test_health_is_quick_under_load(fake_asr: RunningServer) -> None:
    async def transcribe_all() -> list[str]:
        async with fake_asr.async_openai() as client:
            answers = await asyncio.gather(
                *(
                    client.audio.transcriptions.create(
                        model="whisper-1", file=("a.wav", sound), prompt="sleep=0.05", language="en"
                    )
                    for _ in range(REQUESTS)
                )
            )
        return [answer.text for answer in answers]

    sound = tone(1.0)
    # A process of its own: this one makes the load, and its delays are not the server's.
    watcher = subprocess.Popen(
        [sys.executable, "-c", HEALTH_WATCHER, str(fake_asr.port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    texts = asyncio.run(transcribe_all())
    told, _ = watcher.communicate("")
    times_s: list[float] = json.loads(told)
    assert texts == ["window 1.0 s."] * REQUESTS
    assert len(times_s) >= REQUESTS
    quick = sum(time_s < MAX_HEALTH_S for time_s in times_s)
    assert quick >= CALM_SHARE * len(times_s), sorted(times_s)[-10:]


def test_a_short_job_overtakes_a_long_one(fake_asr: RunningServer) -> None:
    def transcribe(length_s: float) -> float:
        with fake_asr.openai() as client:
            text = client.audio.transcriptions.create(
                model="whisper-1", file=("a.wav", tone(length_s)), prompt=f"sleep=0.1 {length_s}", language="en"
            ).text
        assert text.count("window") >= max(1, length_s / 2)
        return time.monotonic()

    with ThreadPoolExecutor(2) as threads:
        long_job = threads.submit(transcribe, 80.0)  # at least 40 windows: 4 s of work
        wait_until(lambda: fake_asr.count_jobs()[0], 15, "the long job runs")
        asked = time.monotonic()
        short_done = threads.submit(transcribe, 1.0).result()
        assert not long_job.done()
        long_done = long_job.result()
    assert short_done - asked < 1.5
    assert long_done - short_done > 1.5


def test_two_models_share_one_place(start_server: StartServer, spoken: Spoken) -> None:
    sound = ("a.wav", spoken("The weather is fine today."))
    most = 0
    with start_server("asr", "--max-loaded-models", "1") as server:
        process = psutil.Process(server.process.pid)

        def count_engines() -> None:
            nonlocal most
            pids = [engine["pid"] for engine in server.engines() if engine["pid"] is not None]
            alive = [child for child in process.children() if child.pid in pids]
            most = max(most, len(alive))

        def transcribe(model: str) -> str:
            with server.openai() as client:
                return client.audio.transcriptions.create(model=model, file=sound).text

        with _polling(count_engines, 0.05), ThreadPoolExecutor(2) as threads:
            texts = list(threads.map(transcribe, ["base", "tiny.en", "base"]))
        states = {str(engine["engine"]): engine["state"] for engine in server.engines()}
    assert all("weather is fine" in text.lower() for text in texts), texts
    assert len(states) == 2
    assert sorted(map(str, states.values())) == ["ready", "stopped"]
    assert most == 1


def test_replicas_work_at_the_same_time(start_server: StartServer) -> None:
    settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "ASR_REPLICAS": "2"}
    with start_server("asr", **settings) as server, server.openai() as client, ThreadPoolExecutor(2) as threads:

        def transcribe(prompt: str) -> str:
            return client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(1.0)), prompt=prompt).text

        transcribe("")
        assert [engine["engine"] for engine in server.engines()] == ["fake/fake"]
        jobs = [threads.submit(transcribe, "sleep=3") for _ in range(2)]
        wait_until(lambda: server.count_jobs()[0] == 2, 10, "both replicas are at work")
        assert {engine["engine"] for engine in server.engines()} == {"fake/fake", "fake/fake#2"}
        assert [job.result() for job in jobs] == ["window 1.0 s."] * 2
