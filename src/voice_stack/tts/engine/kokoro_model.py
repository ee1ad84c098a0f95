"""Kokoro's network on ONNX Runtime: phonemes -> sound, and its beginning before the whole is made.

The first half of the network says how long each phoneme is, with the pitch and the strength of every frame; it takes a
twentieth of the time. The second half makes the sound, and normalises over all that it is given: the beginning of a
sentence by itself would be 1 to 2 dB too low and another in timbre. So the beginning is made of its own frames and of
every third of those that follow, which have nearly the statistics of the whole; then the whole is made, and goes on
where the beginning ended.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.cpus import yield_cpu
from voice_stack.tts.engine.onnx import cut_at, expose_tensor, open_sessions
from voice_stack.tts.engine.onnx_convolutions import unroll_convolutions
from voice_stack.tts.engine.phonemes import NUMBERS
from voice_stack.utils.onnx import CPU_PROVIDER, ONNX_ERRORS, choose_providers

Samples = NDArray[np.float32]
Style = NDArray[np.float32]
"""A voice, shape (510, 1, 256): one style vector for each number of phonemes."""

KEEPING_NICENESS = 5
"""How far everything else goes before the keeping of an improved graph."""
SAMPLE_RATE = 24_000
FRAME_SAMPLES = 600
LENGTHS = "/encoder/Div_output_0"
"""The tensor with the length of each token in frames at the speed asked for, before the graph rounds it."""
TEXT, PITCH, STRENGTH = "/encoder/MatMul_1_output_0", "/encoder/Reshape_output_0", "/encoder/Reshape_1_output_0"
"""What the second half takes: shape (1, 512, frames), and twice (1, 2 * frames)."""

BEGINNING_FRAMES = 60
"""At least: 1.5 s, of which some 0.3 s are the silence before the voice."""
MAX_SHARE = 0.8
"""Where the beginning takes more than so much of the work, it is not worth it."""
CONTEXT_FRAMES = 12
"""How far the sound of a frame reaches, nearly."""
STEP = 3
"""Every so many frames one is taken of what follows the beginning."""
MARGIN = 1.5
"""How much slower than the last time the whole may be made."""
FADE_SAMPLES = 2400
"""After the seam, where the beginning is known still."""
LEVEL_SAMPLES = 12_000
"""Before the seam, where the levels of both are compared."""
SETTLE_SAMPLES = 24_000
"""For how long after the seam the whole goes from the level of the beginning to its own."""
MAX_LEVEL = 1.4


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Phonemes before they are sound.

    Attributes:
        phonemes: At most 510 that the model knows.
        style: Of the voice, float32 of shape (1, 256).
        tensors: float32, what the second half takes; of a model that is not cut the sound alone, (samples,).
        lengths: Of each phoneme and the two pads around them, in frames; None if the model does not say.
    """

    phonemes: str
    style: Samples
    tensors: tuple[Samples, ...]
    lengths: NDArray[np.float64] | None

    @property
    def frames(self) -> int:
        """How many there are; of sound its samples."""
        return int(self.tensors[0].shape[-1])

    def pick(self, frames: NDArray[np.int64]) -> tuple[Samples, ...]:
        """The tensors of some frames."""
        text, *curves = self.tensors
        twice = np.stack([2 * frames, 2 * frames + 1], axis=1).ravel()
        return (text[:, :, frames], *(curve[:, twice] for curve in curves))


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """The beginning of a clause, made before the whole.

    Attributes:
        samples: Float32 of shape (samples,), up to the seam.
        following: What is faded into the whole after the seam.
    """

    samples: Samples
    following: Samples

    def go_on(self, whole: Samples) -> Samples:
        """The rest of the whole: without a click, and without a step in level, after the beginning."""
        seam = self.samples.size
        heard, same = (float(np.std(sound[seam - LEVEL_SAMPLES : seam])) for sound in (self.samples, whole))
        level = float(np.clip(heard / same, 1 / MAX_LEVEL, MAX_LEVEL)) if heard and same else 1.0
        rest = whole[seam:].copy()
        settling = rest[:SETTLE_SAMPLES]
        settling *= np.linspace(level, 1, SETTLE_SAMPLES, dtype=np.float32)[: settling.size]
        fade = np.linspace(0, 1, FADE_SAMPLES, dtype=np.float32)
        rest[:FADE_SAMPLES] = rest[:FADE_SAMPLES] * fade + self.following[:FADE_SAMPLES] * (1 - fade)
        return rest


class KokoroModel:
    """The network. Each call belongs to one thread at a time.

    Args:
        model: The .onnx file; one of another build than is known is not cut in two, and has no beginnings.
        device: As for `open_session`.
        threads: CPU threads, 0 for as many as the process may use.
        cache_dir: Where it may keep what is costly to compute; None: nowhere.

    Raises:
        ModelLoadError: The model does not load.
    """

    def __init__(self, model: Path, *, device: str, threads: int, cache_dir: Path | None) -> None:
        is_on_cpu = choose_providers(device) == [CPU_PROVIDER]

        def improve(content: bytes) -> list[bytes]:
            content = expose_tensor(content, lambda _operation, output: output == LENGTHS)
            content = unroll_convolutions(content) if is_on_cpu else content
            return [*(cut_at(content, (TEXT, PITCH, STRENGTH)) or [content])]

        folder = cache_dir and cache_dir / "graphs"
        try:
            sessions = open_sessions(model, improve, device=device, threads=[threads], cache_dir=folder)
            self._encoder, *decoders = next(sessions)
        except (*ONNX_ERRORS, OSError, RuntimeError, ValueError) as error:
            raise ModelLoadError(f"{model.name} does not load: {type(error).__name__}: {error}") from error
        # What was improved is kept for the next start, which nobody waits for.
        threading.Thread(target=_go_on, args=(sessions,), name="kept graph").start()
        self._decoder = decoders[0] if decoders else None
        names = {tensor.name for tensor in self._encoder.get_inputs()}
        self._tokens_name = "input_ids" if "input_ids" in names else "tokens"
        self._frame_s = 0.0

    def plan(self, phonemes: str, style: Style, speed: float) -> Plan:
        """Run the first half.

        Raises:
            EngineError: The model failed.
        """
        tokens = [NUMBERS[symbol] for symbol in phonemes]
        own = style[min(len(tokens), len(style)) - 1]
        inputs = {self._tokens_name: np.array([[0, *tokens, 0]]), "style": own, "speed": np.array([speed], np.float32)}
        made = _run(self._encoder, inputs, phonemes)
        count = 3 if self._decoder else 1
        lengths = np.asarray(made[count], np.float64).ravel() if len(made) > count else None
        return Plan(phonemes, own, tuple(made[:count]), lengths)

    def speak(self, plan: Plan) -> Samples:
        """The whole sound of a plan, float32 of shape (samples,).

        Raises:
            EngineError: The model failed.
        """
        return self._decode(plan, plan.tensors)

    def begin(self, plan: Plan) -> Beginning | None:
        """The beginning of a plan, so long that the whole is made while it is heard, by the speed of the last clause.

        None where it would be made hardly sooner than the whole, or nothing has been made before.

        Raises:
            EngineError: The model failed.
        """
        if self._decoder is None or plan.lengths is None or not self._frame_s:
            return None
        whole_s = plan.frames * self._frame_s * MARGIN
        count = max(BEGINNING_FRAMES, round(float(plan.lengths[0]) + whole_s * SAMPLE_RATE / FRAME_SAMPLES))
        near = min(count + CONTEXT_FRAMES, plan.frames)
        picked = np.concatenate([np.arange(near), np.arange(near + STEP // 2, plan.frames, STEP)])
        if picked.size > MAX_SHARE * plan.frames:
            return None
        samples = self._decode(plan, plan.pick(picked))
        seam = count * FRAME_SAMPLES
        return Beginning(samples[:seam], samples[seam:])

    def _decode(self, plan: Plan, tensors: tuple[Samples, ...]) -> Samples:
        if self._decoder is None:
            return np.asarray(tensors[0], np.float32).ravel()
        begun = time.perf_counter()
        inputs = {"style": plan.style, **dict(zip((TEXT, PITCH, STRENGTH), tensors, strict=True))}
        samples = _run(self._decoder, inputs, plan.phonemes)[0].ravel()
        self._frame_s = (time.perf_counter() - begun) / tensors[0].shape[-1]
        return samples


def _run(session: InferenceSession, inputs: Mapping[str, NDArray[np.generic]], phonemes: str) -> list[Samples]:
    try:
        return [np.asarray(made, np.float32) for made in session.run(None, inputs)]
    except (*ONNX_ERRORS, RuntimeError) as error:
        raise EngineError(f"Kokoro failed on {phonemes[:80]!r}: {error}") from error


def _go_on(sessions: Iterator[list[InferenceSession]]) -> None:
    yield_cpu(KEEPING_NICENESS)
    for _ in sessions:
        pass
