"""Every call of the API as a value: where it goes, what it sends, how its answer is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx2

from voice_stack.client.options import AudioFormat, Server, TranscriptFormat
from voice_stack.client.results import (
    Health,
    Model,
    Transcript,
    Voice,
    parse_health,
    parse_models,
    parse_transcript,
    parse_transcript_text,
    parse_voices,
)
from voice_stack.client.upload import AudioFile

T = TypeVar("T")
FormValue = str | float | list[str] | None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, whoever sends it and however often.

    Attributes:
        server: Which of the two.
        path: Below the API prefix.
        parse: Makes the result of a successful answer whose body has been read.
        method: HTTP method.
        json: JSON body.
        form: Fields of a multipart form; None values are not sent.
        file: The form's `file`.
        request_id: Sent as `x-request-id`.
        is_probe: Whether to ask outside the API prefix, once, with little patience.
    """

    server: Server
    path: str
    parse: Callable[[httpx2.Response], T]
    method: str = "GET"
    json: Mapping[str, object] | None = None
    form: Mapping[str, FormValue] | None = None
    file: AudioFile | None = None
    request_id: str | None = None
    is_probe: bool = False


def transcription(
    file: AudioFile,
    *,
    model: str = "whisper-1",
    language: str | None = None,
    prompt: str | None = None,
    temperature: float | None = None,
    word_timestamps: bool = False,
    request_id: str | None = None,
) -> Call[Transcript]:
    """A transcription with everything there is to know about it."""
    granularities = ["segment", "word"] if word_timestamps else None
    form: dict[str, FormValue] = {"model": model, "language": language, "prompt": prompt, "temperature": temperature}
    form |= {"response_format": "verbose_json", "timestamp_granularities[]": granularities}
    return Call("asr", "/audio/transcriptions", parse_transcript, "POST", form=form, file=file, request_id=request_id)


def rendered_transcription(
    file: AudioFile,
    response_format: TranscriptFormat,
    *,
    model: str = "whisper-1",
    language: str | None = None,
    prompt: str | None = None,
    temperature: float | None = None,
    request_id: str | None = None,
) -> Call[str]:
    """A transcription as the text of a file: subtitles, for example."""
    form: dict[str, FormValue] = {"model": model, "language": language, "prompt": prompt, "temperature": temperature}
    form["response_format"] = response_format
    return Call("asr", "/audio/transcriptions", _body_text, "POST", form=form, file=file, request_id=request_id)


def streamed_transcription(
    file: AudioFile,
    *,
    model: str = "whisper-1",
    language: str | None = None,
    prompt: str | None = None,
    temperature: float | None = None,
    request_id: str | None = None,
) -> Call[str]:
    """A transcription as server-sent events; `parse` is for servers that answer with plain JSON nevertheless."""
    form: dict[str, FormValue] = {"model": model, "language": language, "prompt": prompt, "temperature": temperature}
    form |= {"response_format": "json", "stream": "true"}
    return Call(
        "asr", "/audio/transcriptions", parse_transcript_text, "POST", form=form, file=file, request_id=request_id
    )


def translation(
    file: AudioFile,
    *,
    model: str = "whisper-1",
    prompt: str | None = None,
    temperature: float | None = None,
    request_id: str | None = None,
) -> Call[Transcript]:
    """A transcription in English of speech in any language."""
    form: dict[str, FormValue] = {"model": model, "prompt": prompt, "temperature": temperature}
    form["response_format"] = "verbose_json"
    return Call("asr", "/audio/translations", parse_transcript, "POST", form=form, file=file, request_id=request_id)


def speech(
    text: str,
    *,
    voice: str = "alloy",
    model: str = "tts-1",
    format: AudioFormat = "mp3",  # noqa: A002 - the word that callers look for; the built-in is not needed here
    speed: float = 1.0,
    instructions: str | None = None,
    language: str | None = None,
    request_id: str | None = None,
    as_events: bool = False,
) -> Call[bytes]:
    """A text as audio, or as events that carry it."""
    optional = {"instructions": instructions, "language": language, "stream_format": "sse" if as_events else None}
    body: dict[str, object] = {"model": model, "input": text, "voice": voice, "response_format": format, "speed": speed}
    body |= {key: value for key, value in optional.items() if value is not None}
    return Call("tts", "/audio/speech", _body_bytes, "POST", json=body, request_id=request_id)


def voices(request_id: str | None = None) -> Call[list[Voice]]:
    """The voices of the TTS server."""
    return Call("tts", "/audio/voices", parse_voices, request_id=request_id)


def models(server: Server, request_id: str | None = None) -> Call[list[Model]]:
    """The models of one server."""
    return Call(server, "/models", parse_models, request_id=request_id)


def health(server: Server, request_id: str | None = None) -> Call[Health]:
    """Whether one server is up."""
    return Call(server, "/health", parse_health, request_id=request_id, is_probe=True)


def _body_text(response: httpx2.Response) -> str:
    return response.text


def _body_bytes(response: httpx2.Response) -> bytes:
    return response.content
