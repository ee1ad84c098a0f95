"""The keyword arguments of both clients, written once."""

import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, TypedDict

Server: TypeAlias = Literal["asr", "tts"]
TranscriptFormat: TypeAlias = Literal[
    "json", "text", "srt", "verbose_json", "vtt", "diarized_json", "tsv", "jsonl", "lrc"
]
AudioFormat: TypeAlias = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

SERVERS: Final[tuple[Server, ...]] = ("asr", "tts")


class SpeakerOptions(TypedDict, total=False):
    """Who speaks; whoever gives any of them asks for it. Beyond OpenAI's API, but for `known_speakers`."""

    diarize: bool
    """Tell who speaks."""
    num_speakers: int | None
    """So many speak, 1..32; found when not given."""
    min_speakers: int | None
    """At least so many."""
    max_speakers: int | None
    """At most so many."""
    known_speakers: Mapping[str, str | os.PathLike[str] | bytes]
    """Names, each with a recording of that voice alone, 2 to 10 s long: a path or the bytes of a file."""


class _RecognitionOptions(TypedDict, total=False):
    model: str
    """`whisper-1` when not given: the server's default model."""
    prompt: str | None
    """Text that goes before the audio: names, spelling, style."""
    temperature: float | None
    """Randomness of decoding, 0..1; the server's default is 0."""
    request_id: str | None
    """Sent as `x-request-id`, so that this call can be found in the server's log."""


class TargetOptions(TypedDict, total=False):
    """What is said in another language, by a language model that the server knows of. Beyond OpenAI's API."""

    target_language: str | None
    """Put into this language, cue by cue, `de` or `pt-BR`."""
    original: bool
    """What was said stands beside it."""


class TranslationOptions(_RecognitionOptions, SpeakerOptions, TargetOptions, total=False):
    """Of `translate`."""

    language: str | None
    """With `target_language`, the spoken language; detected when not given."""


class StreamOptions(_RecognitionOptions, TargetOptions, total=False):
    """Of `transcribe_stream`."""

    language: str | None
    """Spoken language, ISO 639-1 (`de`); detected when not given."""


class TranscriptionOptions(StreamOptions, SpeakerOptions, total=False):
    """Of `transcribe_as`."""


class AlignmentOptions(TypedDict, total=False):
    """Of `align`: as for `transcribe`."""

    model: str
    language: str | None
    request_id: str | None


class TimedTranscriptionOptions(TranscriptionOptions, total=False):
    """Of `transcribe`."""

    word_timestamps: bool
    """Fill `Transcript.words`, too."""


class ListenOptions(TypedDict, total=False):
    """Of `listen`."""

    sample_rate: int
    """Of the sound, 8000..48000 Hz; 24000 when not given."""
    model: str
    """`whisper-1` when not given: the server's default model."""
    language: str | None
    """Spoken language, ISO 639-1; detected when not given."""
    prompt: str | None
    """Text that goes before the audio: names, spelling, style."""
    hotwords: Sequence[str]
    """Words to expect."""
    diarize: bool
    """Who speaks is told as well, once a turn is complete: `SpeakerSegment`."""
    turn_detection: Literal["server_vad", "semantic_vad"] | None
    """A turn ends with a silence (when not given), when what was said is complete, or, None, with the sound."""
    silence_ms: int
    """The silence that ends a turn; 500 when not given."""
    threshold: float
    """Probability from which sound is speech, 0..1; 0.5 when not given."""
    eagerness: Literal["low", "medium", "high", "auto"]
    """How soon a turn that seems complete ends."""
    request_id: str | None
    """Sent as `x-request-id`."""


class JobOptions(TimedTranscriptionOptions, total=False):
    """Of `jobs.submit`."""

    translate: bool
    """English text from speech in any language, or that of `target_language`."""
    webhook_url: str | None
    """Called when the job is over; the server's settings must allow it."""


class VoiceOptions(TypedDict, total=False):
    """Of `synthesize_to_file`."""

    voice: str
    """Id of a voice, see `voices()`; `alloy` when not given."""
    model: str
    """`tts-1` when not given: the server's default model."""
    speed: float
    """0.25..4.0; 1.0 when not given."""
    instructions: str | None
    """How to speak, for models that can be told."""
    emotion: str | None
    """Mood of the voice, `happy`, `sad`, `calm` ..., where it has that. Beyond OpenAI's API."""
    emotion_strength: float | None
    """How much of it, 0..1."""
    language: str | None
    """Language of the text, ISO 639-1; the server's choice when not given. Beyond OpenAI's API."""
    request_id: str | None
    """Sent as `x-request-id`, so that this call can be found in the server's log."""


class SpeechOptions(VoiceOptions, total=False):
    """Of `synthesize` and `synthesize_stream`."""

    format: AudioFormat
    """`mp3` when not given; `pcm` is headerless s16le, mono, 24000 Hz."""
