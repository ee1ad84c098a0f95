"""An answer that takes long: empty lines keep its connection open until the body is there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from voice_stack.core.errors import ShuttingDownError

T = TypeVar("T")

FIRST_LINES = {"vtt": b"WEBVTT\n\n", "tsv": b"start\tend\ttext\n"}
"""Formats whose first line must stay the first: it is sent ahead of the empty lines."""


async def beat_until_done(
    task: asyncio.Task[T], interval_s: float, render: Callable[[T], Awaitable[bytes]], first_line: bytes = b""
) -> AsyncIterator[bytes]:
    """The pieces of a body: one at once, an empty line whenever the interval has passed, at the end what was made.

    Args:
        task: Makes the result; it goes on when nobody reads any more.
        interval_s: Seconds between empty lines.
        render: Turns the result into the body.
        first_line: How every body in this format begins; sent once.

    Raises:
        VoiceStackError: The task failed, or the server is stopping; the body must then be broken off, not ended.
    """
    yield first_line or b"\n"
    while not (await asyncio.wait({task}, timeout=interval_s))[0]:
        yield b"\n"
    if task.cancelled():
        raise ShuttingDownError("the server is stopping")
    body = await render(task.result())
    yield body.removeprefix(first_line)
