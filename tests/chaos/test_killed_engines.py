"""Engine processes that are killed, at each stage of their work and again and again under load, or stand still."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx2
import psutil
import pytest

from chaos.dose import Dose
from chaos.footprint import await_quiet, measure
from chaos.listening import FAKE_ASR, LISTENING, URL, check_windows, form
from chaos.load import Fate, Journal, Load
from chaos.speaking import FAKE_TTS, TEXTS, Speaking, ask
from chaos.speaking import URL as SPEECH_URL
from e2e.sound import wrap_pcm
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
SILENCE_S = 1200
SILENT_S = 5.0
HONEST_STATUSES = {500, 503}
AT_ONCE_SHARE = 0.3
"""Of the kills: they come so soon after the last one that the engine is still starting."""
MIN_RIGHT_SHARE = 0.5
"""A kill costs the answers that had begun with a part of a sentence, and what it meets twice."""


@pytest.fixture(scope="module")
def asr(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR) as server:
        yield server


@pytest.fixture(scope="module")
def tts(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("tts", **FAKE_TTS) as server:
        yield server


def _kill(server: RunningServer) -> int:
    pid = server.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def _is(server: RunningServer, state: str, *, running: bool = False, waiting: bool = False) -> bool:
    """Whether the engine has a process, is in a state, and has such jobs."""
    engines = server.engines()
    if len(engines) != 1 or engines[0]["pid"] is None or engines[0]["state"] != state:
        return False
    return bool(engines[0]["jobs_running"]) == running and bool(engines[0]["jobs_waiting"]) == waiting


def _is_running(server: RunningServer) -> bool:
    return server.count_jobs()[0] > 0


def _post(server: RunningServer, request: dict[str, object], url: str = URL) -> httpx2.Response:
    with server.http() as client:
        return client.post(url, **request)  # type: ignore[arg-type]


def _killed_while(
    server: RunningServer, request: dict[str, object], is_time: Callable[[], bool], what: str
) -> httpx2.Response:
    """The answer to a request whose engine is killed as soon as it is time."""
    with ThreadPoolExecutor(1) as threads:
        answer: Future[httpx2.Response] = threads.submit(_post, server, request)
        wait_until(is_time, 30, what)
        killed = _kill(server)
        told = answer.result()
    assert server.engine_pid() not in {None, killed}
    return told


def test_killed_while_it_starts(start_server: StartServer) -> None:
    with start_server("asr", **FAKE_ASR) as server:
        answer = _killed_while(server, form(1.0), lambda: _is(server, "starting", waiting=True), "the engine starts")
    assert (answer.status_code, answer.json()["text"]) == (200, "window 1.0 s.")


def test_killed_while_it_prepares(asr: RunningServer) -> None:
    _post(asr, form(1.0))
    silence = wrap_pcm(bytes(2 * 8000 * SILENCE_S), 8000)
    data = {"model": "whisper-1", "language": "en", "vad_filter": "true", "response_format": "verbose_json"}
    request: dict[str, object] = {"data": data, "files": {"file": ("a.wav", silence)}}
    answer = _killed_while(asr, request, lambda: _is(asr, "ready", waiting=True), "the sound is prepared")
    assert (answer.status_code, answer.json()["text"]) == (200, "")
    assert answer.json()["duration"] == pytest.approx(SILENCE_S, abs=0.1)


def test_killed_while_it_runs(asr: RunningServer) -> None:
    _post(asr, form(1.0))
    request = form(7.0, prompt="sleep=0.3", language="en")
    right = _post(asr, request).json()["text"]
    answer = _killed_while(asr, request, lambda: _is(asr, "ready", running=True), "the job runs")
    assert (answer.status_code, answer.json()["text"]) == (200, right)


def test_killed_while_the_answer_is_on_its_way(asr: RunningServer) -> None:
    request = form(20.0, prompt="sleep=0.2", language="en", stream="true")
    right = _post(asr, request).text
    with asr.http() as client, client.stream("POST", URL, **request) as answer:  # type: ignore[arg-type]
        parts = answer.iter_text()
        begun = next(part for part in parts if "delta" in part)
        _kill(asr)
        assert begun + "".join(parts) == right


def test_killed_in_mid_speech_goes_on_or_breaks_off(tts: RunningServer) -> None:
    text = " ".join(f"Sentence number {number} takes sleep=0.2 to say." for number in range(10))
    request: dict[str, object] = {"json": ask(text, cache=False)}
    right, heard, is_whole = _post(tts, request, SPEECH_URL).content, b"", True
    with tts.http() as client, client.stream("POST", SPEECH_URL, **request) as answer:  # type: ignore[arg-type]
        try:
            for part in answer.iter_bytes():
                if not heard:
                    _kill(tts)
                heard += part
        except httpx2.RemoteProtocolError:
            is_whole = False
    assert right.startswith(heard)
    assert is_whole == (heard == right)


async def _kill_again_and_again(server: RunningServer, kills: int, rng: random.Random) -> None:
    killed: int | None = None
    for _ in range(kills):
        is_at_once = rng.random() < AT_ONCE_SHARE
        killed = await asyncio.to_thread(_await_victim, server, killed, is_at_once=is_at_once)
        await asyncio.sleep(rng.uniform(0, 0.3 if is_at_once else 1.5))
        os.kill(killed, signal.SIGKILL)


def _await_victim(server: RunningServer, last: int | None, *, is_at_once: bool) -> int:
    """The engine's next process, as soon as it is there or as it works."""

    def is_there() -> bool:
        engine = server.engines()[0]
        return engine["pid"] not in {None, last} and bool(is_at_once or engine["jobs_running"])

    wait_until(is_there, 60, "a new engine")
    pid = server.engine_pid()
    assert pid is not None
    return pid


async def _run_while_killed(server: RunningServer, load: Load, kills: int) -> Journal:
    journal = Journal()
    killing = asyncio.create_task(_kill_again_and_again(server, kills, random.Random(1)))
    await load.run(killing.done, journal)
    await killing
    return journal


@pytest.mark.timeout(900)
def test_engines_killed_under_load(asr: RunningServer, tts: RunningServer, dose: Dose) -> None:
    with tts.http() as client:
        speaking = Speaking.learn(client)
    _post(asr, form(1.0))
    before = [measure(server) for server in (asr, tts)]
    for server, visits in ((asr, LISTENING), (tts, speaking.visits())):
        load = Load(server.url, visits, dose.callers, leaving=0.1)
        journal = asyncio.run(_run_while_killed(server, load, dose.kills))
        print(journal.summary())
        assert journal.count(Fate.WRONG, Fate.LOST) == 0, journal.notes(Fate.WRONG, Fate.LOST)
        assert set(journal.statuses()) <= HONEST_STATUSES, journal.notes(Fate.REFUSED)
        stayed = len(journal.records) - journal.count(Fate.LEFT)
        assert journal.count(Fate.RIGHT) > MIN_RIGHT_SHARE * stayed, journal.summary()
    assert _post(asr, form(1.0)).json()["text"] == "window 1.0 s."
    assert _post(tts, {"json": ask(TEXTS[0], cache=False)}, SPEECH_URL).content == speaking.known[TEXTS[0]]
    for server, held in zip((asr, tts), before, strict=True):
        await_quiet(server)
        after = measure(server)
        assert (after.processes, after.files) == (held.processes, held.files)
        assert after.descriptors <= held.descriptors + 4


def test_engine_that_stands_still_is_no_reason_to_stand_still(asr: RunningServer) -> None:
    _post(asr, form(1.0))
    pid = asr.engine_pid()
    assert pid is not None
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(_post, asr, form(7.0, prompt="sleep=0.2", language="en"))
        wait_until(lambda: _is(asr, "ready", running=True), 30, "the job runs")
        os.kill(pid, signal.SIGSTOP)
        try:
            with asr.http() as client:
                for path in ("/health", "/status", "/v1/models", "/v1/jobs"):
                    assert client.get(path).status_code == 200
        finally:
            os.kill(pid, signal.SIGCONT)
        assert answer.result().json()["text"].count("window") >= 4


def test_engine_that_goes_on_standing_still_is_replaced(start_server: StartServer) -> None:
    # A process that starts on a busy machine is silent for a while, too: it has a minute for that.
    with (
        start_server("asr", ASR_ENGINE_TIMEOUT_S=str(SILENT_S), **FAKE_ASR) as server,
        ThreadPoolExecutor(4) as threads,
    ):
        _post(server, form(1.0))
        pid = server.engine_pid()
        assert pid is not None
        asked = [threads.submit(_post, server, form(7.0, prompt=f"sleep=0.3 {n}", language="en")) for n in range(4)]
        wait_until(lambda: _is_running(server), 30, "a job runs")
        os.kill(pid, signal.SIGSTOP)
        answers = [one.result() for one in asked]
        assert not psutil.pid_exists(pid)
    for answer in answers:
        check_windows(answer.raise_for_status().json()["text"], 7.0)
