"""An engine without a model, for what a model cannot show: slow work, failures, crashes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.request import EngineOptions, SpeakerChoice
from voice_stack.asr.speakers.base import SAMPLE_RATE, Diarized, Recording, SpeakerEngine, VoiceTurn
from voice_stack.utils.faults import load_as_named, obey

_LEVELS = 10
_EACH = "each-"


class FakeSpeakers(SpeakerEngine):
    """Speakers are how far the samples of a second lie from zero on average, in tenths; those around zero are silence.

    It obeys commands in its model's name as `FAULTS` has them, when it is loaded; those that begin with `each-` each
    time when it hears more.
    """

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        words = model_dir.name.split("+")
        load_as_named(model_dir.parent, "+".join(word for word in words if not word.startswith(_EACH)))
        self._each = [word.removeprefix(_EACH) for word in words if word.startswith(_EACH)]

    def open(self) -> Recording:
        """See `SpeakerEngine.open`."""
        return _FakeRecording(self._each)

    def voice(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `SpeakerEngine.voice`."""
        return _voice(_level(samples))


class _FakeRecording(Recording):
    def __init__(self, each: list[str]) -> None:
        self._each, self._rest, self._levels = each, np.zeros(0, np.float32), list[int]()

    def add(self, samples: NDArray[np.float32], *, is_last: bool = False) -> None:
        obey(self._each)
        heard = np.concatenate([self._rest, samples])
        whole = heard.size if is_last else heard.size // SAMPLE_RATE * SAMPLE_RATE
        self._levels += [_level(heard[at : at + SAMPLE_RATE]) for at in range(0, whole, SAMPLE_RATE)]
        self._rest = heard[whole:]

    def diarize(self, choice: SpeakerChoice) -> Diarized:
        heard = [level for level in dict.fromkeys(self._levels) if level]
        turns = list[VoiceTurn]()
        for second, level in enumerate(self._levels):
            if level:
                voice = heard.index(level)
                goes_on = bool(turns) and (turns[-1].voice, turns[-1].end_s) == (voice, float(second))
                start_s = turns.pop().start_s if goes_on else float(second)
                turns.append(VoiceTurn(start_s, second + 1.0, voice))
        return Diarized(tuple(turns), np.array([_voice(level) for level in heard], np.float32).reshape(-1, 2 * _LEVELS))


def _level(samples: NDArray[np.float32]) -> int:
    return round(float(samples.mean()) * _LEVELS) if samples.size else 0


def _voice(level: int) -> NDArray[np.float32]:
    voice = np.zeros(2 * _LEVELS, np.float32)
    voice[level % (2 * _LEVELS)] = 1.0
    return voice
