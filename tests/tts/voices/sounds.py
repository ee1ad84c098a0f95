"""Recordings to clone: a voice that the repository gives away, whole, spoilt in known amounts, and what is none."""

import io
import wave
from pathlib import Path

import numpy as np
import soxr

from voice_stack.tts.voices.reference import REFERENCE_RATE, load_reference
from voice_stack.utils.audio.pcm import Samples, to_int16

VOICES_DIR = Path(__file__).parents[3] / "voices"
BIRCH, CLOVER = VOICES_DIR / "birch.flac", VOICES_DIR / "clover.flac"
RATE = REFERENCE_RATE


def speech() -> Samples:
    """9 s of clean speech at 24 kHz."""
    return load_reference(BIRCH).samples


def wav(samples: Samples, rate: int = RATE) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(samples).astype("<i2").tobytes())
    return memory.getvalue()


def noise(duration_s: float, level: float) -> Samples:
    return (level * np.random.default_rng(7).normal(size=round(duration_s * RATE))).astype(np.float32)


def add_noise(samples: Samples, snr_db: float) -> Samples:
    """White noise under the mean level of the whole recording."""
    level = float(np.sqrt(np.mean(samples**2))) / 10 ** (snr_db / 20)
    return samples + noise(samples.size / RATE, level)[: samples.size]


def clip(samples: Samples, gain: float) -> Samples:
    return np.clip(samples * gain / np.abs(samples).max(), -1.0, 1.0).astype(np.float32)


def narrow(samples: Samples, rate: int) -> Samples:
    """As if it had been recorded at `rate`."""
    return soxr.resample(soxr.resample(samples, RATE, rate), rate, RATE).astype(np.float32)


def music(duration_s: float) -> Samples:
    """Chords, three in two seconds."""
    time = np.arange(round(duration_s * RATE)) / RATE
    beat = 1 - (time * 1.5) % 1
    return (0.1 * beat * sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 330, 440))).astype(np.float32)


def pitch_hz(pcm: bytes) -> float:
    """The strongest frequency of 16-bit samples at 24 kHz."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size), n=1 << 18))
    return float(spectrum.argmax() * RATE / (1 << 18))
