"""How good a recording of one voice is: measured and judged.

The thresholds were set on some thirty recordings of read and of free speech, and on one to which noise, clipping and
narrow bands were added in known amounts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE, StreamingVad

MIN_SPEECH_S = 3.0
"""Speech that a voice needs in all its recordings together; likeness still grows up to some 15 s."""
NO_SPEECH_S = 0.3
"""Less is a cough or the detector's error."""
SILENT_DBFS = -50.0
"""The loudest 32 ms of any recording of a voice lie above it."""
QUIET_DBFS = -42.0
"""Mean level of speech under which 16-bit steps and the microphone's own noise begin to matter."""
CLIPPED_WARN, CLIPPED_REFUSE = 0.002, 0.02
"""Share of samples within 10 % of the peak: clean speech up to 0.0011, overdriven twice
0.0035, four times 0.032."""
SNR_WARN_DB, SNR_REFUSE_DB = 20.0, 10.0
"""Speech against the quietest twentieth of the recording: people at home with an MP3 encoder reach 21 to 26 dB."""
BANDWIDTH_WARN_HZ, BANDWIDTH_REFUSE_HZ = 4500.0, 2500.0
"""A telephone ends at 3400 to 4000 Hz; sibilants lie above."""
SPARSE_SHARE = 0.3
"""Least share of speech in a recording that is not mostly something else."""

_SPEECH_PROBABILITY = 0.5  # Silero's own threshold: here only clear speech counts
_NEAR_PEAK = 0.9
_NOISE_PERCENTILE = 5
_BANDWIDTH_DROP_DB = 50.0
_DIGITAL_SILENCE = 1e-9  # mean square of a frame; a gate or an editor made it, not a room
_LOUD_ENOUGH_DBFS = -45.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        duration_s: Length of the recording.
        speech_s: How much of it is speech.
        loudest_dbfs: Level of its loudest 32 ms.
        speech_dbfs: Mean level of its speech.
        clipped: Share of samples within 10 % of the peak.
        snr_db: Level of speech above that of the quietest frames.
        bandwidth_hz: Highest frequency within 50 dB of the strongest, in speech; 8000 at most.
    """

    duration_s: float = 0.0
    speech_s: float = 0.0
    loudest_dbfs: float = 0.0
    speech_dbfs: float = 0.0
    clipped: float = 0.0
    snr_db: float = 0.0
    bandwidth_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a recording: a code, a sentence with the figure, and whether it cannot be used at all."""

    code: str
    message: str
    refuses: bool


def measure(samples: Samples) -> Figures:
    """Measure a recording.

    Args:
        samples: Mono float32 of shape (samples,) at 16 kHz, at least one frame of 32 ms.
    """
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power = np.mean(frames**2, axis=1)
    is_speech = find_speech(samples, power)
    speech_power = float(power[is_speech].mean()) if is_speech.any() else 0.0
    audible = power[power > _DIGITAL_SILENCE]
    noise = float(np.percentile(audible, _NOISE_PERCENTILE)) if audible.size else _DIGITAL_SILENCE
    peak = float(np.abs(samples).max())
    return Figures(
        duration_s=samples.size / SAMPLE_RATE,
        speech_s=float(is_speech.sum()) * FRAME / SAMPLE_RATE,
        loudest_dbfs=_decibels(float(power.max())),
        speech_dbfs=_decibels(speech_power),
        clipped=float(np.mean(np.abs(samples) >= _NEAR_PEAK * peak)) if peak else 0.0,
        snr_db=_decibels(speech_power) - _decibels(noise),
        bandwidth_hz=_bandwidth_hz(frames[is_speech]),
    )


def judge(figures: Figures, *, needed_s: float = MIN_SPEECH_S) -> tuple[Finding, ...]:
    """What the figures say: the first reason to refuse alone, or all warnings.

    Args:
        figures: Of a recording.
        needed_s: Seconds of speech it must hold; less for one of several.
    """
    found = tuple(
        Finding(code, message.format(f=figures, needed_s=needed_s), refuses)
        for code, refuses, applies, message in _CHECKS
        if applies(figures, needed_s)
    )
    refusals = tuple(finding for finding in found if finding.refuses)
    return refusals[:1] or found


_CHECKS: tuple[tuple[str, bool, Callable[[Figures, float], bool], str], ...] = (
    ("silent", True, lambda f, _: f.loudest_dbfs < SILENT_DBFS,
     f"silent: its loudest moment is at {{f.loudest_dbfs:.0f}} dBFS; speech lies above {SILENT_DBFS:.0f} dBFS"),
    ("no_speech", True, lambda f, _: f.speech_s < NO_SPEECH_S,
     "no speech: {f.duration_s:.1f} s of sound, {f.speech_s:.1f} s of it speech; is it music or noise?"),
    ("too_short", True, lambda f, needed_s: f.speech_s < needed_s,
     "too short: {f.speech_s:.1f} s of speech in {f.duration_s:.1f} s; a voice needs {needed_s:g} s"),
    ("clipped", True, lambda f, _: f.clipped > CLIPPED_REFUSE,
     f"clipped: {{f.clipped:.1%}} of the samples are at the peak, at most {CLIPPED_REFUSE:.0%} may be"),
    ("noisy", True, lambda f, _: f.snr_db < SNR_REFUSE_DB,
     f"noisy: speech is {{f.snr_db:.0f}} dB above the noise; at least {SNR_REFUSE_DB:.0f} dB"),
    ("narrow", True, lambda f, _: f.bandwidth_hz < BANDWIDTH_REFUSE_HZ,
     f"muffled: nothing above {{f.bandwidth_hz:.0f}} Hz; at least {BANDWIDTH_REFUSE_HZ:.0f} Hz"),
    ("clipped", False, lambda f, _: f.clipped > CLIPPED_WARN,
     f"somewhat clipped: {{f.clipped:.1%}} of the samples are at the peak; better below {CLIPPED_WARN:.1%}"),
    ("noisy", False, lambda f, _: f.snr_db < SNR_WARN_DB,
     f"somewhat noisy: speech is {{f.snr_db:.0f}} dB above the noise; better {SNR_WARN_DB:.0f} dB and more"),
    ("narrow", False, lambda f, _: f.bandwidth_hz < BANDWIDTH_WARN_HZ,
     "sounds like a telephone: nothing above {f.bandwidth_hz:.0f} Hz"),
    ("quiet", False, lambda f, _: f.speech_dbfs < QUIET_DBFS,
     "very quiet: speech is at {f.speech_dbfs:.0f} dBFS"),
    ("sparse", False, lambda f, _: f.speech_s < SPARSE_SHARE * f.duration_s,
     "mostly not speech: {f.speech_s:.1f} s of {f.duration_s:.1f} s"),
)  # fmt: skip


def find_speech(samples: Samples, power: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames are speech; where the voice activity detector is not installed, which are loud."""
    try:
        vad = StreamingVad()
    except ConfigurationError:
        return power > 10 ** (_LOUD_ENOUGH_DBFS / 10)
    probabilities = np.concatenate([vad.probabilities(samples), vad.finish()])
    return probabilities[: power.size] >= _SPEECH_PROBABILITY


def _bandwidth_hz(frames: NDArray[np.float64]) -> float:
    if not frames.size:
        return 0.0
    spectrum = np.mean(np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) ** 2, axis=0)
    strong = np.flatnonzero(spectrum >= spectrum.max() * 10 ** (-_BANDWIDTH_DROP_DB / 10))
    return float(strong[-1]) * SAMPLE_RATE / FRAME


def _decibels(power: float) -> float:
    return float(10 * np.log10(max(power, 1e-12)))
