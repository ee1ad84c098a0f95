"""Work that ends when nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def finish_unless_disconnected(request: Request, work: Coroutine[object, object, T]) -> T:
    """Run `work` to its end, or cancel it as soon as the client goes away.

    Args:
        request: The request the work is for; its body has been read to the end.
        work: What to run.

    Returns:
        The result of `work`.

    Raises:
        ClientDisconnect: The client is gone; `work` has been cancelled and has ended.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        watch.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
