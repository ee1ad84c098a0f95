"""What the ASR server's two processes tell each other: small picklable dataclasses, free of numpy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_stack.asr.transcript import Segment


@dataclass(frozen=True, slots=True)
class RawPcm:
    """How the samples of a file without a header lie: 16-bit integers, channels interleaved; `sample_rate` in Hz."""

    sample_rate: int = 16_000
    channels: int = 1
    byte_order: Literal["little", "big"] = "little"


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A checked request on its way to the engine process.

    Attributes:
        path: The uploaded file.
        task: `transcribe` or `translate`.
        language: Code of the spoken language; None: found from the audio.
        prompt: Sample of style and vocabulary, heard before every window.
        temperature: Where decoding starts; it rises where the text is poor.
        word_timestamps: Whether words carry times.
        beam_size: Hypotheses kept while decoding; None: as in the settings.
        pcm: How the samples lie in a file without a header; None: a media file. One with a header is heeded anyway.
        vad_enabled: Whether silence is left out; None: as in the settings.
    """

    path: Path
    task: str = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    word_timestamps: bool = False
    beam_size: int | None = None
    pcm: RawPcm | None = None
    vad_enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class DetectionRequest:
    """Which language is spoken in a file; only a few excerpts are listened to.

    Attributes:
        path: The uploaded file.
        pcm: As in `TranscriptionRequest`.
        offset_s: Where to begin listening, in seconds.
        length_s: How far from there excerpts may lie, in seconds; None: to the end.
    """

    path: Path
    pcm: RawPcm | None = None
    offset_s: float = 0.0
    length_s: float | None = None


@dataclass(frozen=True, slots=True)
class LanguageVote:
    """Output of a detection: probabilities by language code for one excerpt; no seconds of speech: a mere guess."""

    probabilities: tuple[tuple[str, float], ...]
    speech_s: float


@dataclass(frozen=True, slots=True)
class WindowText:
    """Output: the segments of one window, in file time, and the language as known by then."""

    segments: tuple[Segment, ...]
    language: str
    language_probability: float


@dataclass(frozen=True, slots=True)
class TranscriptionSummary:
    """Closing statement: what is known when the whole file was heard; durations in seconds."""

    duration_s: float
    speech_s: float
    language: str
    language_probability: float


@dataclass(frozen=True, slots=True)
class AsrWorkerConfig:
    """What an ASR engine process is started with; the fields are those of the settings."""

    engine: str
    model: str
    model_dir: Path
    offline: bool
    operator_paths: tuple[str, ...]
    device: str
    compute_type: str
    threads: int
    lanes: int
    max_batch: int
    encoder_padding_s: float
    beam_size: int
    vad_enabled: bool
    vad_threshold: float
    window_s: float
    max_audio_s: float
    replica: int = 0
    replicas: int = 1
