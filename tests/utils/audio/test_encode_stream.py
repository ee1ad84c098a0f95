"""Sound leaves the encoder as it comes in, and nothing is left behind at the end."""

import gc
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from utils.audio.encoding import (
    CODEC_FORMATS,
    FORMATS,
    INPUT_RATES,
    blocks,
    decode,
    stream,
    tone,
)
from voice_stack.utils.audio.encode import encode_whole, open_encoder
from voice_stack.utils.audio.pcm import Samples


@pytest.mark.parametrize("sample_rate", INPUT_RATES)
@pytest.mark.parametrize("format_name", FORMATS)
def test_sound_is_ready_while_more_is_still_made(format_name: str, sample_rate: int) -> None:
    samples = tone(1, sample_rate)
    with open_encoder(format_name, sample_rate) as encoder:
        sent = encoder.push(samples[: sample_rate // 5])
        first, rate = decode(sent, format_name)
        assert len(first) / rate > 0.05
        for block in blocks(samples[sample_rate // 5 :], sample_rate // 10):
            piece = encoder.push(block)
            assert piece or format_name == "flac"  # whose blocks last 0.1 s themselves
            sent += piece
    decoded, rate = decode(sent, format_name)
    assert len(decoded) / rate > 0.8


def random_blocks(samples: Samples, generator: np.random.Generator) -> list[Samples]:
    return np.split(samples, np.sort(generator.integers(0, len(samples) + 1, generator.integers(1, 12))))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("sample_rate", [22_050, 24_000])
def test_how_the_samples_are_cut_changes_no_byte(format_name: str, sample_rate: int) -> None:
    generator = np.random.default_rng(7)
    samples = tone(0.25, sample_rate)
    streams, files = set(), set()
    for _ in range(20 if format_name in CODEC_FORMATS else 500):
        cut = random_blocks(samples, generator)
        with open_encoder(format_name, sample_rate) as encoder:
            streams.add(b"".join([*map(encoder.push, cut), encoder.finish()]))
        files.add(encode_whole(iter(cut), format_name, sample_rate))
    assert len(streams) == len(files) == 1


def test_encoders_in_threads_do_not_disturb_each_other() -> None:
    jobs = [(format_name, rate) for format_name, rate in itertools.product(FORMATS, INPUT_RATES)] * 2
    one_after_the_other = [stream(tone(1, rate), format_name, rate) for format_name, rate in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: stream(tone(1, job[1]), *job), jobs))
    assert together == one_after_the_other


def test_the_libraries_say_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for format_name in FORMATS:
        stream(tone(0.3, 22_050), format_name, 22_050)
        encode_whole([], format_name, 22_050)
        open_encoder(format_name, 22_050).push(tone(0.3, 22_050))
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("format_name", FORMATS)
def test_closed_encoder_takes_no_more_and_closes_again(format_name: str) -> None:
    with open_encoder(format_name, 22_050) as encoder:
        encoder.push(tone(0.1, 22_050))
    encoder.close()
    with pytest.raises(ValueError, match="closed"):
        encoder.push(tone(0.1, 22_050))
    with pytest.raises(ValueError, match="closed"):
        encoder.finish()
