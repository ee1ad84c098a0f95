"""Bytes of live sound become samples: any cutting, any rate, both laws of G.711, nothing lost at the end."""

import itertools

import av
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.asr.listening.live_sound import LiveSoundReader
from voice_stack.asr.live.turns import Encoding, SoundFormat

RATES = [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]
SPEECH = speak("Stop that clock.")
G711: dict[Encoding, str] = {"pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}


def pcm(samples: NDArray[np.float32]) -> bytes:
    return np.rint(samples * 32767).astype("<i2").tobytes()


def at_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    return np.clip(soxr.resample(samples, 16_000, rate), -1, 1).astype(np.float32)


def read(sound: SoundFormat, *pieces: bytes) -> NDArray[np.float32]:
    reader = LiveSoundReader(sound)
    return np.concatenate([*(reader.push(piece) for piece in pieces), reader.flush()])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 9000), max_size=30))
def test_cutting_changes_no_sample(rate: int, cuts: list[int]) -> None:
    data, sound = pcm(at_rate(SPEECH[:8000], rate)), SoundFormat("pcm", rate)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    np.testing.assert_array_equal(read(sound, *pieces), read(sound, data))


@pytest.mark.parametrize("rate", RATES)
def test_a_click_stays_at_its_time_and_the_last_sample_is_there(rate: int) -> None:
    for place in (0.0, 0.5, 0.999):
        samples = np.zeros(rate, np.float32)
        at = round(place * rate)
        samples[at : at + max(1, rate // 4000)] = 0.9
        heard = read(SoundFormat("pcm", rate), pcm(samples))
        assert heard.size == 16_000
        assert abs(int(np.abs(heard).argmax()) - at * 16_000 / rate) <= 5


@pytest.mark.parametrize("rate", RATES)
def test_little_is_held_back_and_flushing_keeps_the_clock(rate: int) -> None:
    reader, data = LiveSoundReader(SoundFormat("pcm", rate)), pcm(at_rate(SPEECH, rate))
    fed = given = 0
    for turn in range(7):
        part = data[turn * 6002 : (turn + 1) * 6002]
        fed += len(part) // 2
        given += reader.push(part).size
        assert 0 <= fed * 16_000 / rate - given <= 64  # 4 ms
        given += reader.flush().size
        assert given == round(fed * 16_000 / rate)
    assert reader.flush().size == 0


@pytest.mark.parametrize("encoding", G711)
def test_g711_is_what_ffmpeg_hears(encoding: Encoding) -> None:
    codes = bytes(range(256))
    codec = av.CodecContext.create(G711[encoding], "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout = 8000, "mono"
    (frame,) = codec.decode(av.Packet(codes))
    own = LiveSoundReader(SoundFormat(encoding))._decode(codes)
    np.testing.assert_array_equal(own * 32768, frame.to_ndarray()[0])


@pytest.mark.parametrize("encoding", G711)
def test_g711_sounds_like_the_same_speech_in_pcm(encoding: Encoding) -> None:
    samples = at_rate(SPEECH, 8000)
    values = LiveSoundReader(SoundFormat(encoding))._decode(bytes(range(256)))
    codes = np.abs(values[None] - samples[:, None]).argmin(axis=1).astype(np.uint8).tobytes()
    difference = read(SoundFormat(encoding), codes) - read(SoundFormat("pcm", 8000), pcm(samples))
    # The laws have a signal-to-noise ratio of about 38 dB.
    assert np.square(difference).mean() < np.square(samples).mean() / 10**3
