"""A recording as the model of a voice: decoded, cut to what engines listen to, measured."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voice_stack.core.errors import InvalidAudioError
from voice_stack.core.regular_file import open_regular
from voice_stack.tts.library.quality import MIN_SPEECH_S, Figures, Finding, judge, measure
from voice_stack.utils.audio.decode import decode_blocks, has_video, probe_duration_s
from voice_stack.utils.audio.encode import OUTPUT_SAMPLE_RATE, encode_whole
from voice_stack.utils.audio.pcm import Resampler, Samples
from voice_stack.utils.audio.vad import SAMPLE_RATE

REFERENCE_RATE = OUTPUT_SAMPLE_RATE
"""No engine speaks at more than this rate, so none listens for more."""
PREVIEW_S = 10.0
MAX_REFERENCE_S = 30.0
"""What engines use of one recording; the rest is never decoded."""
MAX_STATED_S = 600.0
"""Longest recording taken, by what its header says: more is a mistake, or a lie."""


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """What was found in a recording.

    Attributes:
        figures: Measured on the part that counts.
        findings: What is wrong with it.
    """

    figures: Figures
    findings: tuple[Finding, ...]

    @property
    def refusal(self) -> str:
        """Why it cannot be used; empty if it can."""
        return next((finding.message for finding in self.findings if finding.refuses), "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with it and still does not forbid its use."""
        return tuple(finding.message for finding in self.findings if not finding.refuses)


@dataclass(frozen=True, slots=True, eq=False)
class Reference(Examination):
    """The part of a recording that counts.

    Attributes:
        samples: Mono float32 of shape (samples,) at 24 kHz, 30 s at most.
    """

    samples: Samples


Examine = Callable[[Path, float], tuple[Examination, bytes]]
"""`examine_recording`, or what has it called in another process."""


def examine_recording(path: Path, needed_s: float) -> tuple[Examination, bytes]:
    """What is found in a recording, and as FLAC the part that counts without anything else that the original held.

    Arguments and errors as of `load_reference`.
    """
    reference = load_reference(path, needed_s)
    flac = b"" if reference.refusal else encode_whole([reference.samples], "flac", REFERENCE_RATE)
    return Examination(reference.figures, reference.findings), flac


def load_reference(path: Path, needed_s: float = MIN_SPEECH_S) -> Reference:
    """Decode and measure a recording: some tenths of a second of work, and big libraries.

    Args:
        path: Any audio file; not trusted.
        needed_s: Seconds of speech it must hold.

    Raises:
        InvalidAudioError: It is no sound recording.
        OSError: It cannot be read.
    """
    open_regular(path).close()
    stated_s = probe_duration_s(path)
    if stated_s is not None and stated_s > MAX_STATED_S:
        raise InvalidAudioError(
            f"The recording says that it is {stated_s:.0f} s long; at most {MAX_STATED_S:.0f} s are taken.",
            code="audio_too_long",
        )
    if has_video(path):
        raise InvalidAudioError("The file is a video; send the sound alone, as WAV, FLAC, MP3, M4A or Ogg.")
    samples, is_cut = _decode_start(path)
    figures = measure(_resample(samples))
    cut = Finding("too_long", f"longer than {MAX_REFERENCE_S:.0f} s: only that much of it is used", refuses=False)
    return Reference(figures, (*judge(figures, needed_s=needed_s), *([cut] if is_cut else [])), samples)


def encode_preview(path: Path, format_name: str) -> bytes:
    """The beginning of a recording in a format of `AUDIO_FORMATS`; errors as of `load_reference`."""
    samples = load_reference(path).samples[: round(PREVIEW_S * REFERENCE_RATE)]
    return encode_whole([samples], format_name, REFERENCE_RATE)


def _decode_start(path: Path) -> tuple[Samples, bool]:
    """The first 30 s, and whether there is more."""
    blocks = decode_blocks(path, sample_rate=REFERENCE_RATE, block_s=MAX_REFERENCE_S)
    with closing(blocks):
        return next(blocks), next(blocks, None) is not None


def _resample(samples: Samples) -> Samples:
    resampler = Resampler(REFERENCE_RATE, SAMPLE_RATE)
    return np.concatenate([resampler.push(samples), resampler.finish()])
