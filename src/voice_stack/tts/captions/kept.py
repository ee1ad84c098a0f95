"""Captions of speeches that were made a short while ago: kept in memory within bounds, and told in each format."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from voice_stack.core.errors import NotFoundError, UnsupportedValueError
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.shared.values import SharedLists
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

SHARE_EVERY_S = 0.25
"""While a speech goes on."""
ALIVE_S = 30.0
"""A replica that has told nothing for so long has left its speech unfinished."""

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


@dataclass(frozen=True, slots=True)
class _SharedNote:
    """What replicas are told: of a speech first, then of each of its sounds, at last that it has ended."""

    language: str = ""
    granularity: Granularity = "word"
    until_s: float = 0.0
    is_last: bool = False
    sentence: TimedSentence | None = None
    is_end: bool = False

    @property
    def note(self) -> Note:
        """What the replica that speaks noted."""
        sentence = {} if self.sentence is None else {"sentence": self.sentence.describe(with_words=True)}
        return Note(0, {"until": self.until_s, "is_last": self.is_last, **sentence})


class _Sharing:
    """Tells replicas of the captions of one speech, while it is spoken."""

    def __init__(self, captions: Captions, lists: SharedLists[_SharedNote]) -> None:
        self._captions, self._lists = captions, lists
        self._told, self._turn = 0, asyncio.Lock()
        self.task: asyncio.Task[None] | None = None

    async def tell(self) -> None:
        """Tell what there is by now."""
        async with self._turn:
            captions = self._captions
            notes = [_SharedNote(captions.language, captions.granularity), *map(_tell, captions.notes)]
            if captions.age_s() >= 0:
                notes.append(_SharedNote(is_end=True))
            self._told = await self._lists.extend(captions.id, notes, self._told)

    async def run(self) -> None:
        """Tell what comes, and that more is to come, until the speech has ended."""
        told_at, count = time.monotonic(), len(self._captions.notes)
        while self._captions.age_s() < 0:
            await asyncio.sleep(SHARE_EVERY_S)
            if len(self._captions.notes) > count or time.monotonic() - told_at > ALIVE_S / 3:
                told_at, count = time.monotonic(), len(self._captions.notes)
                await self.tell()
        await self.tell()


class CaptionStore:
    """Captions by their ids; lives on the event loop.

    Args:
        ttl_s: How long captions are kept after the end of their speech, in seconds.
        max_sentences: Of all captions together; beyond it the oldest are dropped.
        shared: Where replicas find them, also while the speech goes on.
    """

    def __init__(self, ttl_s: float = TTL_S, max_sentences: int = MAX_SENTENCES, shared: SharedState = OFF) -> None:
        self._ttl_s, self._max_sentences = ttl_s, max_sentences
        self._captions: dict[str, Captions] = {}
        self._shared = SharedLists(shared, "captions", TypeAdapter(_SharedNote), ttl_s)
        self._sharing: dict[str, _Sharing] = {}

    async def open(self, notes: Sequence[Note], language: str, granularity: Granularity) -> Captions:
        """Captions of a speech that begins."""
        self._drop_old()
        captions = Captions(notes, language, granularity)
        self._captions[captions.id] = captions
        if self._shared.is_on:
            sharing = self._sharing[captions.id] = _Sharing(captions, self._shared)
            await sharing.tell()
            sharing.task = asyncio.create_task(sharing.run())
            sharing.task.add_done_callback(lambda _: self._sharing.pop(captions.id))
        return captions

    async def share(self, captions: Captions) -> None:
        """See that replicas know what there is by now; by itself that takes a moment."""
        if (sharing := self._sharing.get(captions.id)) is not None:
            await sharing.tell()

    async def find(self, speech_id: str) -> Captions:
        """The captions of a speech.

        Raises:
            NotFoundError: There are none, or no longer.
        """
        self._drop_old()
        found = self._captions.get(speech_id) or await self._find_shared(speech_id)
        if found is None:
            raise NotFoundError(f"no captions of {speech_id[:80]!r}: they are kept for {self._ttl_s:g} s")
        return found

    async def _find_shared(self, speech_id: str) -> Captions | None:
        found = await self._shared.find(speech_id)
        if found is None:
            return None
        first, *others = found.items
        captions = Captions([other.note for other in others], first.language, first.granularity, speech_id)
        if found.age_s > ALIVE_S or any(other.is_end for other in others):
            captions.end()
        return captions

    def _drop_old(self) -> None:
        too_many = sum(captions.size for captions in self._captions.values()) - self._max_sentences
        for captions in list(self._captions.values()):
            if captions.age_s() > self._ttl_s or too_many > 0:
                too_many -= captions.size
                del self._captions[captions.id]


def _tell(note: Note) -> _SharedNote:
    until = note.content.get("until")
    return _SharedNote(
        until_s=until if isinstance(until, float) else 0.0,
        is_last=bool(note.content.get("is_last")),
        sentence=find_sentence(note.content),
    )


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
