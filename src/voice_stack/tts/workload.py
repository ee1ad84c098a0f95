"""The work of a TTS engine process: text -> clauses -> samples, the same for every engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voice_stack.core.jobs import Finished, Job, Outlook, PlanStep, Produced, RunResult, Unit, Urgency
from voice_stack.core.workload import Workload
from voice_stack.tts.engine.base import TtsEngine, VoiceOptions
from voice_stack.tts.request import Sound, SpeechRequest, SpeechSummary
from voice_stack.utils.audio.pcm import fade_edges, silence
from voice_stack.utils.text import Clause, is_speakable, normalise, split_clauses

CHARACTERS_PER_SECOND = 15.0
"""Usual pace of speech, to guess how much work a text is."""
FADE_S = 0.004
"""Ramp at both ends of a clause: short enough to hear nothing of it, long enough to take the click out of a cut."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A unit's data: the clause, how to speak it, and whether the speech ends with it."""

    clause: Clause
    options: VoiceOptions
    is_last: bool


class TtsWorkload(Workload):
    """Plans and runs speech.

    Args:
        load_engine: Called once, by the running thread.
    """

    def __init__(self, load_engine: Callable[[], TtsEngine]) -> None:
        self._load_engine = load_engine
        self._samples: dict[str, int] = {}

    def load(self) -> None:
        self._engine = self._load_engine()

    def plan(self, job: Job) -> Iterator[PlanStep]:
        request = job.request
        assert isinstance(request, SpeechRequest)
        self._samples[job.id] = 0
        return _cut(job, request)

    def run(self, units: Sequence[Unit], _urgency: Urgency) -> Iterator[tuple[Unit, RunResult]]:
        for unit in units:
            line = unit.data
            assert isinstance(line, _Line)
            rate = self._engine.sample_rate
            parts = list(self._engine.synthesize(line.clause.text, line.options))
            speech = [fade_edges(part, rate, FADE_S) for part in parts]
            speech.append(silence(line.clause.pause_s / line.options.speed, rate))
            samples = np.concatenate(speech)
            self._samples[unit.job_id] = self._samples.get(unit.job_id, 0) + samples.size
            yield unit, Produced(Sound(samples, rate, line.is_last))
            yield unit, Finished()

    def finish(self, job: Job) -> SpeechSummary:
        return SpeechSummary(self._samples[job.id] / self._engine.sample_rate)

    def forget(self, job: Job) -> None:
        self._samples.pop(job.id, None)


def _cut(job: Job, request: SpeechRequest) -> Iterator[PlanStep]:
    options = VoiceOptions(request.speaker, request.speed)
    clauses = [clause for clause in split_clauses(normalise(request.text)) if is_speakable(clause.text)]
    costs_s = [len(clause.text) / CHARACTERS_PER_SECOND / request.speed for clause in clauses]
    yield Outlook(sum(costs_s))
    for index, (clause, cost_s) in enumerate(zip(clauses, costs_s, strict=True)):
        yield Unit(job.id, index, cost_s, options, _Line(clause, options, is_last=index == len(clauses) - 1))
