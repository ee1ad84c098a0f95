"""`TTS_VOICE_URL`: the voices that replicas share in an object store, and `TTS_VOICE_DIR` as a copy of them.

The store holds what the folder would: recordings, their TOML, uploads, consents, Piper's files. It is looked at every
30 s, and at once where somebody asks for a voice that is not known. What was copied and is gone there goes here, too;
what lies here alone stays, and stands before what the store has under its name. A store that is away changes nothing.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from voice_stack.core.errors import (
    NotFoundError,
    PayloadTooLargeError,
    StorageFullError,
    UnsupportedValueError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.core.logging import log_event
from voice_stack.core.system.breaker import Breaker
from voice_stack.core.system.files import DRAFT_PREFIX, open_regular, refuse_controls, warn_once, write_whole
from voice_stack.core.system.objects import ObjectStore, StoredObject
from voice_stack.core.telemetry.registry import OBJECTS
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.recordings import SUFFIXES

READ_S, WRITE_S = 3.0, 10.0
PULL_EVERY_S = 30.0
_FIRST_S, _WAIT_S = 60.0, 5.0
_MAX_OBJECTS = 10_000
_MAX_FILE_BYTES = 1 << 30
_MAX_NAME_BYTES = 200
_TAKEN = SUFFIXES | {".toml", ".onnx", ".json"}
_CONSENTS = ".consents"
_RECORD, _LOCK = ".copied.json", ".copying.lock"
_LOCK_TIMEOUT_S = 60.0
_COPIED = TypeAdapter(dict[str, str])
_MAX_RECORD_BYTES = 8 << 20
_logger = logging.getLogger(__name__)


def open_mirror(settings: TtsSettings) -> "VoiceMirror":
    """As the settings describe it.

    Raises:
        ConfigurationError: What opens the store is not installed.
    """
    url = settings.voice_url
    return VoiceMirror(settings.voice_dir, ObjectStore.open(url, read_s=READ_S, write_s=WRITE_S) if url else None)


class VoiceMirror:
    """A folder that follows an object store. Methods that are not `async` block, and may be called from any thread.

    Args:
        folder: The copy; processes of this machine may share it.
        objects: What replicas share; None: voices lie in the folder alone, and nothing here does anything.
    """

    def __init__(self, folder: Path, objects: ObjectStore | None) -> None:
        self._folder, self._objects = folder.expanduser().absolute(), objects
        self._lock = FileLock(self._folder / _LOCK, timeout=_LOCK_TIMEOUT_S)
        self._breaker = Breaker(objects.url if objects else "", "voices of other replicas are not looked for")
        self._pulled_at: float | None = None
        self._under_way: asyncio.Future[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Copy what there is, for a minute at most, and from now on follow the store."""
        if self._objects is not None:
            await self._refresh(0.0, _FIRST_S)
            self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow it no more."""
        if self._following is not None:
            self._following.cancel()

    async def refresh(self) -> None:
        """Know the voices of the store as they are now, unless that takes long or the store is away."""
        await self._refresh(0.0, _WAIT_S)

    async def look_for(self, is_known: Callable[[], bool]) -> None:
        """Know what another replica may have got a moment ago.

        Args:
            is_known: Blocks, and says whether there is no need.
        """
        if self._objects is not None:
            with suppress(UnsupportedValueError):  # a name that cannot be: who asked is told so elsewhere
                if not await asyncio.to_thread(is_known):
                    await self.refresh()

    def pull(self) -> None:
        """Make the folder what the store is; where that fails the log says so, and what is here stays."""
        if self._objects is None or not self._breaker.admits():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock:
                began_at = time.monotonic()
                found = list(islice(self._objects.list(), _MAX_OBJECTS + 1))
                if len(found) > _MAX_OBJECTS:
                    raise UpstreamError(
                        f"{self._objects.url} has more than {_MAX_OBJECTS} objects; voices need a prefix of their own"
                    )
                self._follow_to(self._objects, {one.key: one for one in found if _is_voice_file(one)})
            self._pulled_at = began_at
            self._breaker.note_success()
        except VoiceStackError as error:
            self._breaker.note_failure(error.message)
        except OSError as error:
            warn_once(f"shared voices are not copied to {self._folder}: {error.strerror or error}")

    def push(self, name: str, files: Mapping[str, bytes]) -> None:
        """Store the files of an upload, those of a new one with its recording last: it is what makes a voice.

        Raises:
            StorageFullError: The store does not take them; what it took is taken back as far as may be.
        """
        if self._objects is None:
            return
        stored: list[str] = []
        try:
            for file_name in sorted(files, key=_is_recording):
                self._objects.put(f"{name}/{file_name}", files[file_name])
                stored.append(f"{name}/{file_name}")
        except VoiceStackError as error:
            with suppress(VoiceStackError):
                for key in stored:
                    self._objects.delete(key)
            raise self._explain(error, "Nothing was kept.") from error
        OBJECTS.labels("voices", "stored").inc()

    def remove(self, name: str) -> None:
        """Delete an upload from the store, its recording first.

        Raises:
            StorageFullError: The store does not do it.
        """
        if self._objects is None:
            return
        try:
            for found in sorted(self._objects.list(name), key=lambda one: not _is_recording(one.key)):
                self._objects.delete(found.key)
        except VoiceStackError as error:
            raise self._explain(error, "Nothing was deleted.") from error

    def status(self) -> dict[str, object]:
        """For `/status`; nothing where nothing is shared."""
        if self._objects is None:
            return {}
        age_s = None if self._pulled_at is None else round(time.monotonic() - self._pulled_at, 1)
        return {"voices": {"url": self._objects.url, "failing": self._breaker.reason or None, "age_s": age_s}}

    async def _refresh(self, max_age_s: float, wait_s: float) -> None:
        """Pull, unless what is known is so new; after `wait_s` seconds that goes on beside."""
        asked_at = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                for _ in range(2):  # what is under way may have begun before a voice was made
                    is_known = self._pulled_at is not None and self._pulled_at >= asked_at - max_age_s
                    if self._objects is None or is_known:
                        return
                    if self._under_way is None or self._under_way.done():
                        self._under_way = self._pull_beside()
                    await asyncio.shield(self._under_way)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(PULL_EVERY_S)
            await self._refresh(PULL_EVERY_S / 2, PULL_EVERY_S)

    def _pull_beside(self) -> asyncio.Future[None]:
        """Pull in a thread that holds up neither other work nor the end of the process."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not done.done():
                done.set_result(None)

        def work() -> None:
            try:
                self.pull()
            finally:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(tell)

        threading.Thread(target=work, daemon=True).start()
        return done

    def _explain(self, error: VoiceStackError, outcome: str) -> StorageFullError:
        """The store is for the operator; the client learns what became of it."""
        OBJECTS.labels("voices", "failed").inc()
        log_event(_logger, logging.ERROR, "the store for voices fails", reason=error.message)
        message = f"The server's store for voices (TTS_VOICE_URL) does not answer as it should. {outcome}"
        return StorageFullError(message, code="storage_unavailable", retry_after_s=30.0)

    def _follow_to(self, objects: ObjectStore, wanted: Mapping[str, StoredObject]) -> None:
        copied = self._read_copied()
        before = dict(copied)
        try:
            # What is known of a voice comes before its recordings, and goes after them.
            for key in sorted(wanted, key=lambda key: (_is_recording(key), key)):
                self._copy(objects, wanted[key], copied)
            for key in sorted(copied.keys() - wanted.keys(), key=lambda key: (not _is_recording(key), key)):
                path = self._folder / key
                path.unlink(missing_ok=True)
                del copied[key]
                with suppress(OSError):  # others lie in it
                    if path.parent != self._folder:
                        path.parent.rmdir()
        finally:
            if copied != before:
                write_whole(self._folder / _RECORD, _COPIED.dump_json(copied))

    def _copy(self, objects: ObjectStore, one: StoredObject, copied: dict[str, str]) -> None:
        """Have an object in the folder, unless it is there; one that cannot be had is told, and the others come."""
        path, version = self._folder / one.key, f"{one.tag} {one.size}"
        try:
            if path.is_file() and not path.is_symlink():
                if copied.get(one.key) == version or _is_same(path, one):
                    copied[one.key] = version
                    return
                if one.key not in copied and not one.key.startswith(_OF_UPLOADS):
                    warn_once(f"{one.key!r} in TTS_VOICE_DIR is another than in TTS_VOICE_URL, and stands before it")
                    return
            self._fetch(objects, one, path)
            copied[one.key] = version
            OBJECTS.labels("voices", "pulled").inc()
        except NotFoundError:  # deleted since we looked
            return
        except (OSError, PayloadTooLargeError) as error:
            warn_once(f"shared voice {one.key!r} is not copied: {error}")

    def _fetch(self, objects: ObjectStore, one: StoredObject, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.resolve() not in (path.parent.resolve(), *path.parent.resolve().parents):
            raise OSError(f"{path.parent} leads out of the folder")
        descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=DRAFT_PREFIX)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                objects.download(one.key, file, _MAX_FILE_BYTES)
            os.utime(draft, (one.changed_at, one.changed_at))  # the same on all replicas
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)

    def _read_copied(self) -> dict[str, str]:
        """What was copied: key to version. Nothing of what cannot be read: then nothing is deleted either."""
        try:
            with open_regular(self._folder / _RECORD) as file:
                copied = _COPIED.validate_json(file.read(_MAX_RECORD_BYTES))
        except (OSError, ValidationError):
            return {}
        return {key: version for key, version in copied.items() if _is_place(key)}


_OF_UPLOADS = ("voice_", f"{_CONSENTS}/")


def _is_recording(key: str) -> bool:
    return PurePosixPath(key).suffix.lower() in SUFFIXES


def _is_place(key: str) -> bool:
    """Whether a key is a place where files of voices lie, and nowhere else."""
    parts = key.split("/")
    if parts[0] == _CONSENTS and len(parts) == 3:
        parts = parts[1:]
    try:
        refuse_controls(key, "a key")
    except ValueError:
        return False
    is_fit = all(
        part and part[0] != "." and "\\" not in part and len(part.encode()) <= _MAX_NAME_BYTES for part in parts
    )
    return is_fit and len(parts) <= 2 and PurePosixPath(key).suffix.lower() in _TAKEN


def _is_voice_file(one: StoredObject) -> bool:
    if one.size > _MAX_FILE_BYTES:
        warn_once(f"shared voice {one.key!r} is not copied: it has {one.size} bytes, at most {_MAX_FILE_BYTES}")
        return False
    return _is_place(one.key)


def _is_same(path: Path, one: StoredObject) -> bool:
    """Whether a file is what the store has, as far as it can be told: most stores tell the MD5 of a small object."""
    if path.stat().st_size != one.size:
        return False
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == one.tag.strip('"')
