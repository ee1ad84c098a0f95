"""One listener of a recording."""

from collections.abc import AsyncIterator, Callable, Sequence

from voice_stack.tts.cache.recording import Place, Recording
from voice_stack.tts.cache.speech_data import Note, Piece, SpeechFacts


class Reader:
    """Reads a recording from its beginning; close it when nobody listens any more.

    Args:
        recording: What is read.
        is_patient: Nothing is read before the speech is complete.
        on_leave: Called when the reader is closed.
    """

    def __init__(self, recording: Recording, *, is_patient: bool, on_leave: Callable[[], None]) -> None:
        self._recording, self._on_leave = recording, on_leave
        self._place = Place(is_patient)
        recording.readers.add(self._place)

    @property
    def facts(self) -> SpeechFacts | None:
        """What is known of the speech once it is complete."""
        return self._recording.facts

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Models that speak in place of those that were asked for; those of the beginning are known after `start`."""
        return self._recording.substitutes

    @property
    def notes(self) -> Sequence[Note]:
        """All notes of the speech; those that come are added."""
        return self._recording.notes

    @property
    def exact_bytes(self) -> int:
        """Length of what `exact` gives, once the speech is complete."""
        head = self._recording.data.facts.exact_head
        return self._recording.size - head.replaces + len(head.data)

    async def start(self) -> None:
        """Wait for the first piece, or, where the reader is patient, for all of them.

        Raises:
            VoiceStackError: The speech failed.
        """
        recording = self._recording
        while not (recording.is_over if self._place.is_patient else recording.has_news_for(0)):
            await recording.wait_for_news()
        recording.raise_failure()

    async def pieces(self) -> AsyncIterator[Piece]:
        """What there is, then what comes, notes at their places.

        Raises:
            VoiceStackError: The speech failed; after everything that came before.
        """
        recording, place, told = self._recording, self._place, 0
        while True:
            while place.position < recording.size or told < len(recording.notes):
                note = recording.notes[told] if told < len(recording.notes) else None
                audio = await recording.read(place.position, note.at if note else recording.size)
                is_at_note = note is not None and place.position + len(audio) == note.at
                yield Piece(audio, note.content if note and is_at_note else None)
                # Only now has it been taken.
                place.position += len(audio)
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
        recording, head = self._recording, self._recording.data.facts.exact_head
        if head.data:
            yield head.data
        position = head.replaces
        while audio := await recording.read(position, recording.size):
            yield audio
            position += len(audio)

    def close(self) -> None:
        """Leave; harmless when done before."""
        if self._place in self._recording.readers:
            self._recording.readers.remove(self._place)
            self._recording.stir()
            self._on_leave()
