"""Work in threads that nobody gives up half-way."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import anyio

P = ParamSpec("P")
T = TypeVar("T")


async def run_to_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread; a cancellation goes on only when the thread is done.

    `asyncio.to_thread` gives the thread up when its caller is cancelled: the caller closes what the thread still works
    with. For a codec that is the end of the whole process.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    # A cancelled scope of anyio, as Starlette's responses have, would cancel the wait again and again.
    with anyio.CancelScope(shield=True):
        while not thread.done():
            try:
                await asyncio.wait({thread})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        thread.exception()  # looked at, or asyncio complains that nobody did
        raise cancelled
    return thread.result()
