"""How long a clause should be: from the sounds in its text and the pace of its voice, learned from what was spoken."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from voice_stack.utils.text.sounds import count_pauses, count_sounds

USUAL_PACE = 12.0
"""Sounds per second of a voice that was not heard yet. Recordings of readers had 8 to 15, Piper's voices 12 to 16."""
PAUSE_S = 0.2
"""Length of the pause at a comma inside a clause."""
PACE_RANGE = (0.6, 1.6)
"""How far from the usual pace a learned one may get: a model that always babbles must not become the measure."""
_PRIOR_SOUNDS = 120.0
_MEMORY_SOUNDS = 2000.0
_MAX_PACES = 256
_WIDE, _NARROW, _NARROWING_SOUNDS = 2.2, 1.6, 300.0
_MARGIN_S = 0.5
_LEAST_S = 0.02


@dataclass(frozen=True, slots=True)
class Expectation:
    """The predicted length of a clause.

    Attributes:
        expected_s: The most likely length, in seconds.
        shortest_s: Below this, some of the text was swallowed.
        longest_s: Above this, something was invented.
    """

    expected_s: float
    shortest_s: float
    longest_s: float

    def fits(self, spoken_s: float) -> bool:
        """Whether a clause of this length can be the text."""
        return self.shortest_s <= spoken_s <= self.longest_s

    def misfit(self, spoken_s: float) -> float:
        """How far off a length is: 0 for the expected one, the same for twice and for half of it."""
        return abs(math.log(max(spoken_s, _LEAST_S) / self.expected_s))


@dataclass(slots=True)
class _Heard:
    sounds: float = 0.0
    spoken_s: float = 0.0


@dataclass(slots=True)
class Paces:
    """The pace of each voice as far as it was heard, in sounds per second; for the 256 voices used last."""

    _heard: OrderedDict[Hashable, _Heard] = field(default_factory=OrderedDict)

    def expect(self, voice: Hashable, text: str, language: str, speed: float = 1.0) -> Expectation:
        """Predict the length of a clause.

        Args:
            voice: Whatever tells voices apart.
            text: What is said.
            language: Its code.
            speed: 2 halves the length.
        """
        sounds = count_sounds(text, language)
        expected_s = (sounds / self.pace(voice) + PAUSE_S * count_pauses(text)) / speed
        heard = self._heard.get(voice, _Heard()).sounds
        spread = _NARROW + (_WIDE - _NARROW) / (1.0 + heard / _NARROWING_SOUNDS)
        margin_s = _MARGIN_S / speed
        return Expectation(
            max(expected_s, _LEAST_S), max(0.0, expected_s / spread - margin_s / 2), expected_s * spread + margin_s
        )

    def learn(self, voice: Hashable, text: str, language: str, spoken_s: float, speed: float = 1.0) -> None:
        """Take note of a clause that was spoken as it should be.

        Args:
            voice: As for `expect`.
            text: What was said.
            language: Its code.
            spoken_s: Its length without silence around it.
            speed: At which it was spoken.
        """
        heard = self._heard.setdefault(voice, _Heard())
        self._heard.move_to_end(voice)
        kept = min(1.0, _MEMORY_SOUNDS / max(heard.sounds, 1.0))
        heard.sounds = heard.sounds * kept + count_sounds(text, language)
        heard.spoken_s = heard.spoken_s * kept + max(spoken_s * speed - PAUSE_S * count_pauses(text), _LEAST_S)
        while len(self._heard) > _MAX_PACES:
            self._heard.popitem(last=False)

    def pace(self, voice: Hashable) -> float:
        """Sounds per second; what was heard counts more the more it is."""
        heard = self._heard.get(voice, _Heard())
        pace = (_PRIOR_SOUNDS + heard.sounds) / (_PRIOR_SOUNDS / USUAL_PACE + heard.spoken_s)
        return min(max(pace, PACE_RANGE[0] * USUAL_PACE), PACE_RANGE[1] * USUAL_PACE)
