"""Encoders that nobody finishes cost no memory."""

import gc

import psutil
import pytest

from utils.audio.encoding import CODEC_FORMATS, tone
from voice_stack.utils.audio.encode import open_encoder

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "dropped"])
@pytest.mark.parametrize("format_name", CODEC_FORMATS)
def test_abandoned_encoders_free_their_memory(format_name: str, closed: bool) -> None:
    samples = tone(0.3, 22_050)

    def resident_bytes_after(count: int) -> int:
        for _ in range(count // 20):
            encoders = [open_encoder(format_name, 22_050) for _ in range(20)]
            for encoder in encoders:
                encoder.push(samples)
                if closed:
                    encoder.close()
            del encoders, encoder
            gc.collect()
        held = psutil.Process().memory_info()
        return int(held.rss - held.shared)  # pages of libraries come and go as the system likes

    settled = resident_bytes_after(60)  # the allocator keeps what 20 at once need
    assert (resident_bytes_after(200) - settled) / 200 < 50_000  # a living encoder has 200 kB (Opus) to 7 MB (FLAC)
