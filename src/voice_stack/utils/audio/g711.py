"""G.711, the sound of telephones: 8 kHz, one byte for each sample, in one of two laws (`pcmu`, `pcma`)."""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RATE = 8_000
"""In Hz."""
Law = Literal["pcmu", "pcma"]
_FULL_SCALE = np.float32(1 / 32768)


@cache
def decoded(law: Law) -> NDArray[np.float32]:
    """What each of the 256 bytes means, full scale 1 (ITU-T G.711, tables 1 and 2): the bits are sent inverted."""
    if law == "pcmu":
        codes = np.arange(255, -1, -1)
        steps = ((codes & 0x0F) * 8 + 132 << (codes >> 4 & 7)) - 132
        return np.where(codes & 0x80, -steps, steps).astype(np.float32) * _FULL_SCALE
    codes = np.arange(256) ^ 0x55
    exponents, steps = codes >> 4 & 7, (codes & 0x0F) * 16 + 8
    steps = np.where(exponents, steps + 256 << np.maximum(exponents - 1, 0), steps)
    return np.where(codes & 0x80, steps, -steps).astype(np.float32) * _FULL_SCALE


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    """Samples at 8 kHz as bytes."""
    return bytes(_codes(law)[samples.view(np.uint16)])


@cache
def _codes(law: Law) -> NDArray[np.uint8]:
    """The byte of each 16-bit sample, taken as unsigned."""
    samples = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32)
    if law == "pcmu":
        sizes = np.minimum(np.abs(samples), 32_635) + 132
        exponents = np.floor(np.log2(sizes)).astype(np.int32) - 7
        codes = (samples < 0) << 7 | exponents << 4 | sizes >> exponents + 3 & 0x0F
        return np.asarray(codes ^ 0xFF, np.uint8)
    sizes = np.where(samples < 0, -samples - 1, samples) >> 4
    exponents = np.maximum(np.floor(np.log2(np.maximum(sizes, 1))).astype(np.int32) - 3, 0)
    codes = (samples >= 0) << 7 | exponents << 4 | sizes >> np.maximum(exponents - 1, 0) & 0x0F
    return np.asarray(codes ^ 0x55, np.uint8)
