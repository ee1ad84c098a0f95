"""From a request to the lines that are spoken, and from what an engine made of one to the sound that is sent.

The same for every engine, wherever it runs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeVar

import numpy as np

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.captions.sentences import respell
from voice_stack.tts.engine.base import Spoken
from voice_stack.tts.models import TtsCapabilities
from voice_stack.tts.request import Flush, Passage, Sound, SpeechRequest, TextOverTime
from voice_stack.tts.sound.finishing import FADE_S, Delivery, Finisher, VoiceLevels
from voice_stack.utils.audio.pcm import fade_edges, silence
from voice_stack.utils.audio.word_alignment import WordTime
from voice_stack.utils.text import SENTENCE_PAUSE_S, Clause
from voice_stack.utils.text.pipeline import ClauseLimits, clauses
from voice_stack.utils.text.pronunciation import PronunciationFile
from voice_stack.utils.text.script import find_unreadable_script, name_script
from voice_stack.utils.text.stream import ClauseStream

T = TypeVar("T")

FIRST_MAX_CHARS = 60
"""A longer first sentence is cut at a clause mark, so that a listener hears its beginning early: 4 s of speech."""
CROWD_MAX_CHARS = 24
"""Where many wait for a beginning, each gets a shorter one, so that the last need not wait for whole sentences."""
MIN_READABLE_CHARS, MAX_READABLE_CHARS = 20, 2000
"""A text may begin with a foreign word; what is not found out in so much of it is not looked for."""


@dataclass(frozen=True, slots=True)
class LineReader:
    """Cuts texts into lines.

    Attributes:
        can: What the engine can.
        pronunciations: The operator's table of them.
    """

    can: TtsCapabilities
    pronunciations: PronunciationFile

    def lines(self, request: SpeechRequest, *, is_crowded: bool = False) -> Iterator[Delivery]:
        """The lines of a request whose text is there, in order, lazily.

        Args:
            request: The request.
            is_crowded: Many wait for a beginning.
        """
        for line, ends_request in mark_last(self._lines(request, is_crowded=is_crowded)):
            yield replace(line, is_last=ends_request and not request.goes_on)

    def follow(self, passage: Passage, how: TextOverTime, *, is_crowded: bool = False) -> "LineStream":
        """The lines of a text that is still being written."""
        return LineStream(self, passage, how, is_crowded=is_crowded)

    def deliver(self, passage: Passage, clause: Clause) -> Delivery:
        """How a clause is to be heard: the engine does as much of the speed as it can."""
        slowest, fastest = self.can.speed_range
        speed = passage.options.speed
        options = replace(passage.options, language=clause.language, speed=min(max(speed, slowest), fastest))
        return Delivery(clause, options, speed)

    def limits(self, *, hurries: bool, is_crowded: bool) -> ClauseLimits:
        """Of clauses; a sentence that is cut sounds a little less well, so only where somebody waits."""
        first_max_chars = FIRST_MAX_CHARS if hurries else self.can.max_chars
        cuts_words = hurries and is_crowded
        return ClauseLimits(
            self.can.max_chars,
            CROWD_MAX_CHARS if cuts_words else first_max_chars,
            self.can.language_max_chars,
            cuts_words,
        )

    def _lines(self, request: SpeechRequest, *, is_crowded: bool) -> Iterator[Delivery]:
        hurries = request.is_awaited
        for passage, ends_request in mark_last(request.passages):
            limits = self.limits(hurries=hurries, is_crowded=is_crowded)
            for clause, is_last in mark_last(self._clauses(passage, limits)):
                # Another voice begins after it: a pause as between two sentences, or the one that is marked there.
                goes_on = is_last and (request.goes_on or not ends_request)
                pause_s = clause.pause_s or SENTENCE_PAUSE_S if goes_on else clause.pause_s
                yield self.deliver(passage, replace(clause, pause_s=pause_s))
            hurries = False

    def _clauses(self, passage: Passage, limits: ClauseLimits) -> Iterator[Clause]:
        return clauses(
            passage.text,
            passage.options.language,
            languages=passage.languages,
            rules=self.pronunciations.current(),
            limits=limits,
            is_plain=True,
            keeps_numbers=self.can.reads_numbers,
        )


class LineStream:
    """Lines of a text that is still being written: of each it is known whether the speech goes on."""

    def __init__(self, reader: LineReader, passage: Passage, how: TextOverTime, *, is_crowded: bool) -> None:
        self._reader, self._passage = reader, passage
        self._written = ""
        self._clauses = ClauseStream(
            passage.options.language,
            languages=passage.languages,
            rules=reader.pronunciations.current(),
            limits=reader.limits(hurries=True, is_crowded=is_crowded),
            markup=how.markup,
            reads=how.reads,
            keeps_numbers=reader.can.reads_numbers,
        )

    def take(self, piece: str | Flush) -> Iterator[Delivery]:
        """The lines that are sure with the next piece of the text.

        Raises:
            UnsupportedValueError: The voice knows the letters of too little of it.
        """
        for clause in self._clauses.push(piece) if isinstance(piece, str) else self._clauses.flush():
            self._written = _require_readable(f"{self._written}{clause.source} ", self._passage.languages)
            yield self._reader.deliver(self._passage, clause)

    def finish(self) -> Iterator[Delivery]:
        """The rest; the text is complete.

        Raises:
            UnsupportedValueError: As above.
        """
        for clause, is_last in mark_last(self._clauses.finish()):
            _require_readable(self._written + clause.source, self._passage.languages)
            yield replace(self._reader.deliver(self._passage, clause), is_last=is_last)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of the text so far is not spoken, by name."""
        return tuple(sorted(self._clauses.left_out))


def finish_line(line: Delivery, parts: Iterable[Spoken], levels: VoiceLevels, sample_rate: int) -> Iterator[Sound]:
    """The sound of a line: one, or the pieces of an awaited one as the engine makes them.

    Args:
        line: The line.
        parts: Its clause as the engine speaks it; not asked for where there is nothing but a pause.
        levels: The gains of the voices.
        sample_rate: Of the parts, in Hz.
    """
    clause = line.clause
    if not clause.text:
        yield Sound(silence(clause.pause_s / line.speed, sample_rate), sample_rate, line.is_last)
        return
    finisher = Finisher(line, levels, sample_rate)
    held: list[Spoken] = []
    words: tuple[WordTime, ...] = ()
    sent, is_told = 0, False
    for part in parts:
        held.append(part)
        if part.goes_on:
            piece, held = finisher.push(_join_parts(held, sample_rate)), []
            words += piece.words
            if piece.samples.size:
                tells = bool(words) and not is_told
                caption = (clause.source, _caption(words, clause.source, sent / sample_rate)) if tells else ("", ())
                yield Sound(piece.samples, sample_rate, False, *caption, goes_on=True)
                sent, is_told = sent + piece.samples.size, is_told or tells
    spoken, end = finisher.push(_join_parts(held, sample_rate)), finisher.finish()
    samples = np.concatenate([spoken.samples, end.samples])
    words += spoken.words + end.words
    caption = ("", ()) if is_told else (clause.source, _caption(words, clause.source, sent / sample_rate))
    yield Sound(samples, sample_rate, line.is_last, *caption)


def mark_last(items: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """Every item with whether it is the last; looks one item ahead."""
    ahead = iter(items)
    for item in ahead:
        for following in ahead:
            yield item, False
            item = following
        yield item, True


def _require_readable(written: str, languages: Sequence[str]) -> str:
    """The text so far, if a voice of these languages knows the letters of most of it.

    Raises:
        UnsupportedValueError: It does not.
    """
    if languages and MIN_READABLE_CHARS < len(written) < MAX_READABLE_CHARS and not written.isascii():
        script = find_unreadable_script(written, languages)
        if script is not None:
            raise UnsupportedValueError(
                f"text={written[:40]!r}: the text is in {name_script(script)} letters; the voice speaks "
                f"{', '.join(languages)}",
                param="text",
            )
    return written[:MAX_READABLE_CHARS]


def _caption(words: Sequence[WordTime], written: str, by_s: float) -> tuple[WordTime, ...]:
    """The written words with their times from a moment of the clause."""
    times = respell(words, written)
    return tuple(replace(word, start_s=word.start_s - by_s, end_s=word.end_s - by_s) for word in times)


def _join_parts(parts: Sequence[Spoken], sample_rate: int) -> Spoken:
    """All parts of a clause as one, without clicks where they meet."""
    if len(parts) == 1:
        return parts[0]
    samples = [fade_edges(part.samples, sample_rate, FADE_S) for part in parts]
    starts_s = accumulate((part.samples.size / sample_rate for part in parts), initial=0.0)
    words = [
        replace(word, start_s=start_s + word.start_s, end_s=start_s + word.end_s)
        for start_s, part in zip(starts_s, parts, strict=False)
        for word in part.words
    ]
    return Spoken(np.concatenate(samples), tuple(words), parts[0].pace)
