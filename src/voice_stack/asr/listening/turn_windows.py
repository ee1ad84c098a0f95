"""The sound of turns, in windows for the model: those that a file with the same sound has.

A turn of minutes is cut in its pauses, or else where it is quietest; silence is left out. How the stream is cut into
pieces changes no window.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.listening.end_of_turn import HEARD
from voice_stack.asr.listening.turn_detection import KEPT, PauseBegan, PauseEnded, TurnDetector, TurnEvent
from voice_stack.asr.listening.windows import SampleTrack, Window, WindowCutter
from voice_stack.asr.live.turns import Cleared, SpeechStarted, TurnClosed, TurnRules
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE, VadOptions

_STEP = 16 * FRAME  # that windows are cut in: half a second

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TurnWindow:
    """A window to be decoded for good, its times those of the stream; None: nobody spoke in the rest of the turn."""

    turn: int
    window: Window | None
    is_last: bool


@dataclass(frozen=True, slots=True)
class TurnPause:
    """The turn may be over: what would be left to decode of it, so that it can be begun.

    If `TurnClosed` comes without `PauseEnded` before it, the text of these windows is the turn's: silence followed.
    """

    turn: int
    windows: tuple[Window, ...]


CutEvent = TurnEvent | TurnWindow | TurnPause


@dataclass(slots=True)
class _OpenTurn:
    """A turn that is open, and how far into the stream its windows are cut."""

    start: int
    cutter: WindowCutter
    fed: int


class TurnCutter:
    """Samples of a stream with their speech probabilities in, turns and their windows out. No model inside.

    Memory holds a window and ten seconds, however long a turn or the silence lasts.

    Args:
        rules: How turns are told.
        is_complete: Probability that what was said in these samples, 8 s at most, is complete; None: nothing can tell.
        max_window_s: Longest window.

    Attributes:
        detector: What it knows of turns; whatever moves it comes through here.
    """

    def __init__(
        self, rules: TurnRules, is_complete: Callable[[Samples], float] | None = None, *, max_window_s: float = 28.0
    ) -> None:
        self.detector = TurnDetector(rules)
        self.ask(is_complete)
        self._max_window_s = max_window_s
        self._samples, self._probabilities = SampleTrack(), SampleTrack()
        self._fresh = list[Samples]()  # not yet in the track, which is copied whenever it grows
        self._next_step = _STEP
        self._is_pausing = False
        self._open: _OpenTurn | None = None

    def ask(self, is_complete: Callable[[Samples], float] | None) -> None:
        """Ask this one from here on."""

        def of_turn(start: int, end: int) -> float:
            assert is_complete is not None
            return is_complete(self._read(max(start, end - HEARD), end))

        self.detector.is_complete = of_turn if is_complete else None

    def push(self, samples: Samples, probabilities: Samples) -> list[CutEvent]:
        """What these samples tell, with the probabilities of the frames (512 samples) that they complete.

        Args:
            samples: Mono float32 at 16 kHz, shape (samples,).
            probabilities: Shape (frames,).
        """
        told: list[CutEvent] = []
        # What is cut off at a step does not depend on what is known after it.
        while 0 < (room := self._next_step - self.detector.heard) < samples.size:
            frames = (self._next_step - self.detector.position) // FRAME
            told += self._push(samples[:room], probabilities[:frames])
            samples, probabilities = samples[room:], probabilities[frames:]
        return told + self._push(samples, probabilities)

    def _push(self, samples: Samples, probabilities: Samples) -> list[CutEvent]:
        self._fresh.append(samples)
        self._probabilities.append(probabilities)
        return self._follow(self.detector.push(samples.size, probabilities.tolist()))

    def commit(self) -> list[CutEvent]:
        """See `TurnDetector.commit`."""
        return self._follow(self.detector.commit())

    def clear(self) -> list[CutEvent]:
        """See `TurnDetector.clear`."""
        return self._follow(self.detector.clear())

    def change(self, rules: TurnRules) -> list[CutEvent]:
        """See `TurnDetector.change`."""
        return self._follow(self.detector.change(rules))

    def finish(self) -> list[CutEvent]:
        """See `TurnDetector.finish`."""
        return self._follow(self.detector.finish())

    def _follow(self, events: Iterable[TurnEvent]) -> list[CutEvent]:
        """What the detector tells, with the windows that it means."""
        told: list[CutEvent] = []
        for event in events:
            if isinstance(event, PauseBegan):
                self._is_pausing = True
                told.append(TurnPause(event.turn, tuple(self._look(event.end))))
                continue
            told.append(event)
            match event:
                case SpeechStarted(_, at_s):
                    self._begin(round(at_s * SAMPLE_RATE))
                case PauseEnded():
                    self._is_pausing = False
                case TurnClosed(turn, start_s, end_s):
                    open_turn = self._begin(round(start_s * SAMPLE_RATE))
                    told += _number(turn, self._finish(open_turn, round(end_s * SAMPLE_RATE)))
                    self._open, self._is_pausing = None, False
                case Cleared():
                    self._open, self._is_pausing = None, False
        return [*told, *self._advance()]

    def draft(self) -> Window | None:
        """The window in progress as it would be if the turn ended here; None: there is none, or nobody spoke in it.

        Its `index` tells when another has begun.
        """
        windows = self._look(self.detector.heard) if self.detector.open_start is not None else []
        return windows[-1] if windows else None

    def _advance(self) -> Iterator[CutEvent]:
        """What of the open turn is complete; what nobody can ask for any more is forgotten."""
        start, position = self.detector.open_start, self.detector.position
        if start is None:
            self._open = None
        if position < self._next_step:
            return
        self._next_step = position // _STEP * _STEP + _STEP
        windows = self._cut(self._begin(start), position) if start is not None else []
        if windows and self._is_pausing:  # long enough to cut in: they are not what the pause showed as the last ones
            self._is_pausing = False
            yield PauseEnded(self.detector.turn)
        for window in windows:
            yield TurnWindow(self.detector.turn, window, is_last=False)
        kept_from = max(position - KEPT, 0) // FRAME * FRAME
        self._read(kept_from, position)
        self._samples.forget_before(kept_from)
        self._probabilities.forget_before(kept_from // FRAME)

    def _begin(self, start: int) -> _OpenTurn:
        if self._open is None:
            threshold = min(max(self.detector.rules.threshold, 0.01), VadOptions().threshold)
            cutter = WindowCutter(VadOptions(threshold=threshold), max_window_s=self._max_window_s)
            self._open = _OpenTurn(start, cutter, fed=_base(start))
        return self._open

    def _look(self, end: int) -> list[Window]:
        """The windows that the open turn would still have if it ended at a sample."""
        return self._finish(deepcopy(self._begin(self.detector.open_start or 0)), end)

    def _finish(self, turn: _OpenTurn, end: int) -> list[Window]:
        windows = self._cut(turn, end)
        return windows + [_place(window, _base(turn.start)) for window in turn.cutter.finish()]

    def _cut(self, turn: _OpenTurn, end: int) -> list[Window]:
        """The windows of a turn that are complete with the sound up to a sample."""
        end = max(end, turn.fed)
        samples = self._read(turn.fed, end).copy()
        samples[: max(turn.start - turn.fed, 0)] = 0  # the turn's first frame may have begun in the one before
        found = self._probabilities.read(turn.fed // FRAME, end // FRAME)
        # A frame that the turn ends in counts as silence: its sound is kept all the same, as that after speech.
        probabilities = np.append(found, np.float32(0)) if end % FRAME else found
        turn.fed = end
        return [_place(window, _base(turn.start)) for window in turn.cutter.push(samples, probabilities)]

    def _read(self, start: int, end: int) -> Samples:
        if self._fresh:
            self._samples.append(np.concatenate(self._fresh))
            self._fresh = []
        return self._samples.read(start, end)


def _base(start: int) -> int:
    """Where the frame begins in which a turn does: the cutter's frames are those of the stream."""
    return start // FRAME * FRAME


def _place(window: Window, base: int) -> Window:
    """A window in the time of the stream."""
    pieces = [
        replace(
            piece,
            file_start=piece.file_start + base,
            speech_start=piece.speech_start + base,
            speech_end=piece.speech_end + base,
        )
        for piece in window.pieces
    ]
    return replace(window, pieces=tuple(pieces))


def _number(turn: int, windows: Sequence[Window]) -> Iterator[TurnWindow]:
    """The windows that are left of a turn at its end."""
    for window in windows[:-1]:
        yield TurnWindow(turn, window, is_last=False)
    yield TurnWindow(turn, windows[-1] if windows else None, is_last=True)
