"""Kept speech in an object store, behind the folder of this server: what one replica made, the others find.

An object is an entry, byte for byte. A speech that is found there becomes an entry of the folder; one that was made
here is sent there afterwards, by threads of its own. Where the store is away less speech is found, and nothing else.
"""

import logging
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import BinaryIO

from voice_stack.core.errors import NotFoundError, PayloadTooLargeError, VoiceStackError
from voice_stack.core.logging import log_event
from voice_stack.core.system.breaker import Breaker
from voice_stack.core.system.objects import ObjectStore
from voice_stack.core.telemetry.registry import OBJECTS
from voice_stack.tts.cache.entry import EntryData, SpeechFile
from voice_stack.tts.cache.folder import TTL_S, SpeechStore

READ_S, WRITE_S = 3.0, 20.0
"""Patience with the store: somebody waits for the speech, and it can be made."""
_READERS, _WRITERS = 8, 2
_MAX_WAITING = 200
"""So many entries wait to be sent; what comes then is kept here alone."""
_CLOSING_S = 5.0
_SUFFIX = ".speech"
logger = logging.getLogger(__name__)
_count = partial(OBJECTS.labels, "speech")


class SharedSpeech:
    """The second level of the cache. Its methods may be called from any thread.

    Args:
        folder: The first.
        objects: Where replicas meet.
    """

    def __init__(self, folder: SpeechStore, objects: ObjectStore) -> None:
        self._folder, self._objects = folder, objects
        self.readers = ThreadPoolExecutor(_READERS, "shared-speech")
        """Threads for `find`: a store that hangs must not hold up what else is done in threads."""
        self._reading = Breaker(objects.url, "kept speech is not looked for where replicas share it")
        self._writing = Breaker(objects.url, "kept speech is not shared with other replicas")
        self._waiting: queue.Queue[tuple[str, bool] | None] = queue.Queue(_MAX_WAITING)
        self._writers: list[threading.Thread] = []
        self._starting = threading.Lock()

    def find(self, key: str) -> tuple[SpeechFile, EntryData] | None:
        """The entry of a key, now also in the folder; None if there is none that may be served. Blocks."""
        if not self._reading.admits():
            _count("skipped").inc()
            return None
        try:
            is_good = self._folder.take_over(key, partial(self._fetch, key))
        except (NotFoundError, PayloadTooLargeError):  # the other replicas may have more room
            self._reading.note_success()
            _count("miss").inc()
            return None
        except VoiceStackError as error:
            self._reading.note_failure(error.message)
            _count("failed").inc()
            return None
        except OSError as error:
            self._folder.warn(error)
            return None
        self._reading.note_success()
        if not is_good:
            self._drop(key)
            return None
        _count("hit").inc()
        return self._folder.find(key)

    def share(self, key: str, *, replace: bool) -> None:
        """Send an entry of the folder to the store, some time.

        Args:
            key: Of the entry.
            replace: In place of what is there.
        """
        with self._starting:
            while len(self._writers) < _WRITERS:
                self._writers.append(threading.Thread(target=self._write, daemon=True))
                self._writers[-1].start()
        try:
            self._waiting.put_nowait((key, replace))
        except queue.Full:
            _count("dropped").inc()

    def status(self) -> dict[str, object]:
        """For `/status`."""
        reason = self._reading.reason or self._writing.reason
        return {"url": self._objects.url, "failing": reason or None, "waiting": self._waiting.qsize()}

    def close(self) -> None:
        """Send what waits, for some seconds at most. Blocks."""
        ends_at = time.monotonic() + _CLOSING_S
        with suppress(queue.Full):
            for _ in self._writers:
                self._waiting.put_nowait(None)
        for writer in self._writers:
            writer.join(max(0.0, ends_at - time.monotonic()))
        self.readers.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, key: str, target: BinaryIO) -> float:
        found = self._objects.download(key + _SUFFIX, target, self._folder.max_bytes)
        if time.time() - found.changed_at > TTL_S:
            raise NotFoundError(f"{key} is too old")
        return found.changed_at

    def _drop(self, key: str) -> None:
        """Remove what must not be served to anybody."""
        _count("damaged").inc()
        log_event(logger, logging.WARNING, "shared speech removed: damaged, or another's", object=key + _SUFFIX)
        try:
            self._objects.delete(key + _SUFFIX)
        except VoiceStackError as error:
            self._writing.note_failure(error.message)

    def _write(self) -> None:
        while (entry := self._waiting.get()) is not None:
            key, is_newer = entry
            if not self._writing.admits():
                _count("dropped").inc()
                continue
            try:
                is_stored = self._objects.put(key + _SUFFIX, self._folder.path(key), only_new=not is_newer)
            except VoiceStackError as error:
                self._writing.note_failure(error.message)
                _count("not_stored").inc()
            except OSError:  # it made room for others meanwhile
                _count("dropped").inc()
            else:
                self._writing.note_success()
                _count("stored" if is_stored else "there").inc()
