"""Work in a thread that is cancelled goes on to its end before anybody hears of it."""

import asyncio
import threading

import anyio
import pytest

from voice_stack.tts.speech import run_to_end

BOUND_S = 30


class Work:
    """Begins, waits to be let go, ends."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.is_over = False
        self.error = error

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(BOUND_S)
        self.is_over = True
        if self.error:
            raise self.error
        return "done"


async def begin(work: Work) -> asyncio.Task[str]:
    task = asyncio.create_task(run_to_end(work))
    assert await asyncio.to_thread(work.begun.wait, BOUND_S)
    return task


async def test_results_and_errors_come_through() -> None:
    assert await run_to_end(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_to_end(divmod, 7, 0)


@pytest.mark.parametrize("error", [None, ValueError("too late")])
async def test_a_cancelled_task_ends_after_its_thread(error: Exception | None) -> None:
    work = Work(error)
    task = await begin(work)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.is_over


async def test_a_cancelled_scope_ends_after_its_thread() -> None:
    work = Work()
    async with anyio.create_task_group() as group:
        group.start_soon(run_to_end, work)
        assert await asyncio.to_thread(work.begun.wait, BOUND_S)
        group.cancel_scope.cancel()
        asyncio.get_running_loop().call_later(0.05, work.may_end.set)
    assert work.is_over
