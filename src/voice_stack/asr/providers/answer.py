"""What a provider heard -> our segments and words, and whether it can be so.

The text of an answer is what was said; its segments and words only tell where. So they are laid out along the text, and
each takes a stretch of it: all stretches together are the text, whatever a provider leaves out of its words. An answer
that contradicts itself, or the file, is none: it is an error, not a transcript with a hole in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from voice_stack.asr.request import TranscriptionRequest
from voice_stack.asr.transcript import Segment, Speaker, Word
from voice_stack.core.errors import ProviderError
from voice_stack.utils.text import sentence_ends

WORDS_FALLBACK, SPEAKERS_FALLBACK = "words", "speakers"
"""What the answer's `x-fallback` says: there are no times of words; nobody was told apart."""
NO_TIMES = "the model gives no times: the text is one segment as long as the file"
DRAWN_BACK = "times beyond the end of the file were drawn back to it"
MIN_COVERAGE = 0.9
"""Share of the letters of a text that its words must hold: a provider may write a number in two ways."""
_NEAR_CHARS = 80
"""So far ahead a word is looked for in the text: further on it is another one."""
MAX_BACK_S = 0.25
"""What is said at once by two people may be told in any order."""
MAX_BEYOND_S = 0.5
"""Rounding, and a codec's padding."""
WINDOW_S = 30.0
"""Whisper ends what it cuts off with its window, which may end behind the file."""
MIN_HEARD_SHARE, MIN_HEARD_S = 0.98, 1.0
"""Of the file, if a provider tells how much it heard: less is a file that was cut off on its way."""
LONGEST_SEGMENT_S = 25.0
PAUSE_S = 1.5
"""Ends a segment where the text has no mark."""

ModelT = TypeVar("ModelT", bound=BaseModel)
TimedT = TypeVar("TimedT", Segment, Word)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a provider heard in a file.

    Attributes:
        segments: In order of time; their texts joined are the text.
        language: Our code; empty where nobody has told it.
        language_probability: 0 to 1.
        fallbacks: What is not as it was asked for.
        warnings: The same in words, where it is about times.
    """

    segments: tuple[Segment, ...]
    language: str = ""
    language_probability: float = 1.0
    fallbacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse(provider: str, schema: type[ModelT], content: bytes) -> ModelT:
    """An answer as its fields.

    Raises:
        ProviderError: It is none.
    """
    try:
        return schema.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise lie(provider, f"{place}: {problem['msg']}" if place else problem["msg"]) from None


def lie(provider: str, what: str) -> ProviderError:
    """The error that an answer is that cannot be so."""
    return ProviderError(f"The provider {provider} answered what is no transcript of this file: {what}")


def say(text: str, start_s: float, end_s: float, speaker: Speaker | None = None) -> Segment:
    """A segment of which nothing else is known."""
    return Segment(text, start_s, end_s, (), 0.0, 0.0, 0.0, 0.0, speaker=speaker)


class Reader:
    """Makes segments of what a provider says of one file.

    Args:
        provider: Its name, for messages.
        request: What was asked.
        duration_s: Length of the file.
        language: Code of the spoken language, if it is known.
    """

    def __init__(self, provider: str, request: TranscriptionRequest, duration_s: float, language: str = "") -> None:
        self._provider, self._request, self._duration_s = provider, request, duration_s
        self._language = language
        self._fallbacks, self._warnings = dict[str, None](), dict[str, None]()
        self._speakers: dict[str, Speaker] = {}

    def require_whole(self, heard_s: float | None) -> None:
        """Refuse an answer that says itself that it is for less than the file."""
        if heard_s is not None and heard_s < min(self._duration_s * MIN_HEARD_SHARE, self._duration_s - MIN_HEARD_S):
            raise self.lie(f"it heard {heard_s:.1f} s of {self._duration_s:.1f} s")

    def lie(self, what: str) -> ProviderError:
        """The error that the answer is."""
        return lie(self._provider, what)

    def speaker(self, name: object) -> Speaker | None:
        """Who that is, numbered by first words; None where nobody was asked for or is told."""
        if name is None or self._request.speakers is None:
            return None
        return self._speakers.setdefault(str(name), Speaker(len(self._speakers)))

    def read(
        self, text: str, segments: Sequence[Segment] | None, words: Sequence[Word] | None, probability: float = 1.0
    ) -> Heard:
        """What was heard.

        Args:
            text: All that was said.
            segments: As the provider cut them; None: it cuts none, so they are made of the words.
            words: None: it tells none.
            probability: Of the language.

        Raises:
            ProviderError: The parts of the answer contradict each other or the file.
        """
        told = self._segments(text, segments, words)
        if self._request.speakers is not None and told and not self._speakers:
            self._fallbacks[SPEAKERS_FALLBACK] = None
            told = [replace(segment, speaker=Speaker(0)) for segment in told]
        spoken = tuple(replace(segment, language=self._language) for segment in told)
        return Heard(spoken, self._language, probability, tuple(self._fallbacks), tuple(self._warnings))

    def _segments(self, text: str, segments: Sequence[Segment] | None, words: Sequence[Word] | None) -> list[Segment]:
        if not _letters(text):
            said = [*[segment.text for segment in segments or ()], *[word.text for word in words or ()]]
            if _letters("".join(said)):
                raise self.lie("its text is empty, and its segments are not")
            return self._check_times(segments or (), WINDOW_S) if text.strip() else []  # notes of music, perhaps
        stretches = self._lay_words(text, words, MAX_BEYOND_S if segments is None else WINDOW_S)
        if segments is None:
            return list(self._cut(text, stretches)) if stretches else [self._one_segment(text, words)]
        timed = self._check_times(segments, WINDOW_S)
        parts, coverage = lay_out(text, [segment.text for segment in timed])
        if coverage < MIN_COVERAGE:
            raise self.lie("its segments do not hold its text")
        return [
            replace(
                timed[part.index],
                text=text[part.begin : part.end],
                words=tuple(word for stretch, word in stretches if part.begin <= stretch.first < part.end)
                if self._request.decode.word_timestamps
                else (),
            )
            for part in parts
        ]

    def _lay_words(self, text: str, words: Sequence[Word] | None, beyond_s: float) -> "list[tuple[Stretch, Word]]":
        """The words with the marks that cling to them; none where they are not wanted or do not fit the text."""
        timed = self._check_times(words or (), beyond_s)
        parts, coverage = lay_out(text, [word.text for word in timed])
        if timed and coverage >= MIN_COVERAGE:
            return [(part, replace(timed[part.index], text=text[part.begin : part.end].strip())) for part in parts]
        if self._request.times == "words":
            raise self.lie("its words do not hold its text" if timed else "it tells no times of words")
        if self._request.decode.word_timestamps:
            self._fallbacks[WORDS_FALLBACK] = None
        return []

    def _one_segment(self, text: str, words: Sequence[Word] | None) -> Segment:
        if words is not None:
            raise self.lie("its words do not hold its text")
        if self._request.times == "segments":
            raise self.lie("it tells no times")
        if self._request.times == "wanted":
            self._warnings[NO_TIMES] = None
        return say(text, 0.0, self._duration_s)

    def _cut(self, text: str, stretches: "Sequence[tuple[Stretch, Word]]") -> Iterator[Segment]:
        """Segments of about a sentence each, of one speaker."""
        ends, begun = frozenset(sentence_ends(text, self._language)), 0
        for at, ((stretch, word), (_, following)) in enumerate(pairwise(stretches), start=1):
            if (
                word.speaker != following.speaker
                or following.start_s - word.end_s >= PAUSE_S
                or following.end_s - stretches[begun][1].start_s > LONGEST_SEGMENT_S
                or not ends.isdisjoint(range(stretch.first + 1, stretch.end + 1))
            ):
                yield self._join(text, stretches[begun:at])
                begun = at
        yield self._join(text, stretches[begun:])

    def _join(self, text: str, stretches: "Sequence[tuple[Stretch, Word]]") -> Segment:
        words = tuple(word for _, word in stretches)
        said = text[stretches[0][0].begin : stretches[-1][0].end]
        segment = say(said, words[0].start_s, max(word.end_s for word in words), words[0].speaker)
        return replace(segment, words=words if self._request.decode.word_timestamps else ())

    def _check_times(self, parts: Sequence[TimedT], beyond_s: float) -> list[TimedT]:
        """Parts in order of time, within the file.

        Raises:
            ProviderError: They are far from that.
        """
        clock_s, checked = 0.0, list[TimedT]()
        for part in parts:
            start_s, end_s = part.start_s, part.end_s
            if end_s < start_s or start_s < clock_s - MAX_BACK_S:
                raise self.lie(f"times run backwards at {start_s:.2f} s")
            if start_s > self._duration_s + MAX_BEYOND_S or end_s > self._duration_s + beyond_s:
                raise self.lie(f"something is said at {start_s:.2f} to {end_s:.2f} s of {self._duration_s:.2f} s")
            if end_s > self._duration_s + MAX_BEYOND_S:
                self._warnings[DRAWN_BACK] = None
            clock_s = min(max(clock_s, start_s), self._duration_s)
            checked.append(replace(part, start_s=clock_s, end_s=max(clock_s, min(end_s, self._duration_s))))
        return checked


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a part of an answer stands in its text.

    Attributes:
        index: Of the part.
        begin: Offset of what belongs to it, a space before it included; `end` is behind it.
        first: Offset of its first letter.
    """

    index: int
    begin: int
    end: int
    first: int


def lay_out(text: str, parts: Sequence[str]) -> tuple[list[Stretch], float]:
    """Find parts of a text, in order, by their letters and digits alone.

    Returns:
        A stretch for each part that was found, which together are the text; and the share of the letters, of the text
        and of the parts, that stand in them.
    """
    places = [at for at, char in enumerate(text) if char.isalnum()]
    letters, at, found = _letters(text), 0, list[tuple[int, int, int]]()
    wanted = [_letters(part) for part in parts]
    for index, part in enumerate(wanted):
        place = letters.find(part, at, at + len(part) + _NEAR_CHARS) if part else -1
        if place >= 0:
            at = place + len(part)
            found.append((index, places[place], places[at - 1] + 1))
    held = sum(len(wanted[index]) for index, _, _ in found)
    most = max(len(letters), sum(map(len, wanted)))
    edges = [0, *(_edge(text, left[2], right[1]) for left, right in pairwise(found)), len(text)]
    stretches = [
        Stretch(index, begin, end, first)
        for (index, first, _), (begin, end) in zip(found, pairwise(edges), strict=False)
    ]
    return stretches, held / most if most else 1.0


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _edge(text: str, end: int, begin: int) -> int:
    """Between two parts: marks cling to the one before them, the space and what is behind it belong to the next."""
    return next((at for at in range(end, begin) if text[at].isspace()), begin)
