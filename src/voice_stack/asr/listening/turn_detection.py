"""Where turns begin and end in live sound, told by probabilities of speech alone: no sound, no model, no clock.

How the stream is cut into pieces changes no event and no time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voice_stack.asr.live.turns import (
    Cleared,
    Eagerness,
    NothingToCommit,
    SpeechStarted,
    SpeechStopped,
    TurnClosed,
    TurnRules,
)
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE

MIN_SPEECH = 4 * FRAME
"""Samples of speech that start a turn, 0.13 s: a click or a cough is none."""
_FORGOTTEN = 3 * FRAME
CANDIDATE = SAMPLE_RATE // 5
"""Samples of silence after which a turn may be over; half of what ends it, if that is less."""
QUESTION_STEP = SAMPLE_RATE * 3 // 10
"""Samples of silence between two questions whether it is."""
KEPT = SAMPLE_RATE * 10
"""Samples outside of turns that may still be asked for."""
LONGEST_TURN = SAMPLE_RATE * 900
"""Samples of a turn, after which the next one begins: its sound is kept until it is over, at 24 kHz 43 MB."""
_MOST_PREFIX_S = 5.0
_LEAST_COMMIT = SAMPLE_RATE // 10


_PATIENCE: dict[Eagerness, tuple[float, float]] = {
    "low": (0.7, 1.2),
    "medium": (0.5, 0.8),
    "auto": (0.5, 0.8),
    "high": (0.3, 0.5),
}
"""Probability above which what was said is complete; silence that ends a turn where nothing tells that, in seconds."""


@dataclass(frozen=True, slots=True)
class PauseBegan:
    """The turn may end with this silence, which was heard up to sample `end`."""

    turn: int
    end: int


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """The turn goes on: what was begun because it might be over is of no use."""

    turn: int


TurnEvent = SpeechStarted | SpeechStopped | TurnClosed | NothingToCommit | Cleared | PauseBegan | PauseEnded


def _samples(time_s: float) -> int:
    return round(time_s * SAMPLE_RATE)


class TurnDetector:
    """The turns of one stream; positions are samples at 16 kHz of all that was ever fed.

    Speech begins with a frame at the threshold and ends with one 0.15 below it. The silence that ends a turn is its
    end; the next turn begins there at the earliest. Without rules (`none`) a turn lasts from commit to commit.

    Args:
        rules: How turns are told.
        is_complete: Tells how probably what was said from one sample to another is complete; asked for semantic turns
            alone. None: nothing can tell.

    Attributes:
        rules: As they are now; see `change`.
        is_complete: As above; whoever changes the rules may set another.
        turn: Number of the turn that is open, or else of the next.
        heard: Samples that were fed.
        position: Where the frames end whose probabilities were fed.
        has_speech: Whether somebody spoke since the turn before.
    """

    def __init__(self, rules: TurnRules, is_complete: Callable[[int, int], float] | None = None) -> None:
        self.rules, self.is_complete = rules, is_complete
        self.turn = self.heard = self.position = 0
        self._next_question = CANDIDATE
        self._forget(0)

    def _forget(self, floor: int) -> None:
        """Nothing before `floor` belongs to a turn any more."""
        self._floor = floor
        self._start: int | None = None  # of a turn whose start was told
        self._onset: int | None = None
        self._quiet_since: int | None = None
        self._voiced = 0
        self.has_speech = self._is_pause_told = False

    @property
    def open_start(self) -> int | None:
        """First sample of the turn that is open, if one is."""
        is_buffer = self.rules.kind == "none" and self.heard > self._floor
        return self._floor if self._start is None and is_buffer else self._start

    @property
    def speech_start(self) -> int | None:
        """Where the speech of the open turn begins; None: there is none yet."""
        return self._onset if self.has_speech else None

    @property
    def speech_end(self) -> int | None:
        """Where the speech of the open turn ends so far; None: there is none yet."""
        if not self.has_speech:
            return None
        return self.position if self._quiet_since is None else self._quiet_since

    @property
    def pause_s(self) -> float:
        """Length of the pause that goes on, 0 while somebody speaks."""
        return 0.0 if self._quiet_since is None else (self.position - self._quiet_since) / SAMPLE_RATE

    def push(self, samples: int, probabilities: Iterable[float]) -> list[TurnEvent]:
        """What so many more samples tell.

        Args:
            samples: How many were fed.
            probabilities: Of speech in each frame of 512 samples that they complete.
        """
        self.heard += samples
        return [event for probability in probabilities for event in self._step(probability)]

    def commit(self) -> list[TurnEvent]:
        """The client ends the turn. Where none is open, what was heard last may still hold something."""
        start = self.open_start
        if start is None:
            start = max(self._floor, self.heard - KEPT)
        if self.heard - start < _LEAST_COMMIT:
            return [NothingToCommit()]
        return self._close(start, self.heard)

    def clear(self) -> list[TurnEvent]:
        """The client wants nothing of what is not committed."""
        is_open, turn = self.open_start is not None, self.turn
        self._forget(self.heard)
        self.turn += int(is_open)
        return [Cleared(turn if is_open else None)]

    def change(self, rules: TurnRules) -> list[TurnEvent]:
        """From here on other rules hold; a turn in which somebody spoke stays open, and begins where it did."""
        start, self.rules = self.open_start, rules
        if start is None:
            self._floor = max(self._floor, self.heard - KEPT)
        if rules.kind == "none" or self._start is not None or start is None or not self.has_speech:
            return []
        self._start = start
        return [SpeechStarted(self.turn, start / SAMPLE_RATE)]

    def finish(self) -> list[TurnEvent]:
        """Nothing more comes: the turn in which somebody speaks is over. What waits for a commit is not."""
        return [] if self._start is None else self._close(self._start, self.heard)

    def _step(self, probability: float) -> list[TurnEvent]:
        frame, self.position = self.position, self.position + FRAME
        events: list[TurnEvent] = []
        threshold = self.rules.threshold
        if probability >= threshold:
            if self._is_pause_told:
                events.append(PauseEnded(self.turn))
            self._onset = frame if self._onset is None else self._onset
            self._quiet_since, self._is_pause_told = None, False
        elif self._onset is not None and self._quiet_since is None and probability < max(threshold - 0.15, 0.01):
            self._quiet_since, self._next_question = frame, CANDIDATE
        if self._onset is not None:
            events += self._go_on(self._onset) if self._quiet_since is None else self._pause(self._quiet_since)
        if (start := self.open_start) is not None and self.position - start >= LONGEST_TURN:
            events += self._close(start, self.position)
        return events

    def _go_on(self, onset: int) -> list[TurnEvent]:
        self._voiced += FRAME
        if self.has_speech or self._voiced < MIN_SPEECH:
            return []
        self.has_speech = True
        if self.rules.kind == "none":
            return []
        prefix_s = min(self.rules.prefix_s, _MOST_PREFIX_S)
        self._start = max(self._floor, onset - _samples(prefix_s))
        return [SpeechStarted(self.turn, self._start / SAMPLE_RATE)]

    def _pause(self, since: int) -> list[TurnEvent]:
        pause = self.position - since
        if not self.has_speech:
            if pause >= _FORGOTTEN:
                self._onset, self._quiet_since, self._voiced = None, None, 0
            return []
        if self._start is not None and (end := self._find_end(self._start, since, pause)) is not None:
            return self._close(self._start, end)
        # A turn that ends with less than twice as much: its text would be later than its end by all that it takes.
        silence = _samples(self.rules.silence_s) if self.rules.kind == "silence" else 2 * CANDIDATE
        candidate = min(CANDIDATE, silence // 2)
        if pause < candidate or self._is_pause_told:
            return []
        self._is_pause_told = True
        return [PauseBegan(self.turn, since + candidate)]

    def _find_end(self, start: int, since: int, pause: int) -> int | None:
        """Where the turn ends with this frame of silence; None: it goes on."""
        if self.rules.kind == "none":
            return None
        (needed, silence_s), is_semantic = _PATIENCE[self.rules.eagerness], self.rules.kind == "semantic"
        longest = _samples(silence_s if is_semantic and not self.is_complete else self.rules.longest_pause_s)
        while is_semantic and self.is_complete and self._next_question <= min(pause, longest):
            end, self._next_question = since + self._next_question, self._next_question + QUESTION_STEP
            if self.is_complete(start, end) > needed:
                return end
        return since + longest if pause >= longest else None

    def _close(self, start: int, end: int) -> list[TurnEvent]:
        turn, was_told = self.turn, self._start is not None
        self._forget(end)
        self.turn += 1
        stopped: list[TurnEvent] = [SpeechStopped(turn, end / SAMPLE_RATE)] if was_told else []
        return [*stopped, TurnClosed(turn, start / SAMPLE_RATE, end / SAMPLE_RATE)]
