"""Sounds in which nobody speaks, made by arithmetic: what a transcription must hear nothing in.

Every sound is mono float32 of shape (samples,) at 16 kHz, within -1 to 1 and the same in every run.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000

_Samples = NDArray[np.float32]

_BEAT_S = 0.5
_CHORDS = ((57, 60, 64), (53, 57, 60), (60, 64, 67), (55, 59, 62))
"""MIDI notes of A minor, F, C and G major: one chord for each bar of four beats."""
_CLAPS_PER_S = 120.0


def make_silence(duration_s: float) -> _Samples:
    """Exact zeros."""
    return np.zeros(_count(duration_s), np.float32)


def make_dither(duration_s: float) -> _Samples:
    """Silence as a 16-bit recorder writes it: triangular noise of one step."""
    steps = np.random.default_rng(1).integers(0, 2, (2, _count(duration_s)))
    return np.asarray((steps[0] - steps[1]) / 32768, np.float32)


def make_white_noise(duration_s: float) -> _Samples:
    """Noise with equal power at all frequencies, at -26 dBFS."""
    return _at_level(np.random.default_rng(2).standard_normal(_count(duration_s)))


def make_pink_noise(duration_s: float) -> _Samples:
    """Noise whose power falls by 3 dB an octave, above 20 Hz, at -26 dBFS."""
    count = _count(duration_s)
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    return _at_level(np.fft.irfft(np.where(hertz > 20, spectrum / np.sqrt(np.maximum(hertz, 20)), 0), count))


def make_hum(duration_s: float) -> _Samples:
    """Mains hum: 50 Hz and its harmonics, at -26 dBFS."""
    return _at_level(sum((_tone(50.0 * n, duration_s) / n for n in range(1, 9)), np.zeros(_count(duration_s))))


def make_band(duration_s: float) -> _Samples:
    """Four chords over and over, with a bass drum on the beat and a cymbal off it, at -20 dBFS."""
    beats = range(int(duration_s / _BEAT_S) + 1)
    chords = [sum(_pluck(note, _BEAT_S) for note in _CHORDS[beat // 4 % len(_CHORDS)]) for beat in beats]
    return _at_level((np.concatenate(chords) + _make_drums(len(beats)))[: _count(duration_s)], -20)


def make_arpeggio(duration_s: float) -> _Samples:
    """The same chords, note by note, in a tone that swells and wavers as a violin or a voice does, at -20 dBFS."""
    notes = [note + octave for chord in _CHORDS for octave in (0, 12) for note in chord]
    count = int(duration_s / _BEAT_S) + 1
    return _at_level(np.concatenate([_bow(notes[n % len(notes)]) for n in range(count)])[: _count(duration_s)], -20)


def make_applause(duration_s: float) -> _Samples:
    """Hundreds of hands: short bursts of coloured noise at random times, at -20 dBFS."""
    rng, count, burst = np.random.default_rng(4), _count(duration_s), int(0.02 * SAMPLE_RATE)
    fade = np.exp(-np.arange(burst) / (0.004 * SAMPLE_RATE))
    claps = np.stack([rng.standard_normal(burst) * fade for _ in range(64)])
    sound = np.zeros(count + burst)
    for start in rng.integers(0, count, int(duration_s * _CLAPS_PER_S)):
        sound[start : start + burst] += rng.uniform(0.1, 1) * claps[rng.integers(len(claps))]
    return _at_level(sound[:count], -20)


SOUNDS: dict[str, Callable[[float], _Samples]] = {
    "silence": make_silence,
    "dither": make_dither,
    "white noise": make_white_noise,
    "pink noise": make_pink_noise,
    "hum": make_hum,
    "band": make_band,
    "arpeggio": make_arpeggio,
    "applause": make_applause,
}
"""By name: seconds -> samples."""


def mix(speech: _Samples, background: _Samples, snr_db: float) -> _Samples:
    """Speech with a background as long, whose mean power is `snr_db` below that of the speech; the peak is 0.9."""
    factor = np.sqrt(np.mean(speech**2) / np.mean(background**2)) * 10 ** (-snr_db / 20)
    mixed = speech + factor * background
    return np.asarray(0.9 * mixed / np.abs(mixed).max(), np.float32)


def _count(duration_s: float) -> int:
    return round(duration_s * SAMPLE_RATE)


def _at_level(samples: NDArray[np.float64], level_db: float = -26.0) -> _Samples:
    scaled = samples * 10 ** (level_db / 20) / np.sqrt(np.mean(samples**2))
    return np.asarray(np.clip(scaled, -1, 1), np.float32)


def _seconds(duration_s: float) -> NDArray[np.float64]:
    return np.arange(_count(duration_s)) / SAMPLE_RATE


def _tone(hertz: float, duration_s: float) -> NDArray[np.float64]:
    tone: NDArray[np.float64] = np.sin(2 * np.pi * hertz * _seconds(duration_s))
    return tone


def _hertz(note: int) -> float:
    """Frequency of a MIDI note in equal temperament, A4 (69) at 440 Hz."""
    return float(440 * 2 ** ((note - 69) / 12))


def _pluck(note: int, duration_s: float) -> NDArray[np.float64]:
    overtones = sum((_tone(_hertz(note) * n, duration_s) / n for n in range(1, 5)), np.zeros(_count(duration_s)))
    return overtones * np.exp(-3 * _seconds(duration_s))


def _bow(note: int) -> NDArray[np.float64]:
    t = _seconds(_BEAT_S)
    phase = 2 * np.pi * _hertz(note) * t + 0.8 * np.sin(2 * np.pi * 5.5 * t)
    tone: NDArray[np.float64] = sum((np.sin(n * phase) / n for n in range(1, 7)), np.zeros(t.size))
    return tone * np.sqrt(np.sin(np.pi * t / _BEAT_S))


def _make_drums(beats: int) -> NDArray[np.float64]:
    t = _seconds(_BEAT_S)
    bass = 3 * np.sin(2 * np.pi * 60 * t) * np.exp(-12 * t)
    cymbal = np.random.default_rng(5).standard_normal(t.size) * np.exp(-30 * t)
    return np.tile(bass + np.roll(cymbal, t.size // 2), beats)
