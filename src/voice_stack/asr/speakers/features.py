"""What community-1's two networks hear in a recording: who of three speaks when, and what a voice sounds like."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from voice_stack.asr.speakers import conversion
from voice_stack.asr.speakers.base import SAMPLE_RATE
from voice_stack.core.system.cpus import cpu_features
from voice_stack.utils.onnx import CPU_PROVIDER, choose_providers

WINDOW = 10 * SAMPLE_RATE
"""Samples that the first network hears at once."""
FRAME = 270
"""Samples from one of its frames to the next; the middle of the first one lies at `FIRST_FRAME`."""
FRAMES, FIRST_FRAME = 589, 495
TRACKS = 3
"""At most so many people speak in a window; two at a time."""
STEP = 34_560
"""From window to window: the least that is a whole number of frames of both networks."""
CELL = 1280
"""Samples of one frame of the second network."""
CELLS = WINDOW // CELL
_SPEAKING = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.bool_)
_FRAME_OF_CELL = np.minimum(np.arange(CELLS) * FRAMES // CELLS, FRAMES - 1)

_HOP, _LENGTH, _FFT, _BINS = 160, 400, 512, 80
_LOWEST_HZ, _HIGHEST_HZ, _PREEMPHASIS = 20.0, 8000.0, 0.97
_INT16_SCALE = np.float32(32768)
_FLOOR = np.float32(1.1920929e-07)
CHANNELS = 2560
"""Values of one frame of the second network."""
ROWS = CELL // _HOP
"""Rows of the filter bank in one of them."""


def cells_of(frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same in frames of the second network: of shape (FRAMES, ...) to (CELLS, ...)."""
    return frames[_FRAME_OF_CELL]


def filterbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kaldi's log mel energies, as WeSpeaker's networks want them, before their mean is taken off.

    Args:
        samples: Mono at 16 kHz, within -1 to 1.

    Returns:
        One row of 80 for every 10 ms of which there are 25: float32 of shape (rows, 80).
    """
    if samples.size < _LENGTH:
        return np.zeros((0, _BINS), np.float32)
    rows = sliding_window_view(samples, _LENGTH)[::_HOP] * _INT16_SCALE
    rows -= rows.mean(1, keepdims=True)
    rows[:, 1:] -= np.float32(_PREEMPHASIS) * rows[:, :-1]
    rows[:, 0] *= np.float32(1 - _PREEMPHASIS)
    power = np.abs(np.fft.rfft(rows * _WINDOW, _FFT)) ** 2
    return np.asarray(np.log(np.maximum(power.astype(np.float32) @ _MEL, _FLOOR)), np.float32)


def _mel_weights() -> NDArray[np.float32]:
    """Triangles of equal width in mel: float32 of shape (257, 80)."""

    def mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127.0 * np.log(1 + hz / 700.0)

    lowest, highest = mel(np.array([_LOWEST_HZ, _HIGHEST_HZ]))
    edges = np.linspace(lowest, highest, _BINS + 2)
    at = mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]
    rising, falling = (at - edges[:-2]) / (edges[1] - edges[0]), (edges[2:] - at) / (edges[1] - edges[0])
    weights = np.maximum(0, np.minimum(rising, falling))
    weights[-1] = 0  # Kaldi leaves out the highest frequency
    return np.asarray(weights, np.float32)


_WINDOW, _MEL = np.hamming(_LENGTH).astype(np.float32), _mel_weights()


@dataclass(frozen=True, slots=True)
class Plda:
    """How embeddings are made comparable, by the names that the model's files have, as `plda-mean1.f8`."""

    mean1: NDArray[np.float64]
    mean2: NDArray[np.float32]
    lda: NDArray[np.float32]
    mu: NDArray[np.float64]
    tr: NDArray[np.float64]
    psi: NDArray[np.float64]


_PLDA: dict[str, tuple[str, tuple[int, ...]]] = {
    "mean1": ("f8", (256,)),
    "mean2": ("f4", (128,)),
    "lda": ("f4", (256, 128)),
    "mu": ("f8", (128,)),
    "tr": ("f8", (128, 128)),
    "psi": ("f8", (128,)),
}
"""Array -> how its file ends, which says of what numbers it is, and its shape."""


def _has_quick_bytes() -> bool:
    """Whether this processor multiplies bytes several times as quickly as floats."""
    return bool({"avx512_vnni", "avx_vnni"}.intersection(cpu_features().split()))


class Networks:
    """The loaded model.

    Args:
        folder: With `segmentation.ort`, `embedding.ort` and the arrays of `Plda`.
        device: As for `choose_providers`.
        threads: CPU threads.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not community-1's, or the device is not there.
        Exception: One of `ONNX_ERRORS`.
    """

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the core meanwhile
        options.log_severity_level = 3  # it warns of weights that only what was cut off needs
        providers = choose_providers(device)
        segmentation, embedding = folder / "segmentation.ort", folder / "embedding.ort"
        self._segmentation, self._trunk = (
            onnxruntime.InferenceSession(model, options, providers=providers)
            for model in (
                conversion.read_segmentation(segmentation),
                conversion.read_trunk(embedding, is_reduced=providers == [CPU_PROVIDER] and _has_quick_bytes()),
            )
        )
        self._weights, self._biases = conversion.read_head(embedding)
        self.plda = Plda(
            **{
                name: np.fromfile(folder / f"plda-{name}.{kind}", f"<{kind}").reshape(shape)
                for name, (kind, shape) in _PLDA.items()
            }
        )

    def segment(self, windows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Who of a window's three speaks when: from (windows, WINDOW) to (windows, FRAMES, TRACKS)."""
        given = {conversion.SEGMENTATION_INPUT: windows[:, None]}
        likely: NDArray[np.float32] = self._segmentation.run(None, given)[0]
        speaking: NDArray[np.bool_] = _SPEAKING[likely.argmax(-1)]
        return speaking

    def run_trunk(self, bank: NDArray[np.float32]) -> NDArray[np.float32]:
        """The second network below its pooling: from rows of the filter bank to (2560, cells)."""
        given = {conversion.TRUNK_INPUT: bank[None]}
        return np.asarray(self._trunk.run(None, given)[0], np.float32).reshape(CHANNELS, -1)

    def pool(self, cells: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Embeddings of some cells: those of shape (2560, cells), masks (voices, cells), the result (voices, 256).

        Mean and deviation over a mask, and a layer above them: https://arxiv.org/abs/1803.10963
        """
        shares = masks / np.maximum(masks.sum(1, keepdims=True), 1)
        count = np.maximum(masks.sum(1, keepdims=True), 2)
        mean = shares.astype(np.float32) @ cells.T
        square = shares.astype(np.float32) @ (cells * cells).T
        deviation = np.sqrt(np.maximum(square - mean * mean, 0) * (count / (count - 1)))
        voices: NDArray[np.float32] = (
            np.concatenate([mean, deviation], 1, dtype=np.float32) @ self._weights.T + self._biases
        )
        return voices

    def voice(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding of one voice that speaks alone, float32 of shape (256,)."""
        bank = filterbank(samples)
        cells = self.run_trunk(bank - bank.mean(0))
        voices = self.pool(cells, np.ones((1, cells.shape[1]), np.bool_))
        return np.asarray(voices[0])
