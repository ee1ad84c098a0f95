"""What happens to a job whose engine cannot work: another model does it, where the operator has named one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from logging import WARNING, getLogger

from voice_stack.core.engine_host import EngineHost
from voice_stack.core.engine_process import EngineSpec
from voice_stack.core.errors import ModelNotFoundError, ShuttingDownError, VoiceStackError
from voice_stack.core.job_handle import JobHandle
from voice_stack.core.logging import log_event

logger = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Substitute:
    """The engine that does a job where its own cannot.

    Attributes:
        replicas: Equal engines with the other model.
        request: The work in the form that fits it.
        for_missing: Also where the model is nowhere to be had: not so for a model that the client has named.
    """

    replicas: Sequence[EngineSpec]
    request: object
    for_missing: bool


class Substitution:
    """Moves jobs to substitutes; lives on the event loop.

    Args:
        admit: Finds an engine among replicas, with a place and memory for it.
    """

    def __init__(self, admit: Callable[[Sequence[EngineSpec]], Awaitable[EngineHost]]) -> None:
        self._admit = admit
        self._tasks: set[asyncio.Task[None]] = set()

    def prepare(self, handle: JobHandle, substitute: Substitute) -> None:
        """Let a job go on with its substitute when its engine cannot work."""
        handle.on_no_engine = lambda error: self.begin(handle, substitute, error)

    def begin(self, handle: JobHandle, substitute: Substitute, error: VoiceStackError) -> bool:
        """Move a job, if this error is a reason to."""
        if isinstance(error, ModelNotFoundError) and not substitute.for_missing:
            return False
        task = asyncio.get_running_loop().create_task(self._move(handle, substitute, error))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Move no more jobs; those under way fail."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _move(self, handle: JobHandle, substitute: Substitute, error: VoiceStackError) -> None:
        try:
            host = await self._admit(substitute.replicas)
        except VoiceStackError:
            # Why the model that was asked for cannot work says more.
            handle.fail(error)
            return
        except asyncio.CancelledError:
            handle.fail(ShuttingDownError("the server is stopping"))
            raise
        if not handle.is_wanted:
            handle.fail(error)
            return
        fields = {"engine": host.spec.name, "reason": error.message, "job_request": handle.job.request_id}
        log_event(logger, WARNING, "model cannot work: the fall-back model does the job", **fields)
        host.adopt(handle, replace(handle.job, request=substitute.request, first_unit=0, attempt=0))
