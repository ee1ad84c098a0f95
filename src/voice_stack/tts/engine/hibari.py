"""hibari: a small English voice on ONNX Runtime, distilled from one of Kokoro's. Apache-2.0, and no espeak-ng.

Its network gives the pitch and five spectra for every frame of 12.5 ms; the sound is the inverse STFT of

    exp(lh) e^(i pi tanh(theta)) STFT(pulses(f0)) + exp(ln) noise + exp(lr) e^(i phi)

whose parts hibari-tts has. The second half of the network and the spectra, two thirds of the work, look only a few
frames around: they are made a stretch at a time, so that a clause begins to sound long before all of it is made. The
network rounds by the range of what it is given, so the stretches are the same whether somebody waits or not, and the
noise is always the same: equal clauses give equal sound.
"""

import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hibari import dsp
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.core.system.cpus import available_cpus
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.onnx import cut_model, expose_tensor, open_sessions
from voice_stack.tts.engine.phonemes import NUMBERS, EnglishReader, join_pieces, keep_known, share_phonemes
from voice_stack.utils.audio.word_alignment import TimedPhoneme, cut_words, time_words
from voice_stack.utils.onnx import ONNX_ERRORS

Samples = NDArray[np.float32]

MAX_LANES = 8
MAX_PHONEMES = 400
"""What the model was made to take at once."""
LENGTH_FRAMES = 2
"""The length of a phoneme is a number of frames of 25 ms."""
LAST_LENGTH = 3
"""For how long the last phoneme before a pause sounds at most."""
_MARKS = frozenset(";:,.!?—…")
CONTEXT_FRAMES = 24
"""How far the second half of the network looks: eight filters, each three frames to both sides."""
SEAM_FRAMES = 2
"""How far the spectrum of a frame reaches into the sound of others."""
FIRST_FRAMES = 24
"""The first stretch, 0.3 s, after the silence before the voice."""
GROWTH = 4
"""Each stretch is so much longer than the one before: it is made while that one sounds."""
NOISE_FRAMES = 1009
"""12.6 s of noise, after which it begins anew."""
_FIRST_LAYER = "m.dec.0.dw.weight"
"""Weights of the first operation of the second half."""


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A clause, or a part of a long one, before it is sound.

    Attributes:
        latent: What the second half of the network takes, float32 of shape (1, channels, frames).
        pitch: In Hz of each frame, float32 of shape (frames,).
        lengths: Of each phoneme and the two pads around them, in frames of 25 ms.
        phonemes: Those, a space for each pad.
    """

    latent: Samples
    pitch: Samples
    lengths: NDArray[np.int64]
    phonemes: str

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Where it is cut to be heard early, from frame to frame."""
        start, size = 0, int(self.lengths[0]) * LENGTH_FRAMES + FIRST_FRAMES
        while start < self.pitch.size:
            # A rest that is shorter than what is computed around it is not worth a stretch.
            end = start + size if self.pitch.size - start - size > 2 * CONTEXT_FRAMES else self.pitch.size
            yield start, end
            start, size = end, size * GROWTH

    def timed(self) -> list[TimedPhoneme]:
        """Each phoneme and how long it lasts. The last one before a mark has the pause in its length."""
        lengths = self.lengths.tolist()
        for index, following in enumerate(f"{self.phonemes[1:-1]}."):
            if following in _MARKS and self.phonemes[index].isalpha():
                pause = max(lengths[index] - LAST_LENGTH, 0)
                lengths[index] -= pause
                lengths[index + 1] += pause
        samples = LENGTH_FRAMES * dsp.HOP
        return [TimedPhoneme(symbol, length * samples) for symbol, length in zip(self.phonemes, lengths, strict=True)]


class HibariEngine(TtsEngine):
    """One voice of hibari. It computes on the CPU, in one thread for each clause: more make it no faster."""

    is_quick = True
    sample_rate = dsp.SR

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        model = model_dir if model_dir.suffix == ".onnx" else next(iter(sorted(model_dir.glob("*.onnx"))), None)
        if model is None:
            raise ModelLoadError(f"no .onnx file in {model_dir}")
        background = ThreadPoolExecutor(1)
        # The dictionaries take longer than the model. Files of British voices begin as Kokoro's names for them.
        reader = background.submit(EnglishReader, is_british=model.name.startswith("b"))
        folder = cache_dir and cache_dir / "graphs"
        sessions = open_sessions(model, _halve, device="cpu", threads=[1], spins=False, cache_dir=folder)
        try:
            self._encoder, self._decoder = next(sessions)
        except (*ONNX_ERRORS, OSError, ValueError, RuntimeError) as error:
            raise ModelLoadError(f"{model.name} does not load: {type(error).__name__}: {error}") from error
        self._noise = _make_noise()
        self._reader = reader.result()
        background.submit(lambda: list(sessions))  # nobody waits for what is kept for the next start
        background.shutdown(wait=False)
        self.lanes = min(threads or available_cpus(), MAX_LANES)

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        try:
            words, pieces = cut_words(text), self._reader.read(text)
            batches = textwrap.wrap(keep_known(join_pieces(pieces)), MAX_PHONEMES)
            plans = [self._plan(batch, options.speed) for batch in batches]
            timed = [phoneme for plan in plans for phoneme in plan.timed()]
            times = time_words(words, share_phonemes(text, words, pieces), timed, self.sample_rate)
            pace = self._pace(plans, options.speed)
            sounds = (sound for plan in plans for sound in self._speak(plan))
            if not options.is_awaited:
                yield Spoken(np.concatenate([np.zeros(0, np.float32), *sounds]), times, pace)
                return
            sound = next(sounds, np.zeros(0, np.float32))
            for following in sounds:
                yield Spoken(sound, times, pace, goes_on=True)
                sound, times = following, ()
            yield Spoken(sound, times, pace)
        except (*ONNX_ERRORS, RuntimeError, ValueError) as error:
            raise EngineError(f"hibari failed on {text[:80]!r}: {error}") from error

    def _plan(self, phonemes: str, speed: float) -> _Plan:
        ids = np.array([[0, *(NUMBERS[symbol] for symbol in phonemes), 0]], np.int64)
        inputs = {"ids": ids, "speed": np.array([speed], np.float32)}
        latent, pitch, lengths = self._encoder.run(None, inputs)
        return _Plan(latent, pitch[0], np.maximum(lengths.ravel(), 1).astype(np.int64), f" {phonemes} ")

    def _pace(self, plans: list[_Plan], speed: float) -> float | None:
        """How much faster than the voice's own pace it is: short phonemes cannot be halved, and are rounded."""
        if speed == 1 or not plans:
            return None
        natural = sum(self._plan(plan.phonemes[1:-1], 1.0).lengths.sum() for plan in plans)
        return float(natural / sum(plan.lengths.sum() for plan in plans))

    def _speak(self, plan: _Plan) -> Iterator[Samples]:
        pulses = dsp.pulses(plan.pitch)
        for start, end in plan.stretches():
            first, last = max(start - SEAM_FRAMES, 0), min(end + SEAM_FRAMES, plan.pitch.size)
            sound = dsp.ola(self._spectrum(plan.latent, pulses, first, last))
            yield np.clip(sound[(start - first) * dsp.HOP : (end - first) * dsp.HOP], -1, 1)

    def _spectrum(self, latent: Samples, pulses: Samples, start: int, end: int) -> NDArray[np.complex64]:
        """The formula above for some frames; shape (bins, frames)."""
        begin, until = max(start - CONTEXT_FRAMES, 0), min(end + CONTEXT_FRAMES, latent.shape[2])
        made = self._decoder.run(None, {self._decoder.get_inputs()[0].name: latent[:, :, begin:until]})
        lh, theta, ln, lr, phi = (part[0, :, start - begin : end - begin] for part in made)
        before = max(start - SEAM_FRAMES, 0)
        voiced = dsp.stft(pulses[before * dsp.HOP : (end + SEAM_FRAMES) * dsp.HOP], end - before)[:, start - before :]
        noise = self._noise.take(range(start, end), axis=1, mode="wrap")
        spectrum: NDArray[np.complex64] = _turn(np.pi * np.tanh(theta)) * dsp.ex(lh) * voiced
        spectrum += noise * dsp.ex(ln)
        spectrum += _turn(phi) * dsp.ex(lr)
        return spectrum


def _turn(angle: Samples) -> NDArray[np.complex64]:
    """e^(i angle); NumPy's own is three times slower."""
    turned = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=turned.real)
    np.sin(angle, out=turned.imag)
    return turned


def _make_noise() -> NDArray[np.complex64]:
    parts = np.random.default_rng(0).standard_normal((dsp.N_FFT // 2 + 1, 2 * NOISE_FRAMES), np.float32)
    return parts.view(np.complex64)


def _halve(weights: bytes) -> tuple[bytes, bytes]:
    """The two halves of the network, the first with the lengths of the phonemes.

    Raises:
        ValueError: It is another model.
    """
    model = expose_tensor(weights, lambda operation, _output: operation == "Round")
    halves = cut_model(model, lambda _operation, inputs: _FIRST_LAYER in inputs)
    if halves is None:
        raise ValueError("the file is no voice of hibari")
    return halves
