"""The work of a TTS engine process: text -> clauses -> samples, the same for every engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from voice_stack.core.feeds import Inbox, Notice, Starved
from voice_stack.core.jobs import Again, Expected, Job, MeasuredWork, PlanStep, RunResult, Unit, Urgency, Workload
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.lines import LineReader, finish_line
from voice_stack.tts.models import TtsCapabilities
from voice_stack.tts.request import Flush, LeftOut, Passage, Sound, SpeechRequest, TextOverTime, speech_s, text_s
from voice_stack.tts.sound.finishing import Delivery, VoiceLevels
from voice_stack.utils.text.pronunciation import PronunciationFile

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
