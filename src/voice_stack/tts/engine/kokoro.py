"""Kokoro: 82 million parameters, 54 voices in one model, on ONNX Runtime. espeak-ng inside: GPL-3.0-or-later."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from kokoro_onnx.chunker import split_phonemes
from kokoro_onnx.trim import trim
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.tts.engine.base import EngineVoice, Spoken, TtsEngine, VoiceOptions, WordTime
from voice_stack.tts.engine.kokoro_phonemes import ESPEAK_VOICES, Phonemizer, assign_words
from voice_stack.tts.engine.onnx_session import open_session
from voice_stack.utils.onnx_errors import ONNX_ERRORS

SAMPLE_RATE = 24_000
STYLE_SIZE = 256
DEFAULT_VOICE = "af_heart"
DURATIONS = "/encoder/Clip_output_0"
"""The tensor with each token's length in frames: what the duration predictor says, rounded, at least 1."""

Style = NDArray[np.float32]
"""A voice, shape (510, 1, 256): one style vector for each number of phonemes."""


class KokoroEngine(TtsEngine):
    """All voices of one Kokoro model."""

    sample_rate = SAMPLE_RATE
    lanes = 2

    def __init__(self, model_dir: Path, *, device: str, threads: int) -> None:
        super().__init__(model_dir, device=device, threads=threads)
        models = sorted(model_dir.rglob("*.onnx"))
        self.voices = {path.stem: path for path in sorted(model_dir.glob("voices/*.bin"))}
        if not models or not self.voices:
            raise ModelLoadError(f"{model_dir} has {len(models)} .onnx files and {len(self.voices)} voices/*.bin files")
        self._session = open_session(models[0], device=device, threads=threads, inner_outputs=(DURATIONS,))
        names = {tensor.name for tensor in self._session.get_inputs()}
        self._tokens_name = "input_ids" if "input_ids" in names else "tokens"
        self._phonemizer = Phonemizer()
        self._style = lru_cache(maxsize=None)(self._read_style)

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        words, style = text.split(), self._mix(options.voice)
        espeak_voice = _choose_espeak_voice(options)
        whole, *alone = self._phonemizer.phonemize([text, *words], espeak_voice)
        batches = split_phonemes(whole)
        owners = assign_words(" ".join(batches), alone)
        for batch in batches:
            samples, edges_s = self._run(batch, style, options.speed)
            yield Spoken(samples, tuple(_time_words(batch, owners, words, edges_s)))
            owners = owners[len(batch) + 1 :]
        if not batches:
            yield Spoken(np.zeros(0, np.float32))

    def _run(self, phonemes: str, style: Style, speed: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Samples without the silence around them, and the times between phonemes; no times if they are not known."""
        tokens = self._phonemizer.tokenizer.tokenize(phonemes)
        inputs = {
            self._tokens_name: np.array([[0, *tokens, 0]], np.int64),
            "style": style[min(len(tokens), len(style)) - 1],
            "speed": np.array([speed], np.float32),
        }
        try:
            outputs = self._session.run(None, inputs)
        except (*ONNX_ERRORS, RuntimeError) as error:
            raise EngineError(f"Kokoro failed on {phonemes[:80]!r}: {error}") from error
        raw = np.asarray(outputs[0], np.float32).ravel()
        samples, (head, _) = trim(raw)
        if len(outputs) == 1:
            return samples, np.zeros(0)
        frames = np.cumsum(np.asarray(outputs[1]).ravel())
        # The first and the last token are padding.
        edges = frames[:-1] * (raw.size / frames[-1])
        return samples, np.clip(edges - head, 0, samples.size) / SAMPLE_RATE

    def _mix(self, voice: EngineVoice) -> Style:
        parts = voice.blend or ((voice.name or DEFAULT_VOICE, 1.0),)
        mixed: Style = np.sum([self._style(name) * np.float32(share) for name, share in parts], axis=0)
        return mixed

    def _read_style(self, name: str) -> Style:
        if name not in self.voices:
            raise EngineError(f"Kokoro has no voice {name!r}; there are {', '.join(self.voices)}")
        style = np.fromfile(self.voices[name], np.float32)
        if style.size == 0 or style.size % STYLE_SIZE or not np.isfinite(style).all():
            raise EngineError(f"{self.voices[name]} is no voice: float32 of shape (n, {STYLE_SIZE}) is expected")
        return style.reshape(-1, 1, STYLE_SIZE)


def _choose_espeak_voice(options: VoiceOptions) -> str:
    name = options.voice.blend[0][0] if options.voice.blend else options.voice.name
    language = options.language or "en"
    if language not in ESPEAK_VOICES:
        raise EngineError(f"Kokoro does not speak {language!r}, but {', '.join(ESPEAK_VOICES)}")
    return "en-gb" if language == "en" and name.startswith("b") else ESPEAK_VOICES[language]


def _time_words(phonemes: str, owners: list[int], words: list[str], edges_s: NDArray[np.float64]) -> Iterator[WordTime]:
    """The words of a batch with their times: from the first of their letters to the last."""
    spans: dict[int, tuple[float, float]] = {}
    for phoneme, owner, (start_s, end_s) in zip(phonemes, owners, pairwise(edges_s.tolist()), strict=False):
        if phoneme.isalpha():
            spans[owner] = (spans.get(owner, (start_s, end_s))[0], end_s)
    return (WordTime(words[index], start_s, end_s) for index, (start_s, end_s) in spans.items())
