"""DNSMOS P.835: how people would rate a speech, said by a network that was trained on their ratings.

Reddy, Gopal and Cutler, "DNSMOS P.835: A non-intrusive perceptual objective speech quality metric to evaluate noise
suppressors", ICASSP 2022. The network comes from the package `speechmos`, whose own code asks for far more packages.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray

RATE = 16_000
WINDOW = 144_160
"""Samples the network looks at, 9.01 s; what is shorter is repeated, of what is longer several windows are taken."""
HOP = RATE
_CURVES = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
"""Polynomials, highest power first, from the network's three outputs to the scale of the ratings; the package's own."""


@dataclass(frozen=True, slots=True)
class Rating:
    """Mean opinions from 1 (bad) to 5 (excellent): the speech itself, what is behind it, and all in all."""

    signal: float
    background: float
    overall: float


def rate_speech(samples: NDArray[np.float32], sample_rate: int) -> Rating:
    """Rate a speech.

    Args:
        samples: Mono, in -1 to 1, shape (samples,), at least one.
        sample_rate: In Hz.
    """
    heard = soxr.resample(samples, sample_rate, RATE) if sample_rate != RATE else samples
    whole = np.tile(heard, -(-WINDOW // heard.size)) if heard.size < WINDOW else heard
    starts = range(0, whole.size - WINDOW + 1, HOP)
    outputs = [_load().run(None, {"input_1": whole[np.newaxis, at : at + WINDOW].astype(np.float32)}) for at in starts]
    raw = np.array([np.asarray(output[0]).ravel() for output in outputs]).T
    return Rating(*(float(np.mean(np.polyval(curve, values))) for curve, values in zip(_CURVES, raw, strict=True)))


@cache
def _load() -> onnxruntime.InferenceSession:
    # Looked for, not imported: the import asks for librosa.
    package = find_spec("speechmos")
    assert package is not None, "pip install '.[dev]'"
    assert package.origin is not None
    return onnxruntime.InferenceSession(str(Path(package.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx"))
