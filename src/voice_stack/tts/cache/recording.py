"""A speech that is being made, or is kept: written once, read by any number."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Literal

from voice_stack.tts.cache.entry import EntryData, Note, SpeechFacts, SpeechFile, SpeechPiece

LEAD_BYTES = 64 * 1024
"""How far the making goes ahead of the listeners: 5 s of MP3. The rest of a book waits for them, in the engine."""
BLOCK_BYTES = 256 * 1024
"""So much is held in memory before it goes to the disk; also the most that is read at once."""


class Recording:
    """Bytes, notes and facts of one speech; lives on the event loop.

    While all bytes are to be had, in memory or from the spool, it can be joined from the beginning. Where there is no
    spool, or its disk is full, bytes are held in memory until everybody who listens has read them.

    Args:
        open_spool: Called in a thread when the speech outgrows the memory; None: there is no spool.
        on_disk_failure: Told why the spool failed; the speech goes on without it.
        max_bytes: Beyond this the spool takes no more.

    Attributes:
        size: Bytes so far.
        facts: Known when the speech is complete.
        notes: So far, in order.
        has_begun: Whether somebody who waits for the first bytes may go on.
        readers: Everybody who reads.
        substitutes: Models that speak in place of those that were asked for, as far as they are known.
    """

    def __init__(
        self,
        open_spool: Callable[[], SpeechFile] | None = None,
        on_disk_failure: Callable[[OSError], None] = lambda _error: None,
        max_bytes: int = 0,
    ) -> None:
        self.size = 0
        self.facts: SpeechFacts | None = None
        self.notes: list[Note] = []
        self.has_begun = False
        self.readers: set[SpeechReader] = set()
        self.substitutes: tuple[str, ...] = ()
        self._open_spool, self._on_disk_failure, self._max_bytes = open_spool, on_disk_failure, max_bytes
        self._spool: SpeechFile | None = None
        self._tail = bytearray()
        self._tail_at = 0
        self._error: BaseException | None = None
        self._news = asyncio.Event()

    @classmethod
    def of_entry(cls, spool: SpeechFile, entry: EntryData) -> "Recording":
        """The recording of a speech that was kept."""
        recording = cls()
        recording.size = recording._tail_at = entry.audio_bytes
        recording.notes, recording._spool = list(entry.notes), spool
        recording.finish(entry.facts)
        return recording

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes: it is complete, or has failed."""
        return self.facts is not None or self._error is not None

    @property
    def can_be_joined(self) -> bool:
        """Whether a new reader finds every byte from the first on."""
        return self._error is None and (self._tail_at == 0 or self._has_spool)

    @property
    def data(self) -> EntryData:
        """All that a complete recording says besides its bytes."""
        assert self.facts is not None
        return EntryData(self.size, self.facts, tuple(self.notes))

    async def append(self, piece: SpeechPiece) -> None:
        """Add a piece; returns when it is time to make the next one."""
        if not self._has_spool:
            self._forget_what_was_read()
        if piece.heading is not None:
            self.notes.append(Note(self.size, piece.heading))
        self._tail += piece.audio
        self.size += len(piece.audio)
        if piece.note is not None:
            self.notes.append(Note(self.size, piece.note))
        # With the last piece the lengths are known a moment later: who waits for the first then gets the whole.
        if piece.is_last:
            return
        self._announce()
        if self._has_spool and len(self._tail) >= BLOCK_BYTES:
            await self.spool_tail()
        while self._lead() > LEAD_BYTES:
            await self.wait_for_news()

    def finish(self, facts: SpeechFacts) -> None:
        """The speech is complete."""
        self.facts = facts
        self._announce()

    def fail(self, error: BaseException) -> None:
        """The speech ends with an error, for everybody who listens."""
        if not self.is_over:
            self._error = error
            self._announce()

    async def spool_tail(self) -> SpeechFile | None:
        """Move what is in memory to the disk; returns the spool with all bytes, None if it does not have them."""
        if self._open_spool is None or self.size > self._max_bytes:
            self._open_spool = None
            return None
        data = bytes(self._tail)
        try:
            if self._spool is None:
                self._spool = await asyncio.to_thread(self._open_spool)
            await asyncio.to_thread(self._spool.write, data)
        except OSError as error:
            self._open_spool = None
            self._on_disk_failure(error)
            return None
        del self._tail[: len(data)]
        self._tail_at += len(data)
        return self._spool

    async def read(self, position: int, end: int) -> bytes:
        """Bytes from `position` on, not beyond `end`, at most a block.

        Raises:
            OSError: The disk fails.
        """
        length = min(end - position, BLOCK_BYTES)
        if position >= self._tail_at:
            start = position - self._tail_at
            return bytes(self._tail[start : start + length])
        assert self._spool is not None
        return await asyncio.to_thread(self._spool.read, position, min(length, self._tail_at - position))

    async def wait_for_news(self) -> None:
        """Wait until something was added, was read, or the speech is over."""
        self._news = asyncio.Event() if self._news.is_set() else self._news
        await self._news.wait()

    def stir(self) -> None:
        """Wake everybody who waits for news."""
        self._news.set()

    def raise_failure(self) -> None:
        """Do nothing, unless the speech failed.

        Raises:
            VoiceStackError: It failed in the engine; anything else is an error of ours.
        """
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Give the spool free; a file that was not kept is removed."""
        self._open_spool = None
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close)

    @property
    def _has_spool(self) -> bool:
        return self._open_spool is not None

    def _lead(self) -> int:
        if not self.readers or any(reader.is_patient for reader in self.readers):
            return 0
        positions = [reader.position for reader in self.readers]
        # What the disk has costs no memory: then nobody waits for the slowest.
        return self.size - (max(positions) if self._has_spool else min(positions))

    def _forget_what_was_read(self) -> None:
        read = min((reader.position for reader in self.readers), default=0) - self._tail_at
        if read > 0:
            del self._tail[:read]
            self._tail_at += read

    def _announce(self) -> None:
        self.has_begun = self.size > 0 or self.is_over
        self.stir()


Outcome = Literal["hit", "miss", "joined"]


class SpeechReader:
    """Reads a recording from its beginning; close it when nobody listens any more.

    Args:
        outcome: Where it comes from: the cache, an engine, or an equal request that is under way.
        is_patient: Nothing is read before the speech is complete; such a reader holds up nobody.
        on_leave: Called when the reader is closed.

    Attributes:
        position: How far it has come, in bytes.
    """

    def __init__(
        self, recording: Recording, outcome: Outcome, *, is_patient: bool, on_leave: Callable[[], None]
    ) -> None:
        self.recording, self.outcome, self.is_patient, self._on_leave = recording, outcome, is_patient, on_leave
        self.position = 0
        recording.readers.add(self)

    @property
    def exact_bytes(self) -> int:
        """Length of what `exact` gives, once the speech is complete."""
        head = self.recording.data.facts.exact_head
        return self.recording.size - head.replaces + len(head.data)

    async def start(self) -> None:
        """Wait for the first piece, or, where the reader is patient, for all of them.

        Raises:
            VoiceStackError: The speech failed.
        """
        recording = self.recording
        while not (recording.is_over if self.is_patient else recording.has_begun):
            await recording.wait_for_news()
        recording.raise_failure()

    async def pieces(self) -> AsyncIterator[SpeechPiece]:
        """What there is, then what comes, notes at their places.

        Raises:
            VoiceStackError: The speech failed; after everything that came before.
        """
        recording, told = self.recording, 0
        while True:
            while self.position < recording.size or told < len(recording.notes):
                note = recording.notes[told] if told < len(recording.notes) else None
                audio = await recording.read(self.position, note.at if note else recording.size)
                is_at_note = note is not None and self.position + len(audio) == note.at
                yield SpeechPiece(audio, note.content if note and is_at_note else None)
                # Only now has it been taken.
                self.position += len(audio)
                told += is_at_note
                recording.stir()
            if recording.is_over:
                recording.raise_failure()
                return
            await recording.wait_for_news()

    async def audio(self) -> AsyncIterator[bytes]:
        """The bytes alone.

        Raises:
            VoiceStackError: The speech failed.
        """
        async for piece in self.pieces():
            if piece.audio:
                yield piece.audio

    async def exact(self) -> AsyncIterator[bytes]:
        """The complete speech as a file that states its length."""
        recording, head = self.recording, self.recording.data.facts.exact_head
        if head.data:
            yield head.data
        position = head.replaces
        while audio := await recording.read(position, recording.size):
            yield audio
            position += len(audio)

    def close(self) -> None:
        """Leave; harmless when done before."""
        if self in self.recording.readers:
            self.recording.readers.remove(self)
            self.recording.stir()
            self._on_leave()
