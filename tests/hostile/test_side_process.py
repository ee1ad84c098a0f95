"""Work in a side process is bounded in time and memory, whatever it does, and the next call is served."""

import os
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from running_server import wait_until
from voice_stack.core.errors import InvalidRequestError, ShuttingDownError
from voice_stack.core.system.side_process import GivenUpError, SideProcess
from voice_stack.utils.language import require_language
from voice_stack.utils.language_detection import detect_text_language

IDLE_S = 1.0
TIMEOUT_S = 20.0
LANGUAGES = ("en", "de")
TEXT = "Guten Morgen, wie geht es Ihnen?"


@pytest.fixture
async def side() -> AsyncIterator[SideProcess]:
    process = SideProcess("test", IDLE_S)
    yield process
    await process.close()


def test_results_and_errors_come_back(side: SideProcess) -> None:
    assert side.call(detect_text_language, TIMEOUT_S, TEXT, LANGUAGES) == "de"
    with pytest.raises(InvalidRequestError, match="klingon"):
        side.call(require_language, TIMEOUT_S, "klingon")
    with pytest.raises(FileNotFoundError):
        side.call(os.stat, TIMEOUT_S, "/no/such/file")
    with pytest.raises(GivenUpError, match="ZeroDivisionError"):
        side.call(divmod, TIMEOUT_S, 1, 0)


def test_too_long_too_much_and_death_are_told_and_the_next_call_is_served(side: SideProcess) -> None:
    with pytest.raises(GivenUpError, match=r"longer than 0\.5 s"):
        side.call(time.sleep, 0.5, 60)
    with pytest.raises(GivenUpError, match="too much memory"):
        side.call(bytearray, TIMEOUT_S, 2 << 30)
    with pytest.raises(GivenUpError, match="died"):
        side.call(os.abort, TIMEOUT_S)
    assert side.call(abs, TIMEOUT_S, -1) == 1


def test_an_idle_process_ends_and_comes_back(side: SideProcess) -> None:
    pid = side.call(os.getpid, TIMEOUT_S)
    assert side.call(os.getpid, TIMEOUT_S) == pid
    wait_until(lambda: not psutil.pid_exists(pid), IDLE_S + 10, "it has ended")
    assert side.call(os.getpid, TIMEOUT_S) != pid


def test_a_question_of_a_language_is_answered_at_once(side: SideProcess) -> None:
    side.call(detect_text_language, TIMEOUT_S, TEXT, LANGUAGES)
    times_s = []
    for _ in range(50):
        started = time.monotonic()
        side.call(detect_text_language, TIMEOUT_S, TEXT, LANGUAGES)
        times_s.append(time.monotonic() - started)
    print(f"median {1000 * sorted(times_s)[25]:.2f} ms")
    assert sorted(times_s)[25] < 0.005


async def test_after_the_end_nothing_is_done() -> None:
    process = SideProcess("test", IDLE_S)
    assert process.call(abs, TIMEOUT_S, -1) == 1
    await process.close()
    with pytest.raises(ShuttingDownError):
        process.call(abs, TIMEOUT_S, -1)
