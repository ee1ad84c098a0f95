"""The work of a process that tells speakers apart: file -> pieces of sound -> turns, the same for every engine."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from logging import WARNING, getLogger
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.listening.decoding import call_decoder, decode_blocks, describe_source, unless_gone
from voice_stack.asr.live.turns import LiveDiarization, WhoSpoke
from voice_stack.asr.request import DiarizationRequest, KnownVoice, SpeakerChoice, SpeakersHeard, SpeakersWorkerConfig
from voice_stack.asr.speakers.base import SAMPLE_RATE, Diarized, Recording, SpeakerEngine
from voice_stack.asr.speakers.live import LiveVoices
from voice_stack.asr.speakers.naming import name_turns, read_known, tidy_turns
from voice_stack.asr.speakers.people import keep_voiceprint, read_voiceprint
from voice_stack.core.errors import InvalidRequestError, VoiceStackError
from voice_stack.core.feeds import Inbox
from voice_stack.core.jobs import Expected, Job, MeasuredWork, PlanStep, RunResult, Unit, Urgency, Workload
from voice_stack.core.logging import log_event
from voice_stack.utils.audio.decode import probe_duration_s, regroup

logger = getLogger(__name__)

PIECE_S = 10.0
CLOSING_COST_S = 1.0
"""Clustering takes about as long as hearing so much audio."""
MAX_VOICES = 1000
"""Known voices whose likeness is remembered, 1 kB each."""
COUNT_FALLBACK = "speaker-count"
"""What the answer's `x-fallback` says: other than as many speakers as were asked for were found."""
KNOWN_FALLBACK = "known-speakers"
"""The same: the model does not tell what voices are like, so nobody is called by a name."""

VoiceKey = tuple[Path, int, int]
MakeUnit = Callable[[object, float], Unit]


@dataclass(frozen=True, slots=True, eq=False)
class _KnownSound:
    """A unit's data: the recording of a known voice."""

    known: KnownVoice
    key: VoiceKey
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A unit's data: the next piece of the recording."""

    samples: NDArray[np.float32]
    is_last: bool


@dataclass(frozen=True, slots=True)
class _Closing:
    """A unit's data: everything was heard, who spoke when is asked."""


@dataclass(slots=True)
class _JobState:
    """What is kept of one job."""

    request: DiarizationRequest | LiveDiarization
    recording: Recording | None = None
    live: LiveVoices | None = None
    known: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    heard_s: float = 0.0
    total_s: float = 0.0
    warnings: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()

    def miss(self, name: str, error: VoiceStackError | OSError) -> None:
        """Note that somebody is not known in this file."""
        reason = error.message if isinstance(error, VoiceStackError) else error.strerror or "it cannot be read"
        self.missed += (f"nobody is called {name!a} here: {reason}".encode("ascii", "replace").decode(),)
        log_event(logger, WARNING, "known person is left out", name=name, reason=reason)

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Note what of the file is not heard, all that is known so far; the log is told of each once."""
        for warning in warnings[len(self.warnings) :]:
            log_event(logger, WARNING, "not all of the file is heard", warning=warning)
        self.warnings = warnings


class SpeakersWorkload(Workload):
    """Plans and runs diarizations; `load_engine` is called once. A job's units run one after the other."""

    def __init__(self, config: SpeakersWorkerConfig, load_engine: Callable[[], SpeakerEngine]) -> None:
        self._config, self._load_engine = config, load_engine
        self._jobs: dict[str, _JobState] = {}
        self._voices: OrderedDict[VoiceKey, NDArray[np.float32]] = OrderedDict()

    def load(self) -> None:
        self._engine = self._load_engine()

    def plan(self, job: Job, fed: Inbox) -> Iterator[PlanStep]:
        # What a process knew of a file died with it: the next one hears everything again, under further numbers.
        numbers = count(job.first_unit)

        def make_unit(data: object, cost_s: float) -> Unit:
            return Unit(job.id, next(numbers), cost_s, None, data, is_sequential=True, is_awaited=job.is_fed)

        if isinstance(job.request, LiveDiarization):
            live = LiveVoices(job, fed)
            state = self._jobs[job.id] = _JobState(job.request, live=live)
            return chain(self._prepare_known(state, make_unit), live.steps(make_unit))
        assert isinstance(job.request, DiarizationRequest)
        state = self._jobs[job.id] = _JobState(job.request)
        return unless_gone(self._cut(job, job.request, state, make_unit))

    def _prepare_known(self, state: _JobState, make_unit: MakeUnit) -> Iterator[PlanStep]:
        for sound in self._read_known(state):
            yield make_unit(sound, sound.samples.size / SAMPLE_RATE) if sound else None

    def _cut(self, job: Job, request: DiarizationRequest, state: _JobState, make_unit: MakeUnit) -> Iterator[PlanStep]:
        yield from self._prepare_known(state, make_unit)
        if request.only_known:
            return
        source = describe_source(request.source)
        state.total_s = min(call_decoder(probe_duration_s, source) or 0.0, self._config.max_audio_s)
        if state.total_s:
            yield Expected(job.id, state.total_s)
        blocks = decode_blocks(source, max_duration_s=self._config.max_audio_s, warn=state.warn)
        waiting: NDArray[np.float32] | None = None
        for samples in regroup(blocks, int(PIECE_S * SAMPLE_RATE)):
            if waiting is not None:
                yield make_unit(_Piece(waiting, is_last=False), PIECE_S)
            waiting = samples
        if waiting is not None:
            yield make_unit(_Piece(waiting, is_last=True), waiting.size / SAMPLE_RATE)
        yield make_unit(_Closing(), CLOSING_COST_S)

    def _read_known(self, state: _JobState) -> Iterator[_KnownSound | None]:
        """The known voices that are new to this process; None for one that is not."""
        for known in state.request.speakers.known:
            try:
                yield self._read_voice(state, known)
            except (InvalidRequestError, OSError) as error:
                if not known.is_kept:
                    raise
                state.miss(known.name, error)

    def _read_voice(self, state: _JobState, known: KnownVoice) -> _KnownSound | None:
        status = known.recording.stat()
        key = known.recording, status.st_mtime_ns, status.st_size
        voice = self._voices.get(key)
        if voice is None and known.is_kept and (kept := read_voiceprint(known, self._config.model)):
            voice = self._remember(key, np.array(kept, np.float32))
        if voice is None:
            return _KnownSound(known, key, read_known(known, is_checked=self._config.vad_enabled))
        state.known[known.name] = voice
        return None

    def run(self, units: Sequence[Unit], urgency: Urgency) -> Iterator[RunResult]:
        for unit in units:
            state = self._jobs[unit.job_id]
            match unit.data:
                case _KnownSound(known, key, samples) if self._engine.knows_voices:
                    voice = state.known[known.name] = self._remember(key, self._engine.voice(samples))
                    if known.is_kept:
                        keep_voiceprint(known, self._config.model, voice.tolist())
                case _Piece(samples, is_last):
                    state.recording = state.recording or self._engine.open()
                    state.recording.add(samples, is_last=is_last)
                    state.heard_s += samples.size / SAMPLE_RATE
                    yield unit.output(SpeakersHeard(state.heard_s, state.total_s, warnings=state.warnings))
                case _Closing() if state.recording is not None and isinstance(state.request, DiarizationRequest):
                    found = state.recording.diarize(state.request.speakers)
                    yield unit.output(_tell(state, state.request, found, knows_voices=self._engine.knows_voices))
                case np.ndarray() as samples if state.live:
                    state.live.hear(samples, self._engine)
                    state.heard_s += samples.size / SAMPLE_RATE
                case WhoSpoke() as asked if state.live:
                    yield unit.output(state.live.tell(asked, state.known))
            yield unit.done()

    def _remember(self, key: VoiceKey, voice: NDArray[np.float32]) -> NDArray[np.float32]:
        self._voices[key] = voice
        while len(self._voices) > MAX_VOICES:
            self._voices.popitem(last=False)
        return voice

    def finish(self, job: Job) -> MeasuredWork:
        return MeasuredWork(audio_in_s=self._jobs[job.id].heard_s)

    def forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)


def _tell(state: _JobState, request: DiarizationRequest, found: Diarized, *, knows_voices: bool) -> SpeakersHeard:
    """The last output: all turns, and what was not done as it was asked."""
    turns = tidy_turns(found.turns, request.least_pause_s, request.least_turn_s)
    fallbacks: tuple[str, ...] = () if _is_as_asked(request.speakers, found) else (COUNT_FALLBACK,)
    fallbacks += (KNOWN_FALLBACK,) if request.speakers.known and not knows_voices else ()
    known = {name: voice for name, voice in state.known.items() if voice.shape == found.voices.shape[1:]}
    named = name_turns(turns, found.voices, known)
    return SpeakersHeard(state.heard_s, state.heard_s, named, fallbacks, (*state.missed, *state.warnings))


def _is_as_asked(choice: SpeakerChoice, found: Diarized) -> bool:
    """Whether as many speak as a request says; nobody at all is no matter of counting."""
    number = len({turn.voice for turn in found.turns})
    least, most = choice.count or choice.least or 1, choice.count or choice.most or number
    return not number or least <= number <= most
