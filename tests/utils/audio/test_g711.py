"""Telephone sound, written."""

from typing import get_args

import numpy as np
import pytest

from voice_stack.utils.audio.g711 import Law, decoded, encode


@pytest.mark.parametrize("law", get_args(Law))
def test_every_byte_is_written_as_it_is_read(law: Law) -> None:
    levels = np.rint(decoded(law) * 32768).astype(np.int16)
    again = np.rint(decoded(law)[np.frombuffer(encode(levels, law), np.uint8)] * 32768)
    assert (again == levels).all()  # mu-law has two bytes for 0


@pytest.mark.parametrize("law", get_args(Law))
def test_a_sample_is_as_near_as_its_size_allows(law: Law) -> None:
    samples = np.arange(-32_768, 32_768).astype(np.int16)
    heard = decoded(law)[np.frombuffer(encode(samples, law), np.uint8)] * 32768
    assert (np.diff(heard) >= 0).all()
    assert (np.abs(heard - samples) <= 8 + np.abs(samples.astype(np.float32)) / 30).all()
