"""Where to listen for languages, and what several opinions say together. Pure: no audio, no model."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voice_stack.asr.request import LanguageVote

EXCERPT_S = 30.0
"""Length of an excerpt in which speech is looked for."""
SURE_VOTES = 3
"""Opinions that are heard at least, where there is speech enough."""
SURE_CONFIDENCE = 0.9
"""Confidence from which no further opinion is needed."""
MAX_GUESS_CONFIDENCE = 0.1
"""What a guess without any speech counts at most."""
_MIN_PROBABILITY = 1e-4  # one opinion alone cannot rule a language out


@dataclass(frozen=True, slots=True)
class DetectedLanguage:
    """The language of a file.

    Attributes:
        code: Whisper's code.
        confidence: 0 to 1; at most 0.1 where no speech was found.
        votes: Excerpts with speech that were heard.
    """

    code: str
    confidence: float
    votes: int

    @property
    def is_sure(self) -> bool:
        """Whether enough excerpts agree."""
        return self.votes >= SURE_VOTES and self.confidence >= SURE_CONFIDENCE


def excerpt_starts(total_s: float, offset_s: float = 0.0, length_s: float | None = None) -> Iterator[float]:
    """Where excerpts begin, in seconds, each in the widest gap the earlier ones left: middle, quarters, eighths.

    However many are taken, they lie spread over the whole range (the van der Corput sequence in base 2).

    Args:
        total_s: Length of the file.
        offset_s: Where the range begins; past the end of the file the whole file is the range.
        length_s: How long the range is; None or 0: to the end.
    """
    begin = offset_s if 0 <= offset_s < total_s else 0.0
    end = min(total_s, begin + length_s) if length_s else total_s
    slots = max(1, int((end - begin) // EXCERPT_S))
    spare_s = max(0.0, end - begin - slots * EXCERPT_S)
    taken = set[int]()
    for number in range(1, 2 * (1 << slots.bit_length())):
        slot = int(_radical_inverse(number) * slots)
        if slot not in taken:
            taken.add(slot)
            yield begin + slot * EXCERPT_S + spare_s / 2


def _radical_inverse(number: int) -> float:
    """The binary digits of a number mirrored at the point: 1, 2, 3, 4 -> 0.5, 0.25, 0.75, 0.125."""
    digits = f"{number:b}"
    return int(digits[::-1], 2) / (1 << len(digits))


def combine(votes: Sequence[LanguageVote]) -> DetectedLanguage:
    """The language with the highest mean log-probability; its share among all languages is the confidence.

    Args:
        votes: One at least. Those without speech count only where none has speech.
    """
    heard = [vote for vote in votes if vote.speech_s > 0]
    opinions = [dict(vote.probabilities) for vote in heard or votes]
    codes = {code for opinion in opinions for code in opinion}
    means = {
        code: math.fsum(math.log(max(opinion.get(code, 0.0), _MIN_PROBABILITY)) for opinion in opinions) / len(opinions)
        for code in codes
    }
    best = max(sorted(means), key=lambda code: means[code])
    share = math.exp(means[best]) / math.fsum(math.exp(mean) for mean in means.values())
    return DetectedLanguage(best, share if heard else min(share, MAX_GUESS_CONFIDENCE), len(heard))
