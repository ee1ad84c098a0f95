"""How late the event loop is: a timer that notes when it is woken."""

import asyncio

from voice_stack.core.telemetry.registry import LOOP_LAG

INTERVAL_S = 0.5


async def watch_event_loop() -> None:
    """Measure until cancelled: two wake-ups a second, some ten microseconds each."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        LOOP_LAG.observe(max(0.0, loop.time() - due_at))
