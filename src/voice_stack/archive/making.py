"""One recording to its texts, unless they are there; the same whoever transcribes it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from voice_stack.archive.heard import Wanted, suffix_of
from voice_stack.archive.manifest import Done, Item
from voice_stack.archive.outputs import Outputs
from voice_stack.archive.sources import fetched
from voice_stack.archive.transcribers import ShowProgress, Transcriber, outcome_of
from voice_stack.core.errors import KeyRefusedError, StorageFullError, UpstreamError, VoiceStackError
from voice_stack.core.system.files import digest_file, is_full

P = ParamSpec("P")
T = TypeVar("T")
FindTwin = Callable[[Item, str], Done | None]
"""Takes an item and the SHA-256 of its content; gives what was made of another recording with that content."""


async def archive_item(
    item: Item,
    transcriber: Transcriber,
    outputs: Outputs,
    wanted: Wanted,
    *,
    show: ShowProgress = lambda _percent, _eta_s, _state: None,
    find_twin: FindTwin = lambda _item, _digest: None,
    folder: Path | None = None,
) -> Done:
    """Make the texts of a recording, unless they are there.

    Args:
        item: Which.
        transcriber: Hears it.
        outputs: Where the texts go.
        wanted: What texts.
        show: Told how far it is.
        find_twin: Tells whether the texts of another recording will do; called on the event loop.
        folder: Where the recordings of buckets are put meanwhile; None: the system's folder for temporary files.

    Raises:
        VoiceStackError: The fault is not the recording's: `outcome_of` is `busy`, `away` or `stop`.
    """
    started = time.monotonic()
    try:
        done = await _make(item, transcriber, outputs, wanted, show, find_twin, folder)
        await _stored(_tidy, item, done, outputs)
        return replace(done, work_s=round(time.monotonic() - started, 3))
    except OSError as error:
        if is_full(error):
            raise StorageFullError(f"No room for {item.place}: {error.strerror}") from None
        return Done(item.key, "failed", outputs=left_of(item), reason=error.strerror or str(error))
    except VoiceStackError as error:
        outcome = outcome_of(error)
        if outcome == "refused" or outcome == "failed":
            return Done(item.key, outcome, outputs=left_of(item), reason=error.message)
        raise


async def _make(
    item: Item,
    transcriber: Transcriber,
    outputs: Outputs,
    wanted: Wanted,
    show: ShowProgress,
    find_twin: FindTwin,
    folder: Path | None,
) -> Done:
    with ExitStack() as stack:
        path = await _stored(stack.enter_context, fetched(item, folder))
        digest = await asyncio.to_thread(digest_file, path)
        if done := await _stored(_keep, item, digest, outputs):
            return done
        twin = find_twin(item, digest)
        if twin and (done := await _stored(_copy, item, twin, outputs)):
            return done
        heard = await transcriber.hear(path, item.language, show)
    texts = await asyncio.to_thread(heard.texts, wanted)
    language = wanted.text_language(heard.transcript.language)
    named = {f"{item.target}.{language}.{suffix_of(name)}": text for name, text in texts.items()}
    await _stored(_write, named, outputs)
    spoken, audio_s = heard.transcript.language, heard.transcript.duration_s
    return Done(item.key, "done", digest, tuple(named), spoken, audio_s, notes=heard.notes)


async def _stored(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what reads or writes files and objects, in a thread.

    Raises:
        OSError: It cannot be done; a bucket that is away is no fault of who transcribes.
    """
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except KeyRefusedError:
        raise
    except UpstreamError as error:
        raise ConnectionError(error.message) from None


def _keep(item: Item, digest: str, outputs: Outputs) -> Done | None:
    """What there is already, if the file was only touched."""
    earlier = item.earlier
    is_same = earlier is not None and earlier.digest == digest and all(map(outputs.has, earlier.outputs))
    return replace(earlier, state="done", reason="") if earlier and is_same else None


def _copy(item: Item, twin: Done, outputs: Outputs) -> Done | None:
    """The texts of a recording with the same content, under the names of this one; None if one is gone."""
    named = dict[str, bytes]()
    for name in twin.outputs:
        content = outputs.read(name)
        if content is None:
            return None
        named[f"{item.target}.{'.'.join(name.split('.')[-2:])}"] = content
    _write(named, outputs)
    return replace(twin, key=item.key, outputs=tuple(named), notes=(*twin.notes, f"as {twin.key}"))


def _write(named: Mapping[str, bytes], outputs: Outputs) -> None:
    for name, content in named.items():
        outputs.write(name, content)


def _tidy(item: Item, done: Done, outputs: Outputs) -> None:
    """Remove texts of an earlier run that are none any more: in another language, or another format."""
    for name in left_of(item):
        if name not in done.outputs:
            outputs.remove(name)


def left_of(item: Item) -> tuple[str, ...]:
    """The texts that are there of an earlier run."""
    return item.earlier.outputs if item.earlier else ()
