"""The plan of a live transcription: sound as it comes -> turns, their windows, and drafts of what is being said."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, WindowResult
from voice_stack.asr.listening.drafts import Agreement, split_words
from voice_stack.asr.listening.live_sound import LiveSoundReader
from voice_stack.asr.listening.results import JobState
from voice_stack.asr.listening.turn_detection import PauseEnded
from voice_stack.asr.listening.turn_windows import CutEvent, TurnCutter, TurnPause, TurnWindow
from voice_stack.asr.listening.windows import Window
from voice_stack.asr.live.turns import (
    Change,
    Clear,
    Commit,
    LiveRequest,
    LiveSound,
    Muted,
    TurnClosed,
    TurnDraft,
    TurnText,
)
from voice_stack.asr.request import DecodeOptions, WindowText
from voice_stack.core.feeds import Inbox, Notice, Settled, Starved, Verdict
from voice_stack.core.jobs import Job, PlanStep, RunResult, Unit
from voice_stack.utils.audio.vad import ForgivingVad

Samples = np.ndarray[tuple[int], np.dtype[np.float32]]

SEMANTIC_FALLBACK = "semantic-turns"
"""Nothing tells whether what was said is complete: silence ends turns."""
SETTLE_S, KEPT_S = 10.0, 6.0
"""In a silence of so long what came before is settled, but for the last seconds, in which a turn may have begun."""
FIRST_DRAFT_S, FIRST_STEP = 0.6, 0.5
"""Speech in the first draft of a turn: less is no word yet. Then steps are shorter by so much until it has words, or
for `EAGER_S`: two hypotheses must agree, and the second one is what the first word waits for."""
EAGER_S = 2.0
DOUBLED_S = 10.0
"""Speech after which steps are twice as long: a draft hears the whole turn, and costs the more the longer that is."""


@dataclass(frozen=True, slots=True)
class LiveMark:
    """Where a plan goes on: so many samples at 16 kHz and turns were before its first feed, and this is asked."""

    samples: int
    turn: int
    request: LiveRequest


@dataclass(frozen=True, slots=True)
class TurnPart:
    """What a window is of its turn; without a window nobody spoke in the rest of it."""

    turn: int
    is_last: bool
    pause_s: float = 0.0

    def text(self, window: WindowText) -> TurnText:
        """The result of decoding it."""
        return TurnText(self.turn, window, self.is_last)


class LiveTurns:
    """One live transcription in the engine process: its plan, and what its drafts agree on.

    Args:
        job: With a `LiveRequest`.
        fed: The sound, and what else is fed.
        state: What is known of the job.
        make_data: What the engine works on: for a window and its part of a turn.
        find_judge: Gives what tells how probably what was said in these samples is complete, or None; asked when
            turns are to be semantic.
        max_window_s: Longest window.
    """

    def __init__(
        self,
        job: Job,
        fed: Inbox,
        state: JobState,
        make_data: Callable[[Window, TurnPart], tuple[object, object]],
        find_judge: Callable[[], Callable[[Samples], float] | None],
        max_window_s: float,
    ) -> None:
        assert isinstance(job.request, LiveRequest)
        mark = job.mark if isinstance(job.mark, LiveMark) else LiveMark(0, 0, job.request)
        self._job, self._fed, self._state, self._mark = job, fed, state, mark
        self._make_data, self._find_judge = make_data, find_judge
        self._request = mark.request
        self._reader = LiveSoundReader(mark.request.sound)
        self._vad = ForgivingVad(state.miss_vad)
        self._cutter = TurnCutter(mark.request.rules, max_window_s=max_window_s)
        self._index, self._drafts = job.first_unit, 0
        self._begun: list[int] = []
        self._is_begun_kept = False
        self._drafted_to = 0
        self._starts: deque[tuple[int, int]] = deque()
        self._settled_to = 0
        self._agreed: tuple[int, Agreement] = (-1, Agreement())
        self._decoded_windows = 0

    def steps(self) -> Iterator[PlanStep]:
        """The plan; it ends when the input does, with the turn that is open then."""
        self._ask_judge()
        while True:
            for piece in self._fed.take():
                yield from self._take(piece)
            if self._fed.is_closed and not self._fed:
                rest = self._reader.flush()
                yield from self._follow([*self._hear(rest), *self._cutter.finish()])
                return
            yield from self._draft()
            yield from self._settle_silence()
            yield Starved(self._job.id, self._fed.taken)

    def _take(self, piece: object) -> Iterator[PlanStep]:
        match piece:
            case LiveSound(data):
                self._starts.append((self._fed.taken - 1, self._cutter.detector.heard))
                yield from self._follow(self._hear(self._reader.push(data)))
            case Commit():
                yield from self._follow([*self._hear(self._reader.flush()), *self._cutter.commit()])
            case Clear():
                yield from self._follow(self._cutter.clear())
            case Muted():
                yield from self._follow([*self._hear(self._reader.flush()), *self._cutter.finish()])
            case Change(request):
                yield from self._change(request)

    def _hear(self, samples: Samples) -> list[CutEvent]:
        self._state.heard_samples += samples.size
        return self._cutter.push(samples, self._vad.probabilities(samples))

    def _change(self, request: LiveRequest) -> Iterator[PlanStep]:
        before, self._request = self._request, request
        self._state.ask(request)
        if request.sound != before.sound:
            yield from self._follow(self._hear(self._reader.flush()))
            self._reader = LiveSoundReader(request.sound)
        if request.rules != before.rules:
            self._ask_judge()
            yield from self._follow(self._cutter.change(request.rules))

    def _ask_judge(self) -> None:
        judge = self._find_judge() if self._request.rules.kind == "semantic" else None
        self._cutter.ask(judge)
        if judge is None and self._request.rules.kind == "semantic":
            self._state.fall_back(SEMANTIC_FALLBACK)

    def _follow(self, events: Iterable[CutEvent]) -> Iterator[PlanStep]:
        for event in events:
            match event:
                case TurnPause(turn, windows):
                    yield from self._begin(turn, windows)
                case PauseEnded():
                    yield from self._judge(is_kept=False)
                case TurnWindow(turn, window, is_last):
                    if not self._is_begun_kept:
                        yield self._unit(window, TurnPart(turn, is_last))
                    self._is_begun_kept &= not is_last
                    if is_last:
                        yield from self._settle(self._cutter.detector.heard)
                case TurnClosed():
                    yield self._note(event)
                    self._is_begun_kept = bool(self._begun)
                    yield from self._judge(is_kept=True)
                case _:
                    yield self._note(event)

    def _begin(self, turn: int, windows: Sequence[Window]) -> Iterator[PlanStep]:
        """Decode what would be left of the turn if it ended here, before that is known."""
        for window in windows:
            self._begun.append(self._index)
            yield replace(self._unit(window, TurnPart(turn, window is windows[-1])), is_tentative=True)

    def _judge(self, *, is_kept: bool) -> Iterator[PlanStep]:
        for index in self._begun:
            yield Verdict(index, is_kept)
        self._begun = []

    def _unit(self, window: Window | None, part: TurnPart) -> Unit:
        part = replace(part, turn=part.turn + self._mark.turn)
        index, self._index = self._index, self._index + 1
        if window is None:
            return Unit(self._job.id, index, 0.0, None, part, is_awaited=True)
        placed = _shift(window, self._mark.samples)
        self._state.speech_s += placed.speech_s
        data, key = self._make_data(placed, part)
        is_sequential = not self._state.is_settled
        return Unit(self._job.id, index, placed.duration_s, key, data, is_sequential, is_awaited=True)

    def _draft(self) -> Iterator[PlanStep]:
        """A draft of what is being said, if there is enough that the one before has not heard."""
        detector = self._cutter.detector
        start, spoken_to = detector.speech_start, detector.speech_end
        if start is None or spoken_to is None or not self._request.has_drafts or self._begun:
            return
        if (spoken_to - max(start, self._drafted_to)) / SAMPLE_RATE < self._step_s((spoken_to - start) / SAMPLE_RATE):
            return
        if window := self._cutter.draft():
            self._drafted_to = spoken_to
            self._drafts += 1
            part = TurnPart(detector.turn + self._mark.turn, is_last=False, pause_s=detector.pause_s)
            data, key = self._make_data(window, part)
            cost_s = window.duration_s
            yield Unit(self._job.id, -self._drafts, cost_s, ("draft", key), data, is_awaited=True, is_draft=True)

    def _step_s(self, spoken_s: float) -> float:
        """Speech that makes a draft worth while, after so much of it in the open turn."""
        turn, agreement = self._agreed
        if spoken_s > EAGER_S or (turn == self._cutter.detector.turn + self._mark.turn and agreement.text):
            return self._request.draft_step_s * (1 + spoken_s / DOUBLED_S)
        is_first = self._drafted_to <= (self._cutter.detector.speech_start or 0)
        return FIRST_DRAFT_S if is_first else FIRST_STEP * self._request.draft_step_s

    def agree(self, part: TurnPart, window: Window, result: WindowResult) -> TurnDraft | None:
        """What a hypothesis for a turn that goes on adds to what will stay; None: nothing."""
        turn, agreement = self._agreed
        if turn != part.turn:
            agreement = Agreement(1 if self._request.draft_step_s < LEAST_AGREED_STEP_S else 2)
            self._agreed, self._decoded_windows = (part.turn, agreement), 0
        if window.index != self._decoded_windows:
            return None  # the text of the window before is not known yet
        words = split_words("".join(segment.text for segment in result.segments))
        quality = {"avg_logprob": result.avg_logprob, "compression_ratio": result.compression_ratio}
        return TurnDraft(part.turn, agreement.text) if agreement.push(words, pause_s=part.pause_s, **quality) else None

    def decoded(self, part: TurnPart, texts: Iterable[str]) -> None:
        """The final text of a window that is not the last of its turn: drafts go on behind it."""
        turn, agreement = self._agreed
        if turn == part.turn and not part.is_last:
            agreement.settle(split_words("".join(texts)))
            self._decoded_windows += 1

    def _note(self, event: CutEvent) -> Notice:
        """What is told of the cutter's stream, told of the whole one."""
        turns, before_s = self._mark.turn, self._mark.samples / SAMPLE_RATE
        shifts = {"turn": turns, "at_s": before_s, "start_s": before_s, "end_s": before_s}
        told = {name: value + shifts[name] for name, value in asdict(event).items() if value is not None}
        return Notice(self._job.id, replace(event, **told))

    def _settle_silence(self) -> Iterator[PlanStep]:
        detector = self._cutter.detector
        if detector.open_start is None and detector.heard - self._settled_to > SETTLE_S * SAMPLE_RATE:
            yield from self._settle(detector.heard - round(KEPT_S * SAMPLE_RATE))

    def _settle(self, until: int) -> Iterator[PlanStep]:
        """Nothing before a sample will be needed again."""
        while len(self._starts) > 1 and self._starts[1][1] <= until:
            self._starts.popleft()
        if self._starts:
            feed, start = self._starts[0]
            self._settled_to = start
            samples, turn = start + self._mark.samples, self._cutter.detector.turn + self._mark.turn
            yield Settled(self._job.id, feed, LiveMark(samples, turn, self._request))


def run_drafts(
    engine: AsrEngine, options: DecodeOptions, drafts: Sequence[tuple[Unit, LiveTurns, Window, TurnPart | None]]
) -> Iterator[RunResult]:
    """Provisional texts of what is being said."""
    quick = replace(options, is_draft=True, beam_size=1, temperature=0.0, word_timestamps=False, token_logprobs=False)
    results = engine.decode([window.samples for _, _, window, _ in drafts], quick)
    for (unit, turns, window, part), result in zip(drafts, results, strict=True):
        if part and (draft := turns.agree(part, window, result)):
            yield unit.output(draft)
        yield unit.done()


def end_turns(units: Iterable[Unit]) -> Iterator[RunResult]:
    """Turns in whose rest nobody spoke are at their end."""
    for unit in units:
        if isinstance(unit.data, TurnPart):
            yield unit.output(unit.data.text(WindowText(())))
        yield unit.done()


LEAST_AGREED_STEP_S = 0.5
"""Who wants drafts more often than that wants the first words sooner than two hypotheses agree."""


def _shift(window: Window, samples: int) -> Window:
    pieces = tuple(
        replace(
            piece,
            file_start=piece.file_start + samples,
            speech_start=piece.speech_start + samples,
            speech_end=piece.speech_end + samples,
        )
        for piece in window.pieces
    )
    return replace(window, pieces=pieces) if samples else window
