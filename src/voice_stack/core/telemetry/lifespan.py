"""What measures from a server's start to its stop."""

import asyncio
import platform
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from voice_stack.core.telemetry.loop_lag import watch_event_loop
from voice_stack.core.telemetry.registry import BUILD
from voice_stack.core.telemetry.traces import start_traces, stop_traces

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def with_telemetry(lifespan: Lifespan, server: str, version: str) -> Lifespan:
    """A server's lifespan with measuring around it.

    Args:
        lifespan: The server's own.
        server: `asr` or `tts`.
        version: Of the package.
    """

    @asynccontextmanager
    async def observed(app: FastAPI) -> AsyncIterator[None]:
        BUILD.info({"server": server, "version": version, "python": platform.python_version()})
        start_traces(server, version)
        lag = asyncio.create_task(watch_event_loop())
        try:
            async with lifespan(app):
                yield
        finally:
            lag.cancel()
            await asyncio.to_thread(stop_traces)

    return observed
