"""Windows: the rules on invented probability tracks, then the whole chain on real and on long audio."""

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.asr.listening.windows import Window, WindowCutter, WindowPiece, cut_windows
from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE, SpeechSegmenter, VadOptions

# Runs of (frames, probability): speech and silence of 0.03 to 13 s each.
TRACKS = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from([0.0, 0.1, 0.3, 0.36, 0.9, 1.0])), min_size=1, max_size=25
).map(lambda runs: np.concatenate([np.full(frames, p, np.float32) for frames, p in runs]))
OPTIONS = st.builds(
    VadOptions,
    min_speech_duration_ms=st.sampled_from([0, 64, 500]),
    min_silence_duration_ms=st.sampled_from([0, 100, 600, 2000]),
    speech_pad_ms=st.sampled_from([0, 30, 300, 1000]),
)


FIRST = 1 << 23


def numbered(samples: int) -> NDArray[np.float32]:
    """Samples whose value is their position and FIRST: exact in float32 below 16.7 million, and all about as loud."""
    return np.arange(FIRST, FIRST + samples, dtype=np.float32)


def cut(
    samples: NDArray[np.float32], track: NDArray[np.float32], options: VadOptions, max_window_s: float, step: int
) -> list[Window]:
    """Feed the cutter `step` frames at a time; what exceeds whole frames comes with the last ones."""
    cutter = WindowCutter(options, max_window_s=max_window_s)
    windows: list[Window] = []
    for first in range(0, track.size, step):
        last = first + step >= track.size
        part = samples[first * FRAME :] if last else samples[first * FRAME : (first + step) * FRAME]
        windows += cutter.push(part, track[first : first + step])
    return windows + cutter.finish()


def spans(windows: list[Window]) -> list[tuple[int, int]]:
    return [(piece.file_start, piece.file_start + piece.length) for window in windows for piece in window.pieces]


@settings(max_examples=150, deadline=None)
@given(TRACKS, OPTIONS, st.sampled_from([2.0, 5.0, 12.5, 28.0]), st.integers(1, 400), st.integers(0, FRAME - 1))
def test_windows_hold_all_speech_once_in_order_and_within_the_limit(
    track: NDArray[np.float32], options: VadOptions, max_window_s: float, step: int, missing: int
) -> None:
    total = track.size * FRAME - missing
    windows = cut(numbered(total), track, options, max_window_s, step)

    assert all(0 < window.duration_s <= max_window_s for window in windows)
    assert [window.index for window in windows] == list(range(len(windows)))
    found = spans(windows)
    assert all(0 <= start < end <= total for start, end in found)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(found))
    for window in windows:
        np.testing.assert_array_equal(
            window.samples - FIRST,
            np.concatenate([np.arange(p.file_start, p.file_start + p.length) for p in window.pieces]),
        )
        starts = [0, *itertools.accumulate(piece.length for piece in window.pieces)]
        assert [piece.window_start for piece in window.pieces] == starts[:-1]
        assert all(p.file_start <= p.speech_start < p.speech_end <= p.file_start + p.length for p in window.pieces)

    # The pieces are in order and apart, so covering each region means covering it once.
    covered = np.zeros(total, bool)
    for start, end in found:
        covered[start:end] = True
    segmenter = SpeechSegmenter(options)
    regions = segmenter.push(track) + segmenter.finish(total)
    assert all(covered[region.start : region.end].all() for region in regions)
    near = np.zeros(total, bool)
    for region in regions:
        near[max(region.start - options.speech_pad, 0) : region.end + options.speech_pad] = True
    assert not (covered & ~near).any()


@settings(max_examples=60, deadline=None)
@given(TRACKS, OPTIONS, st.sampled_from([2.0, 12.5, 28.0]), st.integers(1, 100), st.integers(0, FRAME - 1))
def test_windows_do_not_depend_on_how_the_stream_is_split(
    track: NDArray[np.float32], options: VadOptions, max_window_s: float, step: int, missing: int
) -> None:
    samples = numbered(track.size * FRAME - missing)
    pieces = [window.pieces for window in cut(samples, track, options, max_window_s, step)]
    assert pieces == [window.pieces for window in cut(samples, track, options, max_window_s, track.size)]


@settings(max_examples=60, deadline=None)
@given(TRACKS, st.lists(st.floats(-2, 40), min_size=2, max_size=30), st.booleans())
def test_time_map_is_monotone_and_clamped(track: NDArray[np.float32], times: list[float], is_end: bool) -> None:
    for window in cut(numbered(track.size * FRAME), track, VadOptions(), 28.0, 100):
        mapped = [window.to_file_s(t, is_end=is_end) for t in sorted(times)]
        assert mapped == sorted(mapped)
        assert all(window.start_s <= t <= window.end_s for t in mapped)


def test_time_map_jumps_over_silence_left_out() -> None:
    pieces = (WindowPiece(16_000, 0, 32_000, 17_600, 46_400), WindowPiece(160_000, 32_000, 16_000, 161_600, 174_400))
    window = Window(np.zeros(48_000, np.float32), pieces, 0)
    assert window.to_file_s(0.5) == 1.5
    assert window.to_file_s(2.5) == 10.5
    assert window.to_file_s(2.0) == 10.0
    assert window.to_file_s(2.0, is_end=True) == 3.0
    assert (window.to_file_s(-1.0), window.to_file_s(99.0)) == (1.0, 11.0)
    assert (window.start_s, window.end_s, window.duration_s) == (1.0, 11.0, 3.0)
    assert window.speech_s == pytest.approx(1.8 + 0.8)


def track_of(*runs: tuple[float, float]) -> NDArray[np.float32]:
    """Runs of (seconds, probability)."""
    return np.concatenate([np.full(round(s * SAMPLE_RATE / FRAME), p, np.float32) for s, p in runs])


def test_short_silence_shares_a_window_and_is_shortened_long_silence_does_not() -> None:
    track = track_of((1, 0), (4, 1), (3, 0), (4, 1), (8, 0), (4, 1), (1, 0))
    windows = cut(numbered(track.size * FRAME), track, VadOptions(), 28.0, 50)
    assert [len(window.pieces) for window in windows] == [2, 1]
    first, second = windows
    # Two times 4 s of speech, each with 0.3 s around it.
    assert first.duration_s == pytest.approx(2 * 4.6, abs=0.1)
    assert first.speech_s == pytest.approx(8, abs=0.1)
    assert first.to_file_s(4.6 + 0.3) == pytest.approx(8, abs=0.1)
    assert second.start_s == pytest.approx(20 - 0.3, abs=0.1)


def test_windows_are_cut_in_silence_where_there_is_one() -> None:
    track = track_of(*[(6, 1), (1, 0)] * 10)
    options = VadOptions()
    windows = cut(numbered(track.size * FRAME), track, options, 28.0, 100)
    assert sum(len(window.pieces) for window in windows) == 10
    assert all(piece.length / SAMPLE_RATE == pytest.approx(6.6, abs=0.4) for w in windows for piece in w.pieces)


def test_speech_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    track = track_of((22, 1), (0.3, 0.5), (20, 1))
    windows = cut(numbered(track.size * FRAME) * 0, track, VadOptions(), 28.0, 100)
    assert len(windows) == 2
    assert windows[0].end_s == windows[1].start_s == pytest.approx(22.15, abs=0.1)


def test_without_vad_nothing_is_lost_and_the_cut_is_in_the_quietest_place() -> None:
    rng = np.random.default_rng(1)
    audio = (0.1 * rng.standard_normal(60 * SAMPLE_RATE + 123)).astype(np.float32)
    audio[24 * SAMPLE_RATE : round(24.5 * SAMPLE_RATE)] *= 0.01
    audio[46 * SAMPLE_RATE : round(46.5 * SAMPLE_RATE)] *= 0.01
    windows = [window for window in cut_windows([audio], vad=None) if window is not None]
    np.testing.assert_array_equal(np.concatenate([window.samples for window in windows]), audio)
    assert len(windows) == 3
    assert 24 < windows[0].end_s < 24.5
    assert 46 < windows[1].end_s < 46.5


def test_first_window_comes_at_an_early_pause_and_a_gap_ends_a_window_at_once() -> None:
    cutter = WindowCutter(VadOptions())
    second = round(SAMPLE_RATE / FRAME)
    emitted: list[tuple[int, int]] = []
    # 10 s of speech, a pause, 3 s of speech, then nothing more.
    loud = {*range(10), *range(12, 15)}
    for now in range(40):
        track = np.full(second, 1.0 if now in loud else 0.0, np.float32)
        emitted += [(now, window.index) for window in cutter.push(numbered(second * FRAME), track)]
    assert emitted == [(10, 0), (20, 1)]


def test_too_short_a_limit_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"max_window_s is 0\.5"):
        WindowCutter(VadOptions(), max_window_s=0.5)


def hour_of(kind: str) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    for _ in range(360):
        noise = (0.05 * rng.standard_normal(10 * SAMPLE_RATE)).astype(np.float32)
        yield noise if kind == "noise" else noise * 0


@pytest.mark.parametrize("kind", ["noise", "silence"])
def test_an_hour_takes_no_more_memory_than_a_few_windows(kind: str) -> None:
    window_bytes = 28 * SAMPLE_RATE * 4
    tracemalloc.start()
    kept = sum(window.samples.size for window in cut_windows(hour_of(kind), vad=None) if window is not None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept == 3600 * SAMPLE_RATE
    # Two windows held, beside them copies that live for one statement and the blocks of the source itself.
    assert peak < 6 * window_bytes


def test_audio_without_speech_gives_no_windows_but_turns() -> None:
    results = list(cut_windows(itertools.islice(hour_of("noise"), 6), vad=VadOptions()))
    assert results == [None] * 6


def test_real_speech_is_found_between_silences(speech: NDArray[np.float32]) -> None:
    silence = np.zeros(8 * SAMPLE_RATE, np.float32)
    audio = np.concatenate([silence, speech, silence, speech, silence])
    blocks = np.split(audio, range(30_001, audio.size, 30_001))
    windows = [window for window in cut_windows(blocks, vad=VadOptions()) if window is not None]
    length_s = speech.size / SAMPLE_RATE
    assert len(windows) == 2
    for window, begin_s in zip(windows, (8, 16 + length_s), strict=True):
        assert begin_s - 0.5 <= window.start_s < begin_s + 0.5
        assert begin_s + length_s - 0.8 < window.end_s <= begin_s + length_s + 0.5


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """A spoken sentence at 16 kHz, trimmed of silence at its ends."""
    audio = speak("The quick brown fox jumps over the lazy dog near the river bank.")
    loud = np.flatnonzero(np.abs(audio) > 0.02)
    return audio[loud[0] : loud[-1] + 1]
