"""Voice activity detection: the network over a stream, and the rules that make regions of probabilities."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.audio.vad import FRAME, SAMPLE_RATE, SpeechRegion, SpeechSegmenter, StreamingVad, VadOptions


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """A spoken sentence at 16 kHz."""
    return speak("The quick brown fox jumps over the lazy dog near the river bank.")


def whisper(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same words without a voice: the vocal tract's filter (linear prediction) driven by noise."""
    rng, order, size = np.random.default_rng(0), 20, 400
    taper, result = np.hanning(size), np.zeros(audio.size + size)
    for start in range(0, audio.size - size, size // 2):
        frame = audio[start : start + size] * taper
        correlation = np.correlate(frame, frame, "full")[size - 1 : size + order]
        correlation[0] = correlation[0] * 1.0001 + 1e-9
        lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
        filter_ = np.linalg.solve(correlation[lags], correlation[1:])
        gain = np.sqrt(max(correlation[0] - filter_ @ correlation[1:], 0) / size)
        noise = np.fft.rfft(gain * rng.standard_normal(size) * taper, 2 * size)
        response = np.fft.rfft(np.concatenate([[1], -filter_]), 2 * size)
        result[start : start + size] += np.fft.irfft(noise / response)[:size]
    return result[: audio.size].astype(np.float32)


def probabilities(audio: NDArray[np.float32], *ends: int) -> NDArray[np.float32]:
    vad = StreamingVad()
    return np.concatenate([*[vad.probabilities(block) for block in np.split(audio, ends)], vad.finish()])


def speech_s(audio: NDArray[np.float32], options: VadOptions) -> float:
    segmenter = SpeechSegmenter(options)
    regions = segmenter.push(probabilities(audio)) + segmenter.finish(audio.size)
    return sum(region.end - region.start for region in regions) / SAMPLE_RATE


def test_stream_in_pieces_gives_the_same_as_the_whole(speech: NDArray[np.float32]) -> None:
    whole = probabilities(speech)
    assert whole.shape == (-(-speech.size // FRAME),)
    assert whole.max() > 0.9
    ends = np.cumsum(np.random.default_rng(0).integers(0, 3000, 40))
    np.testing.assert_allclose(probabilities(speech, *ends.tolist()), whole, atol=0.001)


def test_state_and_context_matter(speech: NDArray[np.float32]) -> None:
    middle = speech.size // 2 // FRAME * FRAME
    apart = np.concatenate([probabilities(speech[:middle]), probabilities(speech[middle:])])
    assert np.abs(apart - probabilities(speech)).max() > 0.01


@pytest.mark.parametrize("silence_s", [30, 60, 301])
def test_words_after_a_long_digital_silence_are_heard_from_their_first(
    speech: NDArray[np.float32], silence_s: int
) -> None:
    said = speech[: speech.size // FRAME * FRAME]
    whole = np.concatenate([said, np.zeros(silence_s * SAMPLE_RATE // FRAME * FRAME, np.float32), said])
    found = probabilities(whole)
    onsets = [np.argmax(frames > 0.5) for frames in (probabilities(said), found[-said.size // FRAME :])]
    assert onsets[1] <= onsets[0] + 2
    assert np.allclose(probabilities(whole, *range(777, whole.size, 7_777)), found, atol=1e-6)


def test_speech_is_told_from_silence_and_noise(speech: NDArray[np.float32]) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE)).astype(np.float32)
    assert speech_s(noise, VadOptions()) == 0
    assert speech_s(noise * 0, VadOptions()) == 0
    assert speech_s(speech, VadOptions()) > 0.7 * speech.size / SAMPLE_RATE


def test_whispering_is_not_lost(speech: NDArray[np.float32]) -> None:
    assert speech_s(0.1 * whisper(speech), VadOptions()) > 0.85 * speech_s(speech, VadOptions())


def test_ten_minutes_take_seconds(speech: NDArray[np.float32]) -> None:
    audio = np.resize(speech, 600 * SAMPLE_RATE)
    began = time.process_time()
    probabilities(audio)
    assert time.process_time() - began < 10


def test_model_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from voice_stack.utils.audio.vad import StreamingVad; StreamingVad(); "
        "print('faster_whisper' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("package", ["faster_whisper", "onnxruntime"])
def test_missing_package_names_the_extra(package: str) -> None:
    # A package whose entry in sys.modules is None cannot be imported: as if it were not installed.
    code = f"import sys; sys.modules[{package!r}] = None; from voice_stack.utils.audio.vad import *; StreamingVad()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigurationError" in done.stderr
    assert "voice-stack[asr]" in done.stderr


OPTIONS = VadOptions(threshold=0.5, min_speech_duration_ms=64, min_silence_duration_ms=128, speech_pad_ms=0)


@pytest.mark.parametrize(
    ("track", "regions"),
    [
        pytest.param([0, 0, 0], [], id="silence"),
        pytest.param([0, 1, 1, 0, 0, 0, 0, 0], [(1, 3)], id="one"),
        pytest.param([0, 1, 0, 0, 0, 0, 0], [], id="a click is dropped"),
        pytest.param([1, 1, 0, 0, 0, 1], [(0, 6)], id="a short pause stays inside"),
        pytest.param([1, 1, 0, 0, 0, 0, 1, 1], [(0, 2), (6, 8)], id="a long pause divides"),
        pytest.param([1, 1, 0.4, 0.4, 0.4, 0.4, 1], [(0, 7)], id="between the thresholds speech goes on"),
        pytest.param([0.4, 0.4, 0.6, 0.6], [(2, 4)], id="between the thresholds speech does not begin"),
        pytest.param([1, 1, 0.3, 0.4, 0.4, 0.4, 0, 0], [(0, 2)], id="between the thresholds silence goes on"),
        pytest.param([0, 1, 1, 0], [(1, 3)], id="the end closes"),
    ],
)
def test_regions(track: list[float], regions: list[tuple[int, int]]) -> None:
    segmenter = SpeechSegmenter(OPTIONS)
    found = segmenter.push(track) + segmenter.finish(len(track) * FRAME)
    assert found == [SpeechRegion(start * FRAME, end * FRAME) for start, end in regions]


def test_region_ends_with_the_stream_not_with_the_frame() -> None:
    segmenter = SpeechSegmenter(OPTIONS)
    assert segmenter.push([1, 1, 1]) == []
    assert segmenter.finish(3 * FRAME - 100) == [SpeechRegion(0, 3 * FRAME - 100)]


def test_padding_leaves_room_on_both_sides() -> None:
    options = VadOptions(min_silence_duration_ms=0, speech_pad_ms=96)
    segmenter = SpeechSegmenter(options)
    # 96 ms are 3 frames, so a pause of 5 is inside a region and one of 6 is between two.
    found = segmenter.push([1, 1, *[0] * 5, 1, 1, *[0] * 6, 1, 1]) + segmenter.finish(17 * FRAME)
    assert found == [SpeechRegion(0, 9 * FRAME), SpeechRegion(15 * FRAME, 17 * FRAME)]


@given(st.lists(st.floats(0, 1), max_size=300))
def test_what_is_said_of_an_open_region_stays_true(track: list[float]) -> None:
    segmenter = SpeechSegmenter(VadOptions())
    seen: list[SpeechRegion] = []
    closed: list[SpeechRegion] = []
    for probability in track:
        settled = segmenter.settled
        new = segmenter.push([probability])
        assert all(region.start >= settled for region in new)
        closed += new
        if segmenter.open_region is not None:
            seen.append(segmenter.open_region)
    closed += segmenter.finish(len(track) * FRAME)
    assert all(any(c.start == s.start and c.end >= s.end for c in closed) for s in seen)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"threshold": 0.0}, "threshold 0.0"),
        ({"threshold": 1.0}, "threshold 1.0"),
        ({"neg_threshold": 0.9}, "neg_threshold 0.9"),
        ({"min_speech_duration_ms": -1}, "min_speech_duration_ms is -1"),
        ({"min_silence_duration_ms": -5}, "min_silence_duration_ms is -5"),
        ({"speech_pad_ms": -2}, "speech_pad_ms is -2"),
    ],
)
def test_wrong_options_are_named(values: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        VadOptions(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("below_db", [20, 30])
def test_a_quiet_voice_after_a_loud_one_is_found(speech: NDArray[np.float32], below_db: float) -> None:
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    loud, quiet = 0.5 * speech, np.float32(0.5 * 10 ** (-below_db / 20)) * speech
    frames = speech.size // FRAME
    found = StreamingVad(levels=True).probabilities(np.concatenate([loud, pause, quiet, pause, pause]))
    alone = StreamingVad(levels=True).probabilities(loud)
    start = (loud.size + pause.size) // FRAME
    assert (found[start : start + frames] >= 0.35).sum() >= 0.9 * (alone >= 0.35).sum()


def test_speech_at_a_usual_level_is_heard_as_it_is(speech: NDArray[np.float32]) -> None:
    loud = speech + np.random.default_rng(1).normal(0, 0.02, speech.size).astype(np.float32)
    levelled, plain = StreamingVad(levels=True), StreamingVad()
    assert np.array_equal(levelled.probabilities(loud), plain.probabilities(loud))


@pytest.mark.parametrize("level_db", [-30, -45, -60, -75])
def test_noise_and_hum_at_any_level_are_no_speech(level_db: float) -> None:
    times_s = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * n * times_s) / n for n in range(1, 6))
    noise = np.random.default_rng(1).standard_normal(times_s.size)
    for sound in (hum, noise):
        scaled = (sound * 10 ** (level_db / 20) / np.std(sound)).astype(np.float32)
        assert StreamingVad(levels=True).probabilities(scaled).max() < 0.35
