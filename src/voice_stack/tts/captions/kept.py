"""Captions of speeches that were made a short while ago: kept in memory within bounds, and told in each format."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from voice_stack.core.errors import NotFoundError, UnsupportedValueError
from voice_stack.tts.cache.entry import Note
from voice_stack.tts.captions.sentences import Granularity, TimedSentence, find_sentence
from voice_stack.utils.cues.cue import Cue, to_srt, to_vtt
from voice_stack.utils.cues.stream import CueStream

TTL_S = 900.0
"""For a client that asks when its speech has come whole."""
MAX_SENTENCES = 20_000
"""Of all captions together: some 50 MB."""
SLOW_READER_S = 3600.0
"""How much longer captions are kept while their speech waits for its listener."""

Status = Literal["in_progress", "completed", "incomplete"]


@dataclass(slots=True, eq=False)
class Captions:
    """The captions of one speech.

    Attributes:
        notes: Of the speech; more come while it is spoken.
        language: Of its text, as far as it is known.
        granularity: What was asked for.
        id: Nobody can guess it.
    """

    notes: Sequence[Note]
    language: str
    granularity: Granularity
    id: str = field(default_factory=lambda: f"speech_{uuid.uuid4().hex}")
    _began: float = field(default_factory=time.monotonic)
    _ended: float = 0.0

    @property
    def sentences(self) -> list[TimedSentence]:
        """So far, in order."""
        return [sentence for note in self.notes if (sentence := find_sentence(note.content))]

    @property
    def status(self) -> Status:
        """What became of the speech."""
        if any(note.content.get("is_last") for note in reversed(self.notes)):
            return "completed"
        return "incomplete" if self._ended else "in_progress"

    @property
    def duration_s(self) -> float:
        """Length of the speech so far, in seconds."""
        return max((until for note in self.notes if isinstance(until := note.content.get("until"), float)), default=0.0)

    @property
    def size(self) -> int:
        """About how many sentences they have; also what an empty speech counts as."""
        return 1 + len(self.notes) // 2

    def age_s(self) -> float:
        """Seconds since the speech ended; below 0 while it has not."""
        return time.monotonic() - (self._ended or self._began + SLOW_READER_S)

    def end(self) -> None:
        """The speech has been answered, to its end or not."""
        self._ended = time.monotonic()


class CaptionStore:
    """Captions by their ids; lives on the event loop.

    Args:
        ttl_s: How long captions are kept after the end of their speech, in seconds.
        max_sentences: Of all captions together; beyond it the oldest are dropped.
    """

    def __init__(self, ttl_s: float = TTL_S, max_sentences: int = MAX_SENTENCES) -> None:
        self._ttl_s, self._max_sentences = ttl_s, max_sentences
        self._captions: dict[str, Captions] = {}

    def open(self, notes: Sequence[Note], language: str, granularity: Granularity) -> Captions:
        """Captions of a speech that begins."""
        self._drop_old()
        captions = Captions(notes, language, granularity)
        self._captions[captions.id] = captions
        return captions

    def find(self, speech_id: str) -> Captions:
        """The captions of a speech.

        Raises:
            NotFoundError: There are none, or no longer.
        """
        self._drop_old()
        if speech_id not in self._captions:
            raise NotFoundError(f"no captions of {speech_id[:80]!r}: they are kept for {self._ttl_s:g} s")
        return self._captions[speech_id]

    def _drop_old(self) -> None:
        too_many = sum(captions.size for captions in self._captions.values()) - self._max_sentences
        for captions in list(self._captions.values()):
            if captions.age_s() > self._ttl_s or too_many > 0:
                too_many -= captions.size
                del self._captions[captions.id]


@dataclass(frozen=True, slots=True)
class CaptionFormat:
    """One format: the answer's Content-Type, and what makes its text."""

    media_type: str
    render: Callable[[Captions], str]


def _json(captions: Captions) -> str:
    sentences = [sentence.describe(with_words=captions.granularity == "word") for sentence in captions.sentences]
    body = {
        "id": captions.id,
        "object": "speech.captions",
        "status": captions.status,
        "language": captions.language or None,
        "duration": round(captions.duration_s, 3),
        "sentences": sentences,
    }
    return json.dumps(body, ensure_ascii=False)


def _cues(captions: Captions) -> Iterator[Cue]:
    stream = CueStream(captions.language)
    for index, sentence in enumerate(captions.sentences):
        yield from stream.push(sentence.with_space() if index else sentence)
    yield from stream.flush(captions.duration_s)


CAPTION_FORMATS: dict[str, CaptionFormat] = {
    "json": CaptionFormat("application/json", _json),
    "srt": CaptionFormat("application/x-subrip; charset=utf-8", lambda captions: to_srt(_cues(captions))),
    "vtt": CaptionFormat("text/vtt; charset=utf-8", lambda captions: to_vtt(_cues(captions))),
}
"""Every format of captions, by its name."""


def require_caption_format(name: str) -> CaptionFormat:
    """Find a format by its name.

    Raises:
        UnsupportedValueError: There is none of that name; the message lists the names.
    """
    if name not in CAPTION_FORMATS:
        message = f"Unknown format {name[:40]!r} of captions. Use one of: {', '.join(CAPTION_FORMATS)}."
        raise UnsupportedValueError(message, param="format")
    return CAPTION_FORMATS[name]
