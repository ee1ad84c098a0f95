"""When the words of a text are said, in the engine process.

First the text is laid beside the words that were recognised; those that agree have their times. What lies between them
and does not agree (a name misheard, a number in digits, a heading that nobody read out) is laid beside the sound:
the model says where it would be and how probable it is there. What is improbable was not said and gets no time.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import accumulate, groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine
from voice_stack.asr.listening.decoding import decode_blocks, describe_source
from voice_stack.asr.listening.matching import match_words, word_key
from voice_stack.asr.listening.results import HEARD_PROBABILITY
from voice_stack.asr.listening.windows import SampleTrack
from voice_stack.asr.request import AlignedText, AlignedWords, AlignmentRequest, DecodeOptions
from voice_stack.asr.transcript import Word
from voice_stack.core.jobs import Expected, Job, PlanStep, RunResult, Unit
from voice_stack.utils.audio.vad import FRAME, speech_probabilities
from voice_stack.utils.audio.word_alignment import cut_words
from voice_stack.utils.text import sentence_ends

SAID_PROBABILITY = 0.05
"""Of the words of a sentence in a gap, as the geometric mean. Measured with `base`: words said 0.4, others 0.003."""
LEAST_PROBABILITY = 0.001
"""Of each of these words."""
PASSAGE_S = 20.0
"""Longest stretch of sound that is laid beside a text at once."""
_CONTEXT = 4  # words before and after a gap that are heard with it
_MARGIN_S = 0.3
_SAME_SPELLING = 0.5  # of the letters; "harbour" and "harbor" have 0.92, "guided" and "gated" 0.55
_SLOWEST_S, _FASTEST_S = 0.12, 0.03  # for a letter
_MOST_LETTERS = 60
_GUESS = 0.5
_SHORT_LINE = 50
_LEAST = 1e-5
_LAYOUT_COST_S = 0.1
_WORDS_A_STEP = 2000
_PIECE_S = 12.0
_SAME_LETTERS = 0.6  # of a word and what was heard, for a place to cut at


def cut_sentences(text: str) -> list[str]:
    """A text in sentences; joined they are the text. A line that is short, as in lyrics, or a heading, is one, too."""
    cuts, start, end = {0, len(text)}, 0, 0
    for line in text.splitlines(keepends=True):
        end += len(line)
        if len(line.strip()) < _SHORT_LINE or end == len(text):
            block = "".join(" " if letter.isspace() else letter for letter in text[start:end])
            cuts |= {start + at for at in sentence_ends(block)} | {end}
            start = end
    sentences: list[str] = []
    for a, b in pairwise(sorted(cuts)):
        if sentences and not (any(map(str.isalnum, text[a:b])) and any(map(str.isalnum, sentences[-1]))):
            sentences[-1] += text[a:b]
        else:
            sentences.append(text[a:b])
    return sentences


def _share(texts: Sequence[str], start_s: float, end_s: float, probability: float) -> Iterator[Word]:
    """Words that share a time by their letters."""
    lengths = list(accumulate((len(text) for text in texts), initial=0))
    edges_s = [start_s + (end_s - start_s) * length / max(1, lengths[-1]) for length in lengths]
    for text, (a, b) in zip(texts, pairwise(edges_s), strict=True):
        yield Word(text, a, b, probability)


@dataclass(frozen=True, slots=True)
class Gap:
    """Words of the text, from `first` to before `last`, that were not recognised, and when they can have been said."""

    first: int
    last: int
    start_s: float
    end_s: float


NumberedWords = tuple[tuple[int | None, str], ...]
"""Words, each with its number in the text; None: recognised, but none of the text's."""


@dataclass(frozen=True, eq=False)
class Passage:
    """A unit's data: sound with gaps in what was recognised, and the words that may be said there.

    Attributes:
        samples: Mono float32 at 16 kHz.
        start_s: Where it lies in the file.
        words: What is said in it.
        gaps: The doubtful ones, cut at the ends of sentences.
        language: Code.
        total_s: Length of the file.
        has_vad: Whether speech is told from silence.
    """

    samples: NDArray[np.float32]
    start_s: float
    words: NumberedWords
    gaps: tuple[Gap, ...]
    language: str
    total_s: float
    has_vad: bool

    @property
    def duration_s(self) -> float:
        """Length of the sound."""
        return self.samples.size / SAMPLE_RATE

    def has_speech(self, start_s: float, end_s: float) -> bool:
        """Whether the voice detector hears speech most of the time between two times in the file.

        A model finds thanks and music probable in any silence.
        """
        first, last = ((time_s - self.start_s) * SAMPLE_RATE / FRAME for time_s in (start_s, end_s))
        part = self._probabilities[int(first) : math.ceil(last)]
        return bool(part.size and np.median(part) >= HEARD_PROBABILITY)

    @cached_property
    def _probabilities(self) -> NDArray[np.float32]:
        return speech_probabilities(self.samples)


def plan_alignment(job: Job, request: AlignmentRequest, *, can_align: bool, has_vad: bool) -> Iterator[PlanStep]:
    """Units of an alignment: the text as recognised, then each passage that holds something doubtful.

    Passages are for an engine that can lay a text beside the sound. Without voice detection everything is speech.
    """
    text = _Text(request)
    yield from text.read()
    yield from text.find_gaps()
    passages = list(text.find_passages()) if can_align else []
    yield Expected(job.id, _LAYOUT_COST_S + sum(end_s - start_s for start_s, end_s, _, _ in passages))
    outputs: list[AlignedText | AlignedWords] = [AlignedText(tuple(text.sentences)), *text.tell_found()]
    for index, told in enumerate(outputs):
        yield Unit(job.id, index, _LAYOUT_COST_S, (type(told), job.id, index), told)
    index = len(outputs)
    track = SampleTrack()
    # What of the file is not heard was told when its speech was found.
    source, most_s = describe_source(request.source), request.duration_s + 1
    blocks = decode_blocks(source, max_duration_s=most_s, warn=lambda _: None) if passages else iter(())
    for start_s, end_s, words, gaps in passages:
        start, end = int(start_s * SAMPLE_RATE), int(end_s * SAMPLE_RATE)
        while track.end < end and (block := next(blocks, None)) is not None:
            track.append(block)
            track.forget_before(start)
            yield None
        samples = track.read(start, end).copy()
        if samples.size:
            length_s = request.duration_s
            passage = Passage(samples, start / SAMPLE_RATE, words, gaps, request.language, length_s, has_vad)
            yield Unit(job.id, index, passage.duration_s, (Passage, request.language), passage)
            index += 1


class _Text:
    """A text beside what was recognised."""

    def __init__(self, request: AlignmentRequest) -> None:
        self._text, self._duration_s = request.text, request.duration_s
        # The recognised words cut as those of the text are.
        self._heard = [
            part
            for word in request.heard
            for part in _share(cut_words(word.text), word.start_s, word.end_s, word.probability)
        ]
        self.sentences: list[tuple[str, tuple[str, ...]]] = []
        self._words: list[str] = []
        self._sentence_of: list[int] = []
        self._places: dict[int, int] = {}
        self._gaps: list[Gap] = []
        self.found: dict[int, Word] = {}

    def read(self) -> Iterator[None]:
        """Find its words among those that were recognised, in short steps."""
        parts = cut_sentences(self._text)
        yield
        for number, part in enumerate(parts):
            words = tuple(cut_words(part.strip()))
            self.sentences.append((part, words))
            self._words += words
            self._sentence_of += [number] * len(words)
            if number % _WORDS_A_STEP == 0:
                yield
        own = list[str]()
        for at in range(0, len(self._words), _WORDS_A_STEP):
            own += map(word_key, self._words[at : at + _WORDS_A_STEP])
            yield
        pairs = yield from match_words(own, [word_key(word.text) for word in self._heard])
        self._places = dict(pairs)
        self.found = {number: replace(self._heard[at], text=self._words[number]) for number, at in pairs}

    def tell_found(self) -> Iterator[AlignedWords]:
        """The words that need no second look."""
        found = list(self.found.items())
        for at in range(0, len(found), _WORDS_A_STEP):
            yield AlignedWords(tuple(found[at : at + _WORDS_A_STEP]), 0.0, self._duration_s)

    def find_gaps(self) -> Iterator[None]:
        """What was not recognised, without what was, in another spelling, which is found from here on."""
        if not self._heard:  # there is nothing to lay a text beside
            return
        ends = [(-1, -1), *self._places.items(), (len(self._words), len(self._heard))]
        for (before, from_), (after, until) in pairwise(ends):
            own, heard = self._words[before + 1 : after], self._heard[from_ + 1 : until]
            yield
            if not own:
                continue
            if alike := _spelled_alike(own, heard):
                score = alike * sum(word.probability for word in heard) / len(heard)
                shared = _share(own, heard[0].start_s, heard[-1].end_s, score)
                self.found |= dict(enumerate(shared, before + 1))
                continue
            room_s = _SLOWEST_S * sum(map(len, own)) + _MARGIN_S
            end_s = self._heard[until].start_s if until < len(self._heard) else self._duration_s
            start_s = self._heard[from_].end_s if from_ >= 0 else 0.0
            if from_ < 0:
                start_s = max(0.0, (heard[0].start_s - _MARGIN_S) if heard else end_s - room_s)
            if until == len(self._heard):
                end_s = min(end_s, (heard[-1].end_s + _MARGIN_S) if heard else start_s + room_s)
            self._gaps += yield from self._cut_gap(Gap(before + 1, after, start_s, max(start_s, end_s)), heard)

    def _cut_gap(self, gap: Gap, heard: Sequence[Word]) -> Generator[None, None, list[Gap]]:
        """A gap in pieces that are short enough to be laid beside the sound, cut where the letters agree."""
        if gap.end_s - gap.start_s <= PASSAGE_S or not heard:
            return [gap]
        words = self._words[gap.first : gap.last]
        own, own_of = _spell(words)
        other, other_of = _spell([word.text for word in heard])
        pairs = yield from match_words(own, other)
        shared = Counter((own_of[i], other_of[j]) for i, j in pairs)
        pieces, first, start_s = list[Gap](), gap.first, gap.start_s
        for (number, at), count in shared.items():
            word = heard[at]
            is_same = count >= _SAME_LETTERS * max(len(word_key(words[number])), len(word_key(word.text)))
            if is_same and gap.first + number > first and word.start_s - start_s >= _PIECE_S:
                pieces.append(Gap(first, gap.first + number, start_s, word.start_s))
                first, start_s = gap.first + number, word.start_s
        pieces.append(Gap(first, gap.last, start_s, gap.end_s))
        return [part for piece in pieces for part in self._take_ends(piece, heard)]

    def _take_ends(self, gap: Gap, heard: Sequence[Word]) -> list[Gap]:
        """The gap, or where its words may be in one that is too long: at its beginning, or at its end."""
        if gap.end_s - gap.start_s <= PASSAGE_S:
            return [gap]
        letters = sum(map(len, self._words[gap.first : gap.last]))
        inside = [word for word in heard if gap.start_s <= word.start_s < gap.end_s]
        lengths = list(accumulate(len(word.text) for word in inside))
        if not inside or lengths[-1] < letters * 2:
            return [gap]
        head = inside[bisect_left(lengths, letters)]
        tail = inside[max(0, bisect_right(lengths, lengths[-1] - letters) - 1)]
        return [replace(gap, end_s=head.end_s + _MARGIN_S), replace(gap, start_s=tail.start_s - _MARGIN_S)]

    def find_passages(self) -> Iterator[tuple[float, float, NumberedWords, tuple[Gap, ...]]]:
        """Start, end, words and gaps of each passage; gaps near each other share one."""
        groups: list[list[Gap]] = []
        for gap in self._gaps:
            letters = sum(map(len, self._words[gap.first : gap.last]))
            if not letters * _FASTEST_S <= gap.end_s - gap.start_s <= PASSAGE_S:
                continue
            if groups:
                _, _, start_s, end_s = self._bounds([groups[-1][0], gap])
                if end_s - start_s <= PASSAGE_S:
                    groups[-1].append(gap)
                    continue
            groups.append([gap])
        return map(self._make_passage, groups)

    def _bounds(self, gaps: Sequence[Gap]) -> tuple[int, int, float, float]:
        """First and last word with the context, start and end in the file."""
        first, last, start_s, end_s = gaps[0].first, gaps[-1].last, gaps[0].start_s, gaps[-1].end_s
        for _ in range(_CONTEXT):
            before, after = self.found.get(first - 1), self.found.get(last)
            if end_s - start_s > PASSAGE_S:
                break
            if before and start_s - before.end_s < _MARGIN_S * 2:
                first, start_s = first - 1, before.start_s
            if after and after.start_s - end_s < _MARGIN_S * 2:
                last, end_s = last + 1, after.end_s
        return first, last, max(0.0, start_s - _MARGIN_S), min(end_s + _MARGIN_S, self._duration_s)

    def _make_passage(self, gaps: Sequence[Gap]) -> tuple[float, float, NumberedWords, tuple[Gap, ...]]:
        first, last, start_s, end_s = self._bounds(gaps)
        asked = {number for gap in gaps for number in range(gap.first, gap.last)}
        words: list[tuple[int | None, str]] = []
        for number in range(first, last):
            at, previous = self._places.get(number), self._places.get(number - 1)
            if at is not None and previous is not None and number > first:
                words += [(None, word.text) for word in self._heard[previous + 1 : at]]
            if number in asked or number in self.found:
                words.append((number, self._words[number]))
        parts = list[Gap]()
        for gap in gaps:
            for _, group in groupby(range(gap.first, gap.last), key=self._sentence_of.__getitem__):
                numbers = list(group)
                parts.append(replace(gap, first=numbers[0], last=numbers[-1] + 1))
        return start_s, end_s, tuple(words), tuple(parts)


def _spell(words: Sequence[str]) -> tuple[list[str], list[int]]:
    """The letters of words, and the number of the word of each."""
    spelled = [(letter, number) for number, word in enumerate(words) for letter in word_key(word)]
    return [letter for letter, _ in spelled], [number for _, number in spelled]


def _spelled_alike(own: Sequence[str], heard: Sequence[Word]) -> float:
    """Share of the letters that words have in common, if it is most of them; else 0.

    A number in digits is any number in words that takes as long, "Mr." may be "mister": the model writes them in one
    way, and finds the other improbable.
    """
    one, other = "".join(map(word_key, own)), "".join(word_key(word.text) for word in heard)
    shorter, longer = sorted((one, other), key=len)
    if not shorter or len(longer) > _MOST_LETTERS:
        return 0.0
    are_numbers = {_is_number(own), _is_number([word.text for word in heard])}
    if len(are_numbers) > 1 and _is_sayable(longer, heard[-1].end_s - heard[0].start_s):
        return _GUESS
    letters = iter(longer)
    if shorter[0] == longer[0] and len(own) == len(heard) == 1 and all(letter in letters for letter in shorter):
        return max(_GUESS, len(shorter) / len(longer))
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio >= _SAME_SPELLING else 0.0


def _is_sayable(letters: str, lasts_s: float) -> bool:
    return len(letters) * _FASTEST_S <= lasts_s <= len(letters) * _SLOWEST_S * 2 + _MARGIN_S


def _is_number(words: Sequence[str]) -> bool:
    return all(sum(map(str.isdecimal, word)) * 2 >= len(word_key(word)) for word in words)


def run_alignment(units: Sequence[Unit], engine: AsrEngine) -> Iterator[RunResult]:
    """Tell the text, or lay passages beside their sound; see `Workload.run`."""
    passages = [unit.data for unit in units if isinstance(unit.data, Passage)]
    if not passages:
        (unit,) = units
        yield from (unit.output(unit.data), unit.done())
        return
    texts = [[text for _, text in passage.words] for passage in passages]
    options = DecodeOptions(language=passages[0].language)
    results = engine.align([passage.samples for passage in passages], texts, options)
    for unit, passage, aligned in zip(units, passages, results, strict=True):
        yield unit.output(_judge(passage, aligned))
        yield unit.done()


def _judge(passage: Passage, aligned: Sequence[Word]) -> AlignedWords:
    """The words of the gaps: with their times where they are said, else without."""
    by_number = {number: word for (number, _), word in zip(passage.words, aligned, strict=True) if number is not None}
    told: list[tuple[int, Word]] = []
    for gap in passage.gaps:
        numbers = range(gap.first, gap.last)
        words = [_shift(by_number[number], passage.start_s, gap) for number in numbers]
        mean = sum(math.log(max(word.probability, _LEAST)) for word in words) / len(words)
        start_s, end_s = words[0].start_s, words[-1].end_s
        is_said = mean >= math.log(SAID_PROBABILITY) and _is_sayable("".join(w.text for w in words), end_s - start_s)
        is_said = is_said and (not passage.has_vad or passage.has_speech(start_s, end_s))
        for number, word in zip(numbers, words, strict=True):
            is_heard = is_said and word.probability >= LEAST_PROBABILITY and word.start_s < word.end_s
            score = word.probability if is_heard else min(word.probability, SAID_PROBABILITY)
            told.append((number, replace(word, is_heard=is_heard, probability=score)))
    return AlignedWords(tuple(told), passage.start_s + passage.duration_s, passage.total_s)


def _shift(word: Word, offset_s: float, gap: Gap) -> Word:
    start_s, end_s = (min(max(offset_s + time_s, gap.start_s), gap.end_s) for time_s in (word.start_s, word.end_s))
    return replace(word, start_s=start_s, end_s=end_s)
