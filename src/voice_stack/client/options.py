"""The keyword arguments of both clients, written once."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, TypedDict

Server: TypeAlias = Literal["asr", "tts"]
TranscriptFormat: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt"]
AudioFormat: TypeAlias = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

SERVERS: Final[tuple[Server, ...]] = ("asr", "tts")


class TranslationOptions(TypedDict, total=False):
    """Of `translate`."""

    model: str
    """`whisper-1` when not given: the server's default model."""
    prompt: str | None
    """Text that goes before the audio: names, spelling, style."""
    temperature: float | None
    """Randomness of decoding, 0..1; the server's default is 0."""
    request_id: str | None
    """Sent as `x-request-id`, so that this call can be found in the server's log."""


class TranscriptionOptions(TranslationOptions, total=False):
    """Of `transcribe_as` and `transcribe_stream`."""

    language: str | None
    """Spoken language, ISO 639-1 (`de`); detected when not given."""


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
    """English text from speech in any language."""
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
    language: str | None
    """Language of the text, ISO 639-1; the server's choice when not given. Beyond OpenAI's API."""
    request_id: str | None
    """Sent as `x-request-id`, so that this call can be found in the server's log."""


class SpeechOptions(VoiceOptions, total=False):
    """Of `synthesize` and `synthesize_stream`."""

    format: AudioFormat
    """`mp3` when not given; `pcm` is headerless s16le, mono, 24000 Hz."""
