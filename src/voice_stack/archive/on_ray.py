"""An archive on a Ray cluster: a pipeline of Ray Data, whose actors have an engine each.

The manifest stays with whoever runs the command: it hands out what is left, and notes each recording when it is done.
"""

import asyncio
import gc
import logging
import pickle
import socket
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.exceptions import RayError

from voice_stack.archive.heard import Wanted
from voice_stack.archive.making import archive_item, left_of
from voice_stack.archive.manifest import Done, Item, Manifest
from voice_stack.archive.outputs import open_outputs
from voice_stack.archive.transcribers import BUSY_S, OwnEngine, outcome_of, own_engine
from voice_stack.archive.work import MAX_TRIES, Tally
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.engine.ray_worker import settle_in_worker
from voice_stack.core.errors import ConfigurationError, EngineError, UpstreamError, VoiceStackError
from voice_stack.core.logging import log_event
from voice_stack.core.system.objects import SCHEME

T = TypeVar("T")
_log = logging.getLogger(__name__)

AT_ONCE = 8
"""Recordings that one engine has in hand: what it needs to batch, and to have the next one decoded."""
CONNECT_S, END_S = 5.0, 30.0
PAGE = 20_000
"""Recordings that the pipeline knows of at a time."""


@dataclass(frozen=True, slots=True)
class Place:
    """A Ray cluster, and what each engine gets of it.

    Attributes:
        address: `auto`, or `HOST:PORT` of its head.
        cpus: For each engine; a part counts as one thread.
        gpus: The same of GPUs: 0.25 puts four engines on one.
    """

    address: str
    cpus: float = 2.0
    gpus: float = 0.0

    def most_engines(self) -> int:
        """How many engines there is room for, at least 1."""
        there = ray.cluster_resources()
        rooms = [there.get("CPU", 0.0) // self.cpus]
        rooms += [there.get("GPU", 0.0) // self.gpus] if self.gpus else []
        if not min(rooms):
            wanted = {"cpus": self.cpus, "gpus": self.gpus}
            log_event(_log, logging.WARNING, "no node has room for an engine yet", **wanted, cluster=dict(there))
        return max(1, int(min(rooms)))


class Archivist:
    """An actor: takes recordings, several at once, and makes their texts.

    Args:
        given: Settings that are not the defaults.
        wanted: What texts.
        out: Where they go.
    """

    def __init__(self, given: Mapping[str, object], wanted: Wanted, out: str) -> None:
        self._wanted, self._outputs = wanted, open_outputs(out)
        self._stack, self._loop = AsyncExitStack(), asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="archive", daemon=True).start()
        self._engine: OwnEngine | None = None
        self._problem = ""
        try:
            settings = settle_in_worker(AsrSettings.read(**given))
            self._engine = self._run(self._stack.enter_async_context(own_engine(settings, wanted)))
        except VoiceStackError as error:
            self._problem = error.message  # an actor that does not start would be started again and again

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        """One recording; its row has the pickled `Item`, the answer the pickled `Done`, or the reason to stop."""
        return {"done": pickle.dumps(self._run(self._archive(pickle.loads(row["item"]))))}  # noqa: S301

    def _run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _archive(self, item: Item) -> Done | str:
        for _ in range(MAX_TRIES):
            if self._engine is None:
                break
            try:
                return await archive_item(item, self._engine, self._outputs, self._wanted)
            except VoiceStackError as error:
                if outcome_of(error) not in {"busy", "away"}:
                    return error.message
                reason = error.message
                await asyncio.sleep(error.retry_after_s or BUSY_S)
        else:
            return Done(item.key, "failed", outputs=left_of(item), reason=f"{MAX_TRIES} tries, the last: {reason}")
        return self._problem


class RayRun:
    """Works through an archive on a cluster, from a node of it; lives on the event loop.

    Args:
        manifest: With what is left; its recordings lie where every node finds them.
        out: Where the texts go, on every node the same.
        wanted: What texts.
        tally: Takes what becomes of the recordings.
        place: Where the engines are.
    """

    def __init__(self, manifest: Manifest, out: str, wanted: Wanted, tally: Tally, place: Place) -> None:
        self._manifest, self._wanted, self._tally, self._place = manifest, wanted, tally, place
        self._out = _everywhere(out)

    async def work(self) -> None:
        """Do all of it; what is not done when this raises is left to the next run.

        Raises:
            VoiceStackError: Something else than a recording is at fault.
        """
        try:
            await asyncio.to_thread(self._connect)
            items = self._manifest.waiting()
            while page := list(islice(items, PAGE)):
                await self._work_through(page)
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        host, colon, port = self._place.address.rpartition(":")
        try:
            if colon and port.isdecimal():
                # Ray would wait for minutes, and say something else then.
                socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            ray.init(self._place.address, logging_level="ERROR", log_to_driver=False)
        except (OSError, RuntimeError, ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"--ray {self._place.address}: no Ray cluster answers there ({error}). It is auto or HOST:PORT, on a "
                "node of the cluster; where that asks for a token, RAY_AUTH_MODE=token"
            ) from None
        context = DataContext.get_current()
        context.enable_progress_bars = False
        # A recording that ends its actor again and again comes back without a row, and the others go on.
        context.max_errored_blocks = -1

    async def _work_through(self, page: Sequence[Item]) -> None:
        left, rows = {item.key: item for item in page}, _Rows(self._pipeline(page))
        try:
            while (row := await rows.next()) is not None:
                done: Done | str = pickle.loads(row["done"])  # noqa: S301 - of an actor of ours
                if isinstance(done, str):
                    raise EngineError(done)
                self._tally.note(left.pop(done.key), done)
        finally:
            rows.close()
        for item in left.values():
            reason = f"the process that had it ended {MAX_TRIES} times"
            self._tally.note(item, Done(item.key, "failed", outputs=left_of(item), reason=reason))

    def _pipeline(self, page: Sequence[Item]) -> Dataset:
        """Each row is a task of its own, so that none waits for another."""
        found = [{"item": pickle.dumps(replace(item, place=_everywhere(item.place)))} for item in page]
        settings = AsrSettings.read(log_level="WARNING")
        given = {name: getattr(settings, name) for name in settings.model_fields_set}
        actors = ActorPoolStrategy(
            min_size=1,
            max_size=self._place.most_engines(),
            max_concurrent_calls_per_actor=AT_ONCE,
            enable_true_multi_threading=True,
        )
        return ray.data.from_items(found, override_num_blocks=len(found)).map(
            Archivist,
            fn_constructor_args=(given, self._wanted, self._out),
            compute=actors,
            num_cpus=self._place.cpus,
            num_gpus=self._place.gpus,
            ray_remote_args_fn=_retries,
        )


def _retries() -> dict[str, int]:
    return {"max_task_retries": MAX_TRIES - 1}


class _Rows:
    """What the actors answer, as it comes; taken in a thread that never holds up the end of the program."""

    def __init__(self, pipeline: Dataset) -> None:
        self._pipeline = pipeline
        self._loop, self._rows = (
            asyncio.get_running_loop(),
            asyncio.Queue[Mapping[str, bytes] | VoiceStackError | None](),
        )
        self._thread = threading.Thread(target=self._take, name="rows", daemon=True)
        self._thread.start()

    async def next(self) -> Mapping[str, bytes] | None:
        """The next row; None at the end."""
        row = await self._rows.get()
        if isinstance(row, VoiceStackError):
            raise row
        return row

    def close(self) -> None:
        """End the pipeline, and let go of it: what is left of one calls a Ray that is gone, which ends the process."""
        if self._thread.is_alive() and (running := getattr(self._pipeline, "_current_executor", None)):
            running.shutdown(force=True)
        self._thread.join(END_S)
        del self._pipeline
        gc.collect()

    def _take(self) -> None:
        try:
            for row in self._pipeline.iter_rows():
                self._put(row)
            self._put(None)
        except (RayError, RuntimeError) as error:
            self._put(UpstreamError(f"Ray gave up: {(str(error).splitlines() or [''])[-1]}"))

    def _put(self, row: Mapping[str, bytes] | VoiceStackError | None) -> None:
        with suppress(RuntimeError):  # nobody waits any more
            self._loop.call_soon_threadsafe(self._rows.put_nowait, row)


def _everywhere(place: str) -> str:
    return place if place.startswith(SCHEME) else str(Path(place).absolute())
