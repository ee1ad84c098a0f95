"""A recording as the model of a voice: decoded, cut to what engines listen to, measured and judged."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidAudioError
from voice_stack.core.system.files import open_regular
from voice_stack.utils.audio.decode import decode_blocks, has_video, probe_duration_s
from voice_stack.utils.audio.encode import OUTPUT_SAMPLE_RATE, encode_whole
from voice_stack.utils.audio.pcm import Resampler, Samples
from voice_stack.utils.audio.quality import MIN_SPEECH_S, Figures, Finding, find_speech, judge, measure
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE

_ONSET_S = 0.2
REFERENCE_RATE = OUTPUT_SAMPLE_RATE
"""No engine speaks at more than this rate, so none listens for more."""
PREVIEW_S = 10.0
MAX_REFERENCE_S = 30.0
"""What engines use of one recording; the rest is never decoded."""
MAX_STATED_S = 600.0
"""Longest recording taken, by what its header says: more is a mistake, or a lie."""
BUSY_BLOCK_S = 32 * 0.512
"""Whole frames, in which speech is looked for at once."""


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
    samples, is_cut, unheard = _decode_start(path)
    figures, cut = measure(_resample(samples)), f"longer than {MAX_REFERENCE_S:.0f} s: only that much of it is used"
    if is_cut and figures.speech_s < needed_s and (start_s := _find_busiest(path)):
        samples = _decode_from(path, start_s)
        figures, cut = measure(_resample(samples)), f"{cut}, from {start_s} s on"
    more = [Finding("too_long", cut, refuses=False)] if is_cut else []
    more += [Finding("unread", warning, refuses=False) for warning in unheard]
    return Reference(figures, (*judge(figures, needed_s=needed_s), *more), samples)


def encode_preview(path: Path, format_name: str) -> bytes:
    """The beginning of a recording in a format of `AUDIO_FORMATS`; errors as of `load_reference`."""
    samples = load_reference(path).samples[: round(PREVIEW_S * REFERENCE_RATE)]
    return encode_whole([samples], format_name, REFERENCE_RATE)


def _decode_start(path: Path) -> tuple[Samples, bool, list[str]]:
    """The first 30 s, whether there is more, and what of the file was passed over."""
    warnings = list[str]()
    blocks = decode_blocks(path, sample_rate=REFERENCE_RATE, block_s=MAX_REFERENCE_S, warnings=warnings)
    with closing(blocks):
        return next(blocks), next(blocks, None) is not None, warnings


def _find_busiest(path: Path) -> int:
    """The second from which on there is most speech, or most sound where nobody speaks."""
    is_speech, power = list[NDArray[np.bool_]](), list[NDArray[np.float64]]()
    with closing(decode_blocks(path, block_s=BUSY_BLOCK_S)) as blocks:
        for block in islice(blocks, int(MAX_STATED_S / BUSY_BLOCK_S)):
            frames = block[: block.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
            power.append(np.mean(frames**2, axis=1))
            is_speech.append(find_speech(block, power[-1]))
    found = np.concatenate(is_speech)
    counted = np.concatenate([[0.0], np.cumsum(found if found.any() else np.concatenate(power))])
    reach = min(int(MAX_REFERENCE_S * SAMPLE_RATE / FRAME), found.size)
    first = int(np.argmax(counted[reach:] - counted[:-reach]))
    return int(max((first + int(np.argmax(found[first:]))) * FRAME / SAMPLE_RATE - _ONSET_S, 0))


def _decode_from(path: Path, start_s: int) -> Samples:
    with closing(decode_blocks(path, sample_rate=REFERENCE_RATE, block_s=1.0)) as blocks:
        return np.concatenate([*islice(blocks, start_s, start_s + int(MAX_REFERENCE_S))])


def _resample(samples: Samples) -> Samples:
    resampler = Resampler(REFERENCE_RATE, SAMPLE_RATE)
    return np.concatenate([resampler.push(samples), resampler.finish()])
