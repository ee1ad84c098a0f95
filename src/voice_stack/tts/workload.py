"""The work of a TTS engine process: text -> lines -> samples, the same for every engine.

How a text becomes lines, and how the sound of one is finished, is the same for who speaks elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from pathlib import Path
from typing import TypeVar

import numpy as np

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.feeds import Inbox, Notice, Starved
from voice_stack.core.jobs import Again, Expected, Job, MeasuredWork, PlanStep, RunResult, Unit, Urgency, Workload
from voice_stack.tts.captions.sentences import respell
from voice_stack.tts.engine.base import Spoken, TtsEngine
from voice_stack.tts.models import TtsCapabilities
from voice_stack.tts.request import Flush, LeftOut, Passage, Sound, SpeechRequest, TextOverTime, speech_s, text_s
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


CROWD = 2
"""So many that wait for a beginning are a crowd."""
FLUSH_COST_S = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A unit under way: the sounds to come, and whether others may be heard between the first and the next."""

    sounds: Iterator[Sound]
    gives_way: bool


class TtsWorkload(Workload):
    """Plans and runs speech.

    Args:
        load_engine: Called once, by the first lane.
        loudness_lufs: Of every voice; None leaves each as its engine makes it.
        pronunciations: The operator's table of them, if there is one.
    """

    def __init__(
        self,
        capabilities: TtsCapabilities,
        load_engine: Callable[[], TtsEngine],
        loudness_lufs: float | None = None,
        pronunciations: Path | None = None,
    ) -> None:
        self._capabilities = capabilities
        self._levels = VoiceLevels(loudness_lufs)
        self._reader = LineReader(capabilities, PronunciationFile(pronunciations))
        self._load_engine = load_engine
        self._samples: dict[str, int] = {}
        self._characters: dict[str, int] = {}

    def load(self) -> None:
        self._engine = self._load_engine()
        self.lanes = self._engine.lanes

    def plan(self, job: Job, fed: Inbox) -> Iterator[PlanStep]:
        request = job.request
        assert isinstance(request, SpeechRequest)
        self._samples[job.id] = 0
        self._characters[job.id] = sum(len(passage.text) for passage in request.passages)
        if request.over_time is not None:
            return self._follow(job, request.passages[0], request.over_time, fed)
        return self._cut(job, request)

    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        for unit in units:
            if isinstance(unit.data, Flush):
                yield unit.output(unit.data)
                yield unit.done()
            else:
                yield from self._run_unit(unit, self._begin(unit, urgency))

    def finish(self, job: Job) -> MeasuredWork:
        audio_out_s = self._samples[job.id] / self._engine.sample_rate
        return MeasuredWork(audio_out_s=audio_out_s, characters_in=self._characters[job.id])

    def forget(self, job: Job) -> None:
        self._samples.pop(job.id, None)
        self._characters.pop(job.id, None)

    def _begin(self, unit: Unit, urgency: Urgency) -> "_Begun":
        """The sounds of a unit, or those that are left of it."""
        if isinstance(unit.data, _Begun):
            return unit.data
        line = unit.data
        assert isinstance(line, Delivery)
        is_awaited = unit.is_awaited and (self._levels.knows(line.options.voice) or not self._engine.is_quick)
        is_alone = unit.index == 0 and urgency in {Urgency.ALONE, Urgency.LONG}
        options = replace(line.options, is_awaited=is_awaited, is_alone=is_alone)
        return _Begun(self._speak(replace(line, options=options)), self._engine.is_quick)

    def _run_unit(self, unit: Unit, begun: "_Begun") -> Iterator[RunResult]:
        for sound in begun.sounds:
            self._samples[unit.job_id] += sound.samples.size
            yield unit.output(sound)
            if unit.is_awaited and begun.gives_way and sound.goes_on:
                # It is heard now: whoever still waits for a beginning comes before the rest of it.
                yield Again(replace(unit, data=begun, is_awaited=False, is_sequential=False))
                return
        yield unit.done()

    def _speak(self, line: Delivery) -> Iterator[Sound]:
        """The sound of a clause: one, or the pieces of an awaited one as the engine makes them."""
        parts = self._engine.synthesize(line.clause.text, line.options)
        return finish_line(line, parts, self._levels, self._engine.sample_rate)

    def _cut(self, job: Job, request: SpeechRequest) -> Iterator[PlanStep]:
        yield Expected(job.id, speech_s(request))
        lines = self._reader.lines(request, is_crowded=self._is_crowded())
        for index, line in enumerate(lines):
            # The first clause goes alone and early, the others after it: a listener waits for the sound to begin.
            yield _unit(job, index, line, is_awaited=index == 0 and request.is_awaited)

    def _follow(self, job: Job, passage: Passage, how: TextOverTime, fed: Inbox) -> Iterator[PlanStep]:
        """As `_cut`, of a text that is still being written."""
        stream = self._reader.follow(passage, how, is_crowded=self._is_crowded())
        numbers = count()
        while fed or not fed.is_closed:
            for piece in fed.take():
                assert isinstance(piece, str | Flush)
                self._characters[job.id] += len(piece) if isinstance(piece, str) else 0
                for line in stream.take(piece):
                    yield _unit(job, index := next(numbers), line, is_awaited=index == 0)
                if isinstance(piece, Flush):
                    yield Unit(job.id, next(numbers), FLUSH_COST_S, None, piece)
                yield None
            yield Starved(job.id, fed.taken)
        for line in stream.finish():
            yield _unit(job, index := next(numbers), line, is_awaited=index == 0)
        yield Notice(job.id, LeftOut(stream.left_out))

    def _is_crowded(self) -> bool:
        """Whether many wait for a beginning, each of which is made whole; those under way without a sound count."""
        silent = sum(not samples for samples in list(self._samples.values()))
        return not self._capabilities.streams and silent >= CROWD


def _unit(job: Job, index: int, line: Delivery, *, is_awaited: bool) -> Unit:
    cost_s, is_first = text_s(line.clause.text, line.speed), index == 0
    return Unit(job.id, index, cost_s, line.options, line, is_sequential=is_first, is_awaited=is_awaited)
