"""A call of the API as a value: where it goes, what it sends, how its answer is read."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Generic, TypeVar, Unpack

import httpx2

from voice_stack.client.options import AudioFormat, JobOptions, Server
from voice_stack.client.upload import AudioFile, data_url

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
        file: The form's file.
        file_field: Name of the part with it.
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
    file_field: str = "file"
    request_id: str | None = None
    is_probe: bool = False


def body_text(response: httpx2.Response) -> str:
    """The text of a file as the server sends it."""
    return response.text


def recognition(
    file: AudioFile,
    parse: Callable[[httpx2.Response], T],
    known: Set[str],
    form: Mapping[str, FormValue] | None = None,
    /,
    **options: Unpack[JobOptions],
) -> Call[T]:
    """Speech to text.

    Args:
        file: What to listen to.
        parse: As in `Call`.
        known: Names of the options that the method has which was called.
        form: Fields that are no options; `response_format` is `verbose_json` where it is not among them; a `text` is
            to be aligned.
        **options: As the method got them.

    Raises:
        TypeError: An option is not known.
        OSError: The recording of a known speaker cannot be read.
    """
    if unknown := options.keys() - known:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}; the options are {', '.join(sorted(known))}")
    fields: dict[str, FormValue] = {"response_format": "verbose_json", **(form or {})}
    fields["model"] = options.get("model", "whisper-1")
    fields |= {"language": options.get("language"), "prompt": options.get("prompt")}
    fields |= {"temperature": options.get("temperature"), "webhook_url": options.get("webhook_url")}
    if options.get("word_timestamps"):
        fields["timestamp_granularities[]"] = ["segment", "word"]
    fields |= {"num_speakers": options.get("num_speakers"), "min_speakers": options.get("min_speakers")}
    fields |= {"max_speakers": options.get("max_speakers")}
    voices = options.get("known_speakers", {})
    fields["target_language"] = options.get("target_language")
    fields["original"] = "true" if options.get("original") else None
    if voices or "diarize" in options:
        fields["diarize"] = "true" if options.get("diarize", True) else "false"
    if voices:
        fields["known_speaker_names[]"] = list(voices)
        fields["known_speaker_references[]"] = [data_url(recording) for recording in voices.values()]
    path = "/audio/translations" if options.get("translate") else "/audio/transcriptions"
    path = "/audio/alignments" if "text" in fields else path
    return Call("asr", path, parse, "POST", form=fields, file=file, request_id=options.get("request_id"))


def speech(
    text: str,
    *,
    voice: str = "alloy",
    model: str = "tts-1",
    format: AudioFormat = "mp3",  # noqa: A002 - the word that callers look for; the built-in is not needed here
    speed: float = 1.0,
    instructions: str | None = None,
    emotion: str | None = None,
    emotion_strength: float | None = None,
    language: str | None = None,
    request_id: str | None = None,
    as_events: bool = False,
) -> Call[bytes]:
    """A text as audio, or as events that carry it."""
    optional = {"instructions": instructions, "emotion": emotion, "emotion_strength": emotion_strength}
    optional |= {"language": language, "stream_format": "sse" if as_events else None}
    body: dict[str, object] = {"model": model, "input": text, "voice": voice, "response_format": format, "speed": speed}
    body |= {key: value for key, value in optional.items() if value is not None}
    return Call("tts", "/audio/speech", lambda response: response.content, "POST", json=body, request_id=request_id)
