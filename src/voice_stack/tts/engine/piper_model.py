"""A Piper model in two halves: from phonemes to frames of a latent, and from frames to sound.

The second half, HiFi-GAN's generator, takes three quarters of the time and looks only a few frames around: it is run on
a stretch at a time, so that a clause begins to sound long before all of it is made. The sound is the same to the last
bit as from one run.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_stack.tts.engine.onnx_graph import cut_model
from voice_stack.tts.engine.onnx_session import open_session
from voice_stack.tts.engine.piper_durations import expose_durations

_FIRST_LAYER = "dec.conv_pre.weight"
"""Weights of the generator's first operation, by the name they have in every voice."""
CONTEXT_FRAMES = 16
"""How far the generator looks: 11 frames in `low` and `medium` voices, 14 in `high` ones, as the sizes of its filters,
their dilations and its steps in rate amount to."""
FIRST_FRAMES = 32
"""The first stretch: some 0.4 s, of which about 0.1 s are the silence before the voice."""
GROWTH = 4
"""Each stretch is so much longer than the one before: it is made while that one sounds."""


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A sentence before it is sound.

    Attributes:
        frames: float32 of shape (1, channels, frames); for a model that is not cut, its sound, (1, 1, samples).
        speaker: The speaker's number as the model takes it, or nothing.
    """

    frames: NDArray[np.float32]
    speaker: dict[str, NDArray[np.int64]]

    @property
    def length(self) -> int:
        """Number of frames."""
        return int(self.frames.shape[-1])


def stretches(length: int) -> Iterator[tuple[int, int]]:
    """Where a sentence of so many frames is cut to be heard early: stretches that grow, from frame to frame.

    All together take little more time than one run.
    """
    start, size = 0, FIRST_FRAMES
    while start < length:
        # A rest that is shorter than what is computed around it is not worth a stretch.
        end = start + size if length - start - size > 2 * CONTEXT_FRAMES else length
        yield start, end
        start, size = end, size * GROWTH


class PiperModel:
    """The sessions of a voice; PiperVoice takes it for its own session, and gets durations without a sound from it.

    Args:
        weights: The bytes of the .onnx file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads.

    Raises:
        ModelLoadError: The device is not there.
        ValueError: The file is no protobuf message.
        Exception: One of `ONNX_ERRORS`: the file is damaged.
    """

    def __init__(self, weights: bytes, *, device: str, threads: int) -> None:
        model = expose_durations(weights)
        halves = cut_model(model, lambda operation, inputs: operation == "Conv" and _FIRST_LAYER in inputs)
        self._encoder = open_session(halves[0] if halves else model, device=device, threads=threads, spins=False)
        self._decoder = open_session(halves[1], device=device, threads=threads, spins=False) if halves else None
        self._latent_name = self._encoder.get_outputs()[0].name
        self._decoder_inputs = {value.name for value in self._decoder.get_inputs()} if self._decoder else set()
        self._encoded = threading.local()

    def run(self, _outputs: Sequence[str] | None, inputs: dict[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """Encode a sentence; what PiperVoice calls. The sound it gets is empty; `take` has what becomes it."""
        latent, *others = self._encoder.run(None, inputs)
        speaker = {name: value for name, value in inputs.items() if name in self._decoder_inputs}
        self._queue().append(Latent(latent, speaker))
        return [np.zeros(1, np.float32), *others]

    def take(self) -> list[Latent]:
        """What this thread encoded since the last call."""
        encoded = self._queue()
        self._encoded.latents = []
        return encoded

    @property
    def is_cut(self) -> bool:
        """Whether sound can be made a stretch at a time."""
        return self._decoder is not None

    def decode(self, latent: Latent, start: int, end: int) -> NDArray[np.float32]:
        """The sound of some frames of a sentence, float32 of shape (samples,); any copy of the model can do that.

        Args:
            latent: The sentence.
            start: First frame.
            end: The frame after the last.
        """
        if self._decoder is None:
            return np.clip(latent.frames.reshape(-1), -1, 1)
        first, last = max(start - CONTEXT_FRAMES, 0), min(end + CONTEXT_FRAMES, latent.length)
        inputs = {self._latent_name: latent.frames[:, :, first:last], **latent.speaker}
        (samples,) = self._decoder.run(None, inputs)
        per_frame = samples.size // (last - first)
        sound: NDArray[np.float32] = samples.reshape(-1)[(start - first) * per_frame : (end - first) * per_frame]
        return np.clip(sound, -1, 1)

    def _queue(self) -> list[Latent]:
        if not hasattr(self._encoded, "latents"):
            self._encoded.latents = []
        queue: list[Latent] = self._encoded.latents
        return queue
