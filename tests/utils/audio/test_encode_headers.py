"""What the headers say is true."""

import hashlib
import struct

import pytest

from utils.audio.encoding import INPUT_RATES, encode, tone
from voice_stack.utils.audio.encode import encode_whole, open_encoder
from voice_stack.utils.audio.pcm import to_int16


@pytest.mark.parametrize("sample_rate", INPUT_RATES)
@pytest.mark.parametrize("how", ["whole", "streamed"])
def test_wav_header_states_the_true_sizes(how: str, sample_rate: int) -> None:
    samples = tone(0.25, sample_rate)
    if how == "whole":
        data = encode_whole([samples], "wav", sample_rate)
    else:
        encoder = open_encoder("wav", sample_rate)
        data = encoder.push(samples) + encoder.finish()
    data_bytes = 2 * round(len(samples) * 24_000 / sample_rate)
    assert len(data) == 44 + data_bytes
    riff_size, data_size = (2**32 - 1, 2**32 - 1) if how == "streamed" else (len(data) - 8, data_bytes)
    expected = (b"RIFF", riff_size, b"WAVE", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16, b"data", data_size)
    assert struct.unpack_from("<4sI4s4sIHHIIHH4sI", data) == expected


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("length", [1, 5512, 81_585])
def test_flac_streaminfo(length: int, streamed: bool) -> None:
    samples = tone(length / 24_000, 24_000, length)
    data = encode(samples, "flac", 24_000, streamed=streamed)
    assert data[:4] == b"fLaC"
    assert data[4] & 0x7F == 0  # STREAMINFO is the first block
    assert int.from_bytes(data[5:8]) == 34
    packed = int.from_bytes(data[18:26])
    sample_rate, channels, bits, total = packed >> 44, (packed >> 41) & 7, (packed >> 36) & 31, packed & (2**36 - 1)
    assert (sample_rate, channels + 1, bits + 1) == (24_000, 1, 16)
    assert total == (0 if streamed else length)
    if not streamed:
        assert data[26:42] == hashlib.md5(to_int16(samples).tobytes()).digest()
