"""Many who listen at once: to the same speech, and to others."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from e2e.speech_requests import FAKE, LIGHTS, body, entries, parts, read_events, sentences, speak
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
CLAUSE_S = 0.2
BOOK = f"sleep={CLAUSE_S}"


@contextmanager
def listening(server: RunningServer, text: str, **fields: object) -> Iterator[httpx2.Response]:
    """A client that has the first bytes and takes its time with the others."""
    with server.http() as client, client.stream("POST", "/v1/audio/speech", json=body(text, **fields)) as answer:
        assert answer.status_code == 200
        yield answer


def cache_of(server: RunningServer) -> Path:
    return server.log.parent / "cache"


def _is_idle(server: RunningServer) -> bool:
    return server.count_jobs() == (0, 0)


def test_twenty_equal_requests_are_one_computation(fake_tts: RunningServer) -> None:
    text, jobs = sentences(4, BOOK, words="is wanted by twenty"), set[tuple[int, int]]()
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(speak, fake_tts, text, stream=bool(index % 2)) for index in range(20)]
        while not all(answer.done() for answer in asked):
            jobs.add(fake_tts.count_jobs())
            time.sleep(0.05)
    answers = [answer.result() for answer in asked]
    outcomes = Counter(answer.headers["x-cache"] for answer in answers)
    assert outcomes["miss"] == 1, outcomes
    assert outcomes["miss"] + outcomes["joined"] + outcomes["hit"] == 20
    assert outcomes["joined"] >= 10, outcomes
    assert len({answer.content for answer in answers}) == 1
    assert all(running + waiting <= 1 for running, waiting in jobs), jobs


def test_who_comes_late_hears_the_beginning(fake_tts: RunningServer) -> None:
    text = sentences(6, BOOK, words="is heard from its first word")
    with listening(fake_tts, text) as first:
        pieces = first.iter_raw()
        begun = next(pieces) + next(pieces)
        late = speak(fake_tts, text, stream_format="sse")
        whole = begun + b"".join(pieces)
    assert (first.headers["x-cache"], late.headers["x-cache"]) == ("miss", "joined")
    told = read_events(late.text)
    assert (told.audio, told.characters[-1]) == (whole, len(text))


def test_work_goes_on_until_the_last_listener_leaves(fake_tts: RunningServer) -> None:
    text = sentences(200, BOOK, words="is left by one listener after the other")
    with listening(fake_tts, text) as stays:
        pieces = stays.iter_raw()
        next(pieces)
        with listening(fake_tts, text) as leaves:
            assert leaves.headers["x-cache"] == "joined"
        heard = sum(len(next(pieces)) for _ in range(8))
        assert heard > 24_000
        assert fake_tts.count_jobs()[0] == 1
    wait_until(lambda: _is_idle(fake_tts), 3 * CLAUSE_S + 6, "the speech stops")
    # What nobody heard to its end is made anew.
    with listening(fake_tts, text) as again:
        assert again.headers["x-cache"] == "miss"
    wait_until(lambda: _is_idle(fake_tts), 3 * CLAUSE_S + 6, "the speech stops")


def test_a_failure_reaches_everybody_and_is_not_kept(fake_tts: RunningServer) -> None:
    text = f"{sentences(5, BOOK, words='is fine')} The last one takes {BOOK} and will fail."

    def listen(stream: bool) -> str:
        with fake_tts.http() as client, client.stream("POST", "/v1/audio/speech", json=body(text, stream=stream)) as it:
            if it.status_code != 200:
                return str(it.status_code)
            with pytest.raises(httpx2.RemoteProtocolError):
                it.read()
            return "broken off"

    kept = entries(cache_of(fake_tts))
    with ThreadPoolExecutor(4) as threads:
        fates = list(threads.map(listen, [True, True, False, False]))
    assert fates == ["broken off", "broken off", "500", "500"]
    told = read_events(speak(fake_tts, text, stream_format="sse").text)
    assert "told to fail" in told.last["error"]["message"]
    assert len(told.audio) > 24_000
    wait_until(lambda: not parts(cache_of(fake_tts)), 10, "nothing half is left")
    assert entries(cache_of(fake_tts)) == kept


def test_a_book_waits_for_its_listener(fake_tts: RunningServer) -> None:
    text = sentences(3000, words="is not made hours ahead")  # nearly three hours, made in seconds if nobody waits
    folder, sizes = cache_of(fake_tts), list[int]()

    def is_waiting() -> bool:
        sizes.append(sum(part.stat().st_size for part in parts(folder)))
        return len(sizes) > 40 and len(set(sizes[-40:])) == 1 and fake_tts.count_jobs() == (0, 1)

    with listening(fake_tts, text) as book:
        pieces = book.iter_raw()
        next(pieces)
        wait_until(is_waiting, 60, "the book stands still")
        assert sizes[-1] < 12 * 1024 * 1024  # 4 minutes; most of it is in the buffers of the two sockets
        assert speak(fake_tts, LIGHTS).status_code == 200
        assert len(next(pieces)) > 0
    wait_until(lambda: _is_idle(fake_tts) and not parts(folder), 10, "the book is closed")


def test_lights_go_on_while_a_book_is_read(fake_tts: RunningServer) -> None:
    clauses = 60
    with listening(fake_tts, sentences(clauses, BOOK, words="keeps the engine busy")) as book:
        pieces = book.iter_raw()
        next(pieces)
        for number in range(3):
            started = time.monotonic()
            answer = speak(fake_tts, f"{LIGHTS} Number {number}.")
            took_s = time.monotonic() - started
            assert (answer.status_code, answer.headers["x-cache"]) == (200, "miss")
            # One clause of the book is being spoken, another may be next; all of it would take 12 s.
            assert took_s < 3 * CLAUSE_S + 6
        assert fake_tts.count_jobs() != (0, 0), "the book is still being read"
        assert len(next(pieces)) > 0
    wait_until(lambda: _is_idle(fake_tts), 3 * CLAUSE_S + 6, "the book stops when its reader leaves")


@pytest.mark.parametrize("fault", ["a file in its place", "no file may grow"])
def test_speech_needs_no_disk(start_server: StartServer, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "cache"
    if fault == "a file in its place":
        folder.write_bytes(b"")
    text = sentences(12, words="is longer than what is held in memory")  # 2 MB of samples
    with start_server("tts", TTS_CACHE_DIR=str(folder), **FAKE) as server:
        expected = speak(server, text, cache=False).content
        assert len(expected) > 1_000_000
        if fault == "no file may grow":
            psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (400_000, 400_000))
        for stream in (True, False):
            answer = speak(server, text, stream=stream)
            assert (answer.status_code, answer.content) == (200, expected)
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda _: speak(server, text).content, range(4)))
        assert set(together) == {expected}
        log = server.log.read_text()
        assert log.count("not cached") == 1, log
        assert "Traceback" not in log
        wait_until(lambda: not folder.is_dir() or not parts(folder), 10, "nothing half is left")
        if fault == "no file may grow":
            assert [speak(server, LIGHTS).headers["x-cache"] for _ in range(2)] == ["miss", "hit"]
