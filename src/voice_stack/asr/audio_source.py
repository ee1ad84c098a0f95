"""An upload as samples, whether it is a media file or raw samples; for the engine process."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.request import RawPcm
from voice_stack.utils.audio.decode import decode_blocks, decode_excerpt, probe_duration_s
from voice_stack.utils.audio.raw import decode_pcm_blocks, has_media_header, pcm_duration_s


def decode_source(path: Path, pcm: RawPcm | None, max_duration_s: float | None) -> Iterator[NDArray[np.float32]]:
    """Blocks of mono float32 at 16 kHz; see `decode_blocks` and `decode_pcm_blocks` for what is raised.

    Args:
        path: The upload.
        pcm: How its samples lie if it has no header; one that has a header is decoded by it.
        max_duration_s: Longest audio taken, in seconds.
    """
    if pcm is None or has_media_header(path):
        return decode_blocks(path, max_duration_s=max_duration_s)
    return decode_pcm_blocks(
        path,
        sample_rate=pcm.sample_rate,
        channels=pcm.channels,
        byte_order=pcm.byte_order,
        max_duration_s=max_duration_s,
    )


def source_duration_s(path: Path, pcm: RawPcm | None) -> float | None:
    """Length of an upload in seconds as far as it can be told without decoding it; arguments as above."""
    if pcm is None or has_media_header(path):
        return probe_duration_s(path)
    return pcm_duration_s(path, sample_rate=pcm.sample_rate, channels=pcm.channels)


def read_excerpt(path: Path, pcm: RawPcm | None, start_s: float, duration_s: float) -> NDArray[np.float32]:
    """A part of an upload, mono float32 at 16 kHz; nothing before it is decoded. Arguments as above."""
    if pcm is None or has_media_header(path):
        return decode_excerpt(path, start_s, duration_s)
    blocks = decode_pcm_blocks(
        path,
        sample_rate=pcm.sample_rate,
        channels=pcm.channels,
        byte_order=pcm.byte_order,
        start_s=start_s,
        block_s=duration_s,
    )
    return next(blocks, np.zeros(0, np.float32))
