"""Who said which words: turns of speech and segments with words -> segments of one speaker each."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from voice_stack.asr.request import SpeakerTurn
from voice_stack.asr.transcript import Segment, Speaker, Word
from voice_stack.utils.text import sentence_ends

_CLEAR = 0.5
"""A lone word keeps its speaker where this one speaks so much more of it than the other, as a part of its length."""


class _Voice:
    """When one person speaks: stretches in order of time that do not touch."""

    def __init__(self, speaker: Speaker, turns: Iterable[SpeakerTurn]) -> None:
        self.speaker = speaker
        self._starts, self._ends = list[float](), list[float]()
        for turn in sorted(turns, key=lambda turn: turn.start_s):
            if self._ends and turn.start_s <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], turn.end_s)
            else:
                self._starts.append(turn.start_s)
                self._ends.append(turn.end_s)

    def overlap_s(self, start_s: float, end_s: float) -> float:
        """How much of that time they speak, in seconds; below 0: how far from it they do."""
        first, last = bisect_right(self._ends, start_s), bisect_left(self._starts, end_s)
        if first < last:
            return sum(min(self._ends[n], end_s) - max(self._starts[n], start_s) for n in range(first, last))
        before_s = start_s - self._ends[first - 1] if first else float("inf")
        after_s = self._starts[last] - end_s if last < len(self._starts) else float("inf")
        return -max(0.0, min(before_s, after_s))


def label_speakers(segments: Iterable[Segment], turns: Sequence[SpeakerTurn]) -> tuple[Segment, ...]:
    """Say of each segment and word who says it; a segment is cut where another speaks.

    A word is of whoever speaks most of it, outside all turns of whoever speaks nearest; where two speak at once, of who
    speaks most of its sentence; where that is open, of who said the word before. A lone word within the sentence of
    another is theirs, unless it is clearly not. A segment without words cannot be cut: it is of whoever speaks most of
    it.

    Args:
        segments: In order of time. Joined, their texts are the same afterwards; the tokens of one that is cut stay with
            its first part.
        turns: Who speaks when. Without any there is one speaker.

    Returns:
        The segments; speakers without a name are numbered in order of their first words, then come those with one.
    """
    return tuple(_renumber(cut_by_speaker(segments, turns)))


def cut_by_speaker(segments: Iterable[Segment], turns: Sequence[SpeakerTurn]) -> list[Segment]:
    """The same with the speakers as the turns have them."""
    speakers = {turn.speaker for turn in turns} or {Speaker(0)}
    voices = [_Voice(who, (turn for turn in turns if turn.speaker == who)) for who in sorted(speakers, key=_order)]
    labelled = list[Segment]()
    for segment in segments:
        labelled += _label(segment, voices, labelled[-1].speaker if labelled else None)
    return labelled


def _order(speaker: Speaker) -> tuple[int, str]:
    return speaker.number, speaker.name


def _label(segment: Segment, voices: Sequence[_Voice], last: Speaker | None) -> Iterator[Segment]:
    if not segment.words:
        yield replace(segment, speaker=_find(segment, segment, voices, last).speaker)
        return
    found = list[_Voice]()
    places = word_places(segment)
    ends = sentence_ends(segment.text)
    for _, group in groupby(range(len(places)), key=lambda n: bisect_right(ends, places[n])):
        sentence = list(group)
        words = segment.words[sentence[0] : sentence[-1] + 1]
        whole = replace(segment, start_s=words[0].start_s, end_s=words[-1].end_s)
        for word in words:
            found.append(_find(word, whole, voices, last))
            last = found[-1].speaker
        _join_lone_words(segment.words, found, sentence)
    runs = [list(run) for _, run in groupby(range(len(found)), key=lambda n: found[n].speaker)]
    cuts = [0, *(places[run[0]] for run in runs[1:]), len(segment.text)]
    for number, run in enumerate(runs):
        yield _part(segment, run, found[run[0]].speaker, segment.text[cuts[number] : cuts[number + 1]])


def _find(said: Segment | Word, sentence: Segment, voices: Sequence[_Voice], last: Speaker | None) -> _Voice:
    def closeness(voice: _Voice) -> tuple[float, float, bool]:
        own_s, sentence_s = (round(voice.overlap_s(part.start_s, part.end_s), 3) for part in (said, sentence))
        return own_s, sentence_s, voice.speaker == last

    return max(voices, key=closeness)


def word_places(segment: Segment) -> list[int]:
    """Where in the text each word begins, with the space before it; one that is not found: where the last one ends."""
    places, at = list[int](), 0
    for word in segment.words:
        begin = segment.text.find(word.text.strip(), at)
        places.append(max(at, len(segment.text[:begin].rstrip())) if begin >= 0 else at)
        at = at if begin < 0 else begin + len(word.text.strip())
    return places


def _join_lone_words(words: Sequence[Word], found: list[_Voice], sentence: Sequence[int]) -> None:
    """Give the single words of a sentence to who says those beside them, where they are not clearly another's."""
    runs = [list(run) for _, run in groupby(sentence, key=lambda n: found[n].speaker)]
    for number, run in enumerate(runs):
        beside = [other for other in runs[max(0, number - 1) : number + 2] if other is not run]
        others = {found[other[0]].speaker: found[other[0]] for other in beside}
        if len(run) > 1 or len(others) != 1 or max(map(len, beside)) == 1:
            continue
        (other,), word = others.values(), words[run[0]]
        own_s, other_s = (max(0.0, voice.overlap_s(word.start_s, word.end_s)) for voice in (found[run[0]], other))
        if own_s - other_s <= _CLEAR * (word.end_s - word.start_s):
            found[run[0]] = other


def _part(segment: Segment, run: Sequence[int], speaker: Speaker, text: str) -> Segment:
    """The words of one speaker as a segment of their own."""
    words = tuple(replace(segment.words[n], speaker=speaker) for n in run)
    is_first, is_last = run[0] == 0, run[-1] == len(segment.words) - 1
    start_s = segment.start_s if is_first else words[0].start_s
    end_s = segment.end_s if is_last else words[-1].end_s
    part = replace(segment, text=text, start_s=start_s, end_s=max(start_s, end_s), words=words, speaker=speaker)
    return part if is_first else replace(part, tokens=(), logprobs=())


def _renumber(segments: Sequence[Segment]) -> Iterator[Segment]:
    heard = dict.fromkeys(segment.speaker for segment in segments if segment.speaker)
    in_order = sorted(heard, key=lambda speaker: bool(speaker.name))  # stable: by their first words
    numbered = {speaker: replace(speaker, number=number) for number, speaker in enumerate(in_order)}
    for segment in segments:
        speaker = numbered[segment.speaker] if segment.speaker else None
        yield replace(segment, speaker=speaker, words=tuple(replace(word, speaker=speaker) for word in segment.words))
