"""Where to listen for languages, and what several opinions say together. Pure: no audio, no model."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

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
    value, digit = 0.0, 0.5
    while number:
        number, bit = divmod(number, 2)
        value, digit = value + bit * digit, digit / 2
    return value


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


STRETCH_S = 5.0
"""Speech whose language the model tells as well as that of half a minute."""
LEAST_SPEECH_S = 3.0
"""Less has no language of its own: it may be a name, or words on loan."""
LEAST_STRETCH_S = 1.5
"""A shorter piece is told together with the next."""
SURE_STRETCH, MOST_DOUBT = 0.8, 0.1
"""What another language than the file's must reach, and what may be left of the file's own."""
_SURE = ((SURE_STRETCH, MOST_DOUBT), (0.5, 0.02))
"""What its kin take, as Italian of Spanish, is no sign of the file's language."""
_ALIKE = tuple(
    frozenset(group.split())
    for group in ("no nn da", "hr bs sr", "ms id", "zh yue", "hi ur", "cs sk", "pt gl", "bg mk", "nl af lb")
)
"""Languages that Whisper mistakes for each other, though a file hardly changes between them."""
_SELDOM_RIGHT = frozenset(
    ("br", "cy", "fo", "haw", "jw", "la", "ln", "mg", "mi", "nn", "oc", "sa", "sd", "sn", "so", "su", "tk", "yi", "yo")
)
"""What Whisper hears in accents, songs and noise, and hardly anywhere else."""


def cut_stretches(pieces: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of about 5 s, cut in pauses where that is possible; speech too short for one is in none.

    Args:
        pieces: Begin and end in seconds of what is said without a pause, one after another.
    """
    stretches = list[tuple[float, float]]()
    begin: float | None = None
    for start_s, end_s in pieces:
        begin = start_s if begin is None else begin
        if end_s - begin < LEAST_STRETCH_S:
            continue
        count = max(1, round((end_s - begin) / STRETCH_S))
        step_s = (end_s - begin) / count
        stretches += [(begin + n * step_s, begin + (n + 1) * step_s) for n in range(count)]
        begin = None
    return stretches


def name_stretches(
    lengths_s: Sequence[float], opinions: Sequence[Mapping[str, float]], main: str, named: Collection[str]
) -> list[str]:
    """The language that each stretch of a window goes by.

    Args:
        lengths_s: How long each is.
        opinions: What the model says of each.
        main: The language of the file, which doubt speaks for.
        named: Languages that the request asks for: these need not be common ones.
    """
    sure = [_sure_code(opinion, main, named) for opinion in opinions]
    codes = list[str]()
    for n, opinion in enumerate(opinions):
        beside = {*codes[-1:], *filter(None, sure[n + 1 : n + 2]), main}
        codes.append(sure[n] or max(sorted(beside), key=lambda code: opinion.get(code, 0.0)))
    return _join_short_runs(codes, lengths_s, main)


def _join_short_runs(codes: Sequence[str], lengths_s: Sequence[float], main: str) -> list[str]:
    """Too short a run in another language goes with what is before it, at the beginning with the file."""
    joined = list[str]()
    for code, group in groupby(zip(codes, lengths_s, strict=True), key=lambda pair: pair[0]):
        lengths = [length_s for _, length_s in group]
        is_own = code == main or sum(lengths) >= LEAST_SPEECH_S
        joined += [code if is_own else joined[-1] if joined else main] * len(lengths)
    return joined


def is_in_doubt(opinion: Mapping[str, float], main: str) -> bool:
    """Whether another language than the file's is the likeliest, but not sure."""
    best = max(opinion, key=lambda code: opinion[code])
    return best != main and opinion[best] < SURE_STRETCH


def _sure_code(opinion: Mapping[str, float], main: str, named: Collection[str]) -> str | None:
    best = max(opinion, key=lambda code: opinion[code])
    is_likely = best in named or not (best in _SELDOM_RIGHT or any({best, main} <= group for group in _ALIKE))
    if best == main:
        return main
    is_sure = any(opinion[best] >= least and opinion.get(main, 0.0) <= most for least, most in _SURE)
    return best if is_likely and is_sure else None
