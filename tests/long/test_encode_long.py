"""Ten minutes in every format: not a sample is lost on the way, and the end is at the end."""

import numpy as np
import pytest

from utils.audio.encoding import AAC_DELAY, AAC_FRAME, decode, encode, tone
from voice_stack.utils.audio.encode import OUTPUT_SAMPLE_RATE

DURATION_S = 600
RATE = 22_050


# The lossy formats are slow, and of each the harder way is taken: MP3 tells its length in a frame at the beginning.
@pytest.mark.parametrize(
    ("format_name", "streamed"),
    [("mp3", False), ("opus", True), ("aac", True), ("flac", True), ("flac", False), ("wav", True), ("pcm", False)],
)
def test_ten_minutes(format_name: str, streamed: bool) -> None:
    samples = np.zeros(DURATION_S * RATE, np.float32)
    samples[-RATE:] = tone(1, RATE)
    decoded, rate = decode(encode(samples, format_name, RATE, streamed=streamed), format_name)
    extra = len(decoded) - DURATION_S * rate
    delay = AAC_DELAY if format_name == "aac" else 0
    assert delay <= extra < delay + AAC_FRAME if delay else extra == 0
    assert rate == (48_000 if format_name == "opus" else OUTPUT_SAMPLE_RATE)
    heard = decoded[delay : delay + DURATION_S * rate][-rate:]
    meant = tone(1, rate)
    assert np.dot(heard, meant) / np.linalg.norm(heard) / np.linalg.norm(meant) > 0.99
