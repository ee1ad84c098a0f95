"""What the servers answer, typed, and the reading of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx2

from voice_stack.client.errors import InvalidResponseError, excerpt, request_id_of

T = TypeVar("T")


@dataclass(frozen=True)
class Word:
    """One word and its times, seconds from the start of the audio; `speaker` says it, where that was asked."""

    text: str
    start_s: float
    end_s: float
    speaker: str | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch of speech; times in seconds from the start of the audio.

    `avg_logprob` (the mean log-probability of its tokens) and `no_speech_prob` (0..1) are None where the engine
    does not give them. `speaker` is a known name, or one like `SPEAKER_00`; None where it was not asked who speaks.
    `original` is what was said, of a translation for which that was asked.
    """

    id: int
    text: str
    start_s: float
    end_s: float
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    speaker: str | None = None
    original: str | None = None


@dataclass(frozen=True)
class Transcript:
    """The text of an audio file.

    `language` is what the server reports, an English name such as `english`. `words` is empty unless word
    timestamps were asked for. `original` is what was said, of a translation for which that was asked. `warnings` say
    what of the file was not heard, or not translated.
    """

    text: str
    language: str
    duration_s: float
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] = ()
    request_id: str | None = None
    original: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlignedText:
    """A word or a sentence of a given text; times in seconds, None where it is not in the sound; `score` is 0..1."""

    text: str
    start_s: float | None
    end_s: float | None
    score: float


@dataclass(frozen=True)
class Alignment:
    """When a given text is said; `score` is the mean of its words', `language` as in `Transcript`."""

    language: str
    duration_s: float
    score: float
    words: tuple[AlignedText, ...]
    sentences: tuple[AlignedText, ...]
    request_id: str | None = None


@dataclass(frozen=True)
class Voice:
    """A voice of the TTS server; `details` holds whatever else the server tells about it."""

    id: str
    name: str
    details: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Model:
    """A model that a server offers; `created` is in seconds since 1970."""

    id: str
    created: float | None = None
    owned_by: str | None = None


@dataclass(frozen=True)
class Health:
    """Whether a server answers; `reason` says why not."""

    is_up: bool
    version: str | None = None
    reason: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Queue:
    """What a server has to do: jobs that its engines work on, jobs that wait for them, and how long a new one would.

    `seconds` is None while that is not known.
    """

    jobs_running: int
    jobs_waiting: int
    seconds: float | None = None


def object_of(value: object) -> Mapping[str, object]:
    """A JSON object; anything else is a TypeError, as with the readers below."""
    if not isinstance(value, dict):
        raise TypeError(f"an object expected, got {value!r}")
    return value


def text_of(data: Mapping[str, object], key: str) -> str:
    """A string of an object."""
    value = data.get(key)
    if not isinstance(value, str):
        raise TypeError(f"{key}: a string expected, got {value!r}")
    return value


def number_of(data: Mapping[str, object], key: str) -> float:
    """A number of an object."""
    value = data.get(key)
    if not isinstance(value, int | float):
        raise TypeError(f"{key}: a number expected, got {value!r}")
    return value


def optional_number_of(data: Mapping[str, object], key: str) -> float | None:
    """A number of an object, or None."""
    return None if data.get(key) is None else number_of(data, key)


def optional_text_of(data: Mapping[str, object], key: str) -> str | None:
    """A string of an object, or None."""
    return None if data.get(key) is None else text_of(data, key)


def _items(data: Mapping[str, object], key: str, build: Callable[[Mapping[str, object]], T]) -> list[T]:
    value = data.get(key)
    if not isinstance(value, list):
        raise TypeError(f"{key}: a list expected, got {value!r}")
    return [build(object_of(item)) for item in value]


def _optional_items(data: Mapping[str, object], key: str, build: Callable[[Mapping[str, object]], T]) -> tuple[T, ...]:
    return () if data.get(key) is None else tuple(_items(data, key, build))


def _word(data: Mapping[str, object]) -> Word:
    times = number_of(data, "start"), number_of(data, "end")
    return Word(text_of(data, "word"), *times, optional_text_of(data, "speaker"))


def _segment(data: Mapping[str, object]) -> Segment:
    return Segment(
        id=int(number_of(data, "id")),
        text=text_of(data, "text"),
        start_s=number_of(data, "start"),
        end_s=number_of(data, "end"),
        avg_logprob=optional_number_of(data, "avg_logprob"),
        no_speech_prob=optional_number_of(data, "no_speech_prob"),
        speaker=optional_text_of(data, "speaker"),
        original=optional_text_of(data, "original"),
    )


def _voice(data: Mapping[str, object]) -> Voice:
    rest = {key: value for key, value in data.items() if key not in {"id", "name"}}
    return Voice(text_of(data, "id"), text_of(data, "name"), rest)


def _model(data: Mapping[str, object]) -> Model:
    return Model(text_of(data, "id"), optional_number_of(data, "created"), optional_text_of(data, "owned_by"))


def read_object(response: httpx2.Response, build: Callable[[Mapping[str, object]], T]) -> T:
    """Read a JSON object; whatever is not as the API says becomes one clear error.

    Raises:
        InvalidResponseError: It is not as the API says; so with all `parse_...`.
    """
    try:
        return build(object_of(response.json()))
    except (TypeError, ValueError) as error:
        message = f"{response.url} gave an unexpected answer ({error}): {excerpt(response.text)}"
        raise InvalidResponseError(message, request_id=request_id_of(response)) from error


def read_items(key: str, build: Callable[[Mapping[str, object]], T]) -> Callable[[httpx2.Response], list[T]]:
    """What reads a list inside a JSON object."""
    return lambda response: read_object(response, lambda data: _items(data, key, build))


def parse_transcript(response: httpx2.Response) -> Transcript:
    """Read a `verbose_json` body."""
    return read_object(
        response,
        lambda data: Transcript(
            text=text_of(data, "text"),
            language=text_of(data, "language"),
            duration_s=number_of(data, "duration"),
            segments=_optional_items(data, "segments", _segment),
            words=_optional_items(data, "words", _word),
            request_id=request_id_of(response),
            original=optional_text_of(data, "original"),
            warnings=tuple(filter(None, response.headers.get("x-warnings", "").split("; "))),
        ),
    )


def parse_alignment(response: httpx2.Response) -> Alignment:
    """Read the body of an alignment.

    Raises:
        InvalidResponseError: It is not one.
    """

    def aligned(data: Mapping[str, object], key: str) -> AlignedText:
        times = optional_number_of(data, "start"), optional_number_of(data, "end")
        return AlignedText(text_of(data, key), *times, number_of(data, "score"))

    return read_object(
        response,
        lambda data: Alignment(
            language=text_of(data, "language"),
            duration_s=number_of(data, "duration"),
            score=number_of(data, "score"),
            words=tuple(_items(data, "words", lambda word: aligned(word, "word"))),
            sentences=tuple(_items(data, "sentences", lambda sentence: aligned(sentence, "text"))),
            request_id=request_id_of(response),
        ),
    )


def parse_transcript_text(response: httpx2.Response) -> str:
    """Read the text of a `json` body."""
    return read_object(response, lambda data: text_of(data, "text"))


parse_voices = read_items("voices", _voice)
parse_models = read_items("data", _model)


def parse_health(response: httpx2.Response) -> Health:
    """Read the body of a server that is up."""
    request_id = request_id_of(response)
    return read_object(response, lambda data: Health(True, optional_text_of(data, "version"), request_id=request_id))


def parse_verbose(response: httpx2.Response) -> dict[str, object]:
    """Read the body of the verbose route, and what its headers tell of work that was done in the second-best way."""
    headers = {
        "fallback": response.headers.get("x-fallback"),
        "fallback_model": response.headers.get("x-fallback-model"),
    }
    return read_object(response, lambda data: {**data, **headers})


def parse_queue(response: httpx2.Response) -> Queue:
    """Read what `/status` says of the queue."""

    def build(data: Mapping[str, object]) -> Queue:
        queue = object_of(data.get("queue"))
        running, waiting = int(number_of(queue, "jobs_running")), int(number_of(queue, "jobs_waiting"))
        return Queue(running, waiting, optional_number_of(queue, "seconds"))

    return read_object(response, build)
