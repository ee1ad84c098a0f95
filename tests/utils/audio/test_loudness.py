"""Loudness as FFmpeg's meter finds it, and a limiter that nobody hears."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soxr

from piper_speech import speak
from voice_stack.tts.sound.dynamics import integrate, limit, measure_powers
from voice_stack.utils.audio.pcm import Samples

RATES = [16_000, 22_050, 24_000, 44_100, 48_000]


def tone(duration_s: float, rate: int, hertz: float = 997, level: float = 1.0) -> Samples:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(duration_s * rate)) / rate)).astype(np.float32)


def lufs(samples: Samples, rate: int) -> float | None:
    return integrate(measure_powers(samples, rate))


def ffmpeg_meter(samples: Samples, rate: int, folder: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBTP, by libavfilter."""
    report = folder / "loudness.txt"
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    meter = graph.add("ebur128", "metadata=1:peak=true")
    graph.link_nodes(source, meter, graph.add("ametadata", f"mode=print:file={report}"), graph.add("abuffersink"))
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    graph.push(frame)
    graph.push(None)
    while True:
        try:
            graph.pull()
        except (av.BlockingIOError, av.EOFError):
            break
    del graph, source, meter
    text = report.read_text()
    loudness = [float(value) for value in re.findall(r"r128\.I=(\S+)", text)]
    peaks = [float(value) for value in re.findall(r"r128\.true_peaks_ch0=(\S+)", text)]
    return loudness[-1], 20 * float(np.log10(max(peaks)))


@pytest.fixture(scope="module")
def speech() -> Samples:
    return speak("The old lighthouse stands on a rocky island. Every evening a boat brings bread, and the lamp is lit.")


@pytest.mark.parametrize("rate", RATES)
def test_full_scale_sine_of_the_standard(rate: int) -> None:
    assert lufs(tone(5, rate), rate) == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [60, 200, 1_000, 3_000, 6_000])
def test_tones_are_weighed_as_ffmpeg_weighs_them(hertz: float, rate: int, tmp_path: Path) -> None:
    sound = tone(5, rate, hertz, 0.2)
    assert lufs(sound, rate) == pytest.approx(ffmpeg_meter(sound, rate, tmp_path)[0], abs=0.15)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_speech_is_as_loud_as_ffmpeg_finds_it(speech: Samples, gain: float, rate: int, tmp_path: Path) -> None:
    pauses = np.zeros(3 * rate, np.float32)  # gated: they change nothing
    sound = np.concatenate([pauses, gain * soxr.resample(speech, 16_000, rate), pauses]).astype(np.float32)
    assert lufs(sound, rate) == pytest.approx(ffmpeg_meter(sound, rate, tmp_path)[0], abs=0.2)


def test_blocks_of_several_pieces_count_together(speech: Samples) -> None:
    powers = [measure_powers(piece, 16_000) for piece in np.array_split(speech, 3)]
    assert integrate(np.concatenate(powers)) == pytest.approx(lufs(speech, 16_000), abs=0.3)


@pytest.mark.parametrize("count", [0, 1, 100, 16_000])
def test_silence_has_no_loudness(count: int) -> None:
    assert lufs(np.zeros(count, np.float32), 16_000) is None


def test_a_short_word_has_a_loudness() -> None:
    assert lufs(tone(0.15, 16_000, level=0.1), 16_000) == pytest.approx(-23.01, abs=0.3)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("gain", [1.0, 2.0, 8.0])
def test_true_peaks_stay_below_the_ceiling(speech: Samples, gain: float, rate: int, tmp_path: Path) -> None:
    loud = (gain * soxr.resample(speech, 16_000, rate)).astype(np.float32)
    assert ffmpeg_meter(limit(loud, rate, -1.0), rate, tmp_path)[1] < -0.75


def test_limiting_is_smooth_and_local() -> None:
    sound = tone(1, 24_000, 300, 0.5)
    sound[12_000:12_400] *= 3
    limited = limit(sound, 24_000, -1.0)
    np.testing.assert_array_equal(limited[:11_500], sound[:11_500])
    np.testing.assert_array_equal(limited[13_000:], sound[13_000:])
    gain = limited[np.abs(sound) > 0.05] / sound[np.abs(sound) > 0.05]
    assert np.abs(np.diff(gain)).max() < 0.02
    assert len(limited) == len(sound)


def test_what_is_quiet_enough_is_left_alone() -> None:
    sound = tone(1, 24_000, 300, 0.85)
    assert limit(sound, 24_000, -1.0) is sound
