"""Every format, streamed and whole: the sound that went in comes out, all of it, and little else."""

import numpy as np
import pytest

from utils.audio.encoding import (
    AAC_DELAY,
    AAC_FRAME,
    FORMATS,
    INPUT_RATES,
    MP3_DELAY,
    MP3_FRAME,
    decode,
    delay_of,
    encode,
    stream,
    tone,
)
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.audio.encode import AUDIO_FORMATS, OUTPUT_SAMPLE_RATE, open_encoder, require_format

DURATIONS_S = [0.01, 0.25, 3.7]
# Each format both ways, with each duration; the rates take turns, so that every pair of two values is there.
CASES = [
    (name, INPUT_RATES[(number + turn + 2 * streamed) % len(INPUT_RATES)], duration_s, streamed)
    for number, name in enumerate(FORMATS)
    for turn, duration_s in enumerate(DURATIONS_S)
    for streamed in (True, False)
]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/opus"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
def test_formats_are_those_of_the_api(name: str, media_type: str) -> None:
    assert require_format(name).media_type == media_type
    assert len(AUDIO_FORMATS) == 6


def test_unknown_format_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(UnsupportedValueError, match=r"'MP4'.*mp3, opus, aac, flac, wav, pcm") as caught:
        open_encoder("MP4", 24_000)
    assert caught.value.param == "response_format"


def check_length(decoded_length: int, expected: int, format_name: str, *, streamed: bool) -> None:
    """Exact, or within the codec's padding; never shorter than the sound behind its delay."""
    extra = decoded_length - expected
    if format_name == "aac":  # the last frame is filled up
        assert AAC_DELAY <= extra < AAC_DELAY + AAC_FRAME
    elif format_name == "mp3" and streamed:  # the last frame, and one for the overlap of the last with its next
        assert MP3_DELAY <= extra <= MP3_DELAY + 2 * MP3_FRAME
    elif format_name == "mp3":  # exact by its Info tag, but for less than a frame
        assert extra == 0 or (expected < MP3_FRAME and 0 <= extra < MP3_FRAME)
    else:
        assert extra == 0


@pytest.mark.parametrize(
    ("format_name", "sample_rate", "streamed"), [(name, rate, streamed) for name, rate, _, streamed in CASES[::3]]
)
def test_length_of_one_sample(format_name: str, sample_rate: int, streamed: bool) -> None:
    data = encode(np.full(1, 0.5, np.float32), format_name, sample_rate, streamed=streamed)
    decoded, rate = decode(data, format_name)
    expected = round(OUTPUT_SAMPLE_RATE / sample_rate) * rate // OUTPUT_SAMPLE_RATE
    check_length(len(decoded), expected, format_name, streamed=streamed)


@pytest.mark.parametrize(("format_name", "sample_rate", "duration_s", "streamed"), CASES)
def test_sound_comes_back_whole(format_name: str, sample_rate: int, duration_s: float, streamed: bool) -> None:
    samples = tone(duration_s, sample_rate)
    decoded, rate = decode(encode(samples, format_name, sample_rate, streamed=streamed), format_name)
    expected = round(len(samples) * OUTPUT_SAMPLE_RATE / sample_rate) * rate // OUTPUT_SAMPLE_RATE
    assert rate == (48_000 if format_name == "opus" else OUTPUT_SAMPLE_RATE)
    check_length(len(decoded), expected, format_name, streamed=streamed)

    heard = decoded[delay_of(format_name, streamed=streamed) :][:expected]
    meant = tone(duration_s, rate, expected)
    assert np.dot(heard, meant) / np.linalg.norm(heard) / np.linalg.norm(meant) > 0.995
    last_10_ms = slice(-rate // 100, None)  # LAME plays everything at 0.95 of its level
    assert np.linalg.norm(heard[last_10_ms]) / np.linalg.norm(meant[last_10_ms]) == pytest.approx(1, abs=0.06)
    first_5_ms = slice(rate // 200)
    assert np.max(np.abs(heard - meant)[first_5_ms]) < 0.03
    before = decoded[: delay_of(format_name, streamed=streamed) // 2]  # a codec's window reaches back half a frame
    assert not len(before) or np.max(np.abs(before)) < 0.02


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_no_samples_make_a_valid_file(format_name: str, streamed: bool) -> None:
    nothing = np.zeros(0, np.float32)
    data = encode(nothing, format_name, 22_050, streamed=streamed)
    assert data[:4] == {"wav": b"RIFF", "flac": b"fLaC", "opus": b"OggS"}.get(format_name, data[:4])
    decoded, rate = decode(data, format_name)
    assert len(decoded) / rate < 0.1
    assert not decoded.any()


@pytest.mark.parametrize("format_name", FORMATS)
def test_too_loud_is_clipped_and_never_wraps(format_name: str) -> None:
    loud = (1.5 * np.sin(2 * np.pi * 200 * np.arange(12_000) / 24_000)).astype(np.float32)
    decoded, rate = decode(stream(loud, format_name, 24_000), format_name)
    heard = decoded[delay_of(format_name, streamed=True) :: rate // 24_000][:12_000]
    assert np.all(np.sign(heard) == np.sign(loud), where=np.abs(loud) > 0.9)
    assert np.all(np.abs(heard) > 0.6, where=np.abs(loud) > 1.1)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("sample_rate", [22_050, 24_000])
def test_a_sample_that_is_no_number_harms_only_its_place(format_name: str, sample_rate: int) -> None:
    samples = tone(1, sample_rate)
    samples[sample_rate // 2] = np.nan
    decoded, rate = decode(stream(samples, format_name, sample_rate), format_name)
    assert np.all(np.isfinite(decoded))
    heard = decoded[delay_of(format_name, streamed=True) :][:rate]
    assert np.abs(heard - tone(1, rate))[round(0.502 * rate) : round(0.9 * rate)].max() < 0.1
