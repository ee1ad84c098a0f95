"""NVIDIA's Parakeet by onnx-asr: European languages at great speed, without torch."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_asr
import onnxruntime
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE, AsrEngine, WindowResult, check_windows, decode_language
from voice_stack.asr.engine.words import TimedToken, window_result
from voice_stack.asr.models import CAPABILITIES, PARAKEET_ENGINE
from voice_stack.asr.request import DecodeOptions, EngineOptions
from voice_stack.core.errors import ModelLoadError
from voice_stack.core.system.cpus import take_cpus
from voice_stack.utils.language_detection import detect_text_language
from voice_stack.utils.onnx import CPU_PROVIDER, ONNX_ERRORS, choose_providers

MODEL_TYPES = ("nemo-conformer-tdt", "nemo-conformer-rnnt", "nemo-conformer-ctc")
"""Kinds that give times and probabilities of their tokens."""
THREADS = 4
"""Threads of a lane: more of them wait for each other in a model of this size."""
_TEXT_EVIDENCE = 0.9  # said of the language that a text shows; the rest is for the others
_LEAST_SAMPLES = SAMPLE_RATE // 10  # less than a few feature frames are no input; silence makes up for it


class ParakeetEngine(AsrEngine):
    """A Parakeet model in onnx-asr's layout; see `AsrEngine`.

    It searches greedily: beam size and temperature change nothing. It writes in the language it hears; which one that
    is shows in the text.
    """

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        super().__init__(model_dir, options)
        cpus = options.threads or take_cpus(options.replica, options.replicas)
        self.lanes = max(1, cpus // THREADS)
        try:
            self._ids = _read_vocabulary(model_dir)
            self._model = _load(model_dir, options, threads=max(1, cpus // self.lanes))
        except (*ONNX_ERRORS, ValueError, TypeError, KeyError, OSError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        multilingual = any("а" <= letter <= "я" for token in self._ids for letter in token)
        can = CAPABILITIES[PARAKEET_ENGINE]
        # A vocabulary without a Cyrillic letter knows English only.
        self.capabilities = can if multilingual else can.limited_to(("en",))
        self._kept = threading.local()

    def detect_language(self, window: NDArray[np.float32]) -> dict[str, float]:
        """See `AsrEngine.detect_language`: read from the text; decoding the same array next does not hear it again."""
        check_windows(window)
        languages = self.capabilities.languages
        if len(languages) == 1:
            return dict.fromkeys(languages, 1.0)
        tokens = self._hear(window)
        self._kept.heard = window, tokens
        found = detect_text_language("".join(token.text for token in tokens), languages)
        # Without evidence all are equal but for the first, English.
        share = _TEXT_EVIDENCE if found else 1.5 / len(languages)
        best = found or languages[0]
        rest = (1 - share) / (len(languages) - 1)
        return {best: share} | {code: rest for code in languages if code != best}

    def decode(self, windows: Sequence[NDArray[np.float32]], options: DecodeOptions) -> list[WindowResult]:
        """See `AsrEngine.decode`; one by one, for an int8 model hears each window by the loudest of its batch."""
        check_windows(*windows)
        decode_language(options, self.capabilities)
        return [window_result(self._heard(window), window.size / SAMPLE_RATE, options) for window in windows]

    def _heard(self, window: NDArray[np.float32]) -> list[TimedToken]:
        kept: tuple[NDArray[np.float32], list[TimedToken]] | None = getattr(self._kept, "heard", None)
        self._kept.heard = None
        return kept[1] if kept is not None and kept[0] is window else self._hear(window)

    def _hear(self, window: NDArray[np.float32]) -> list[TimedToken]:
        samples = np.pad(window, (0, max(0, _LEAST_SAMPLES - window.size)))
        with self.engine_errors(*ONNX_ERRORS):
            heard = self._model.recognize(samples, sample_rate=16_000)
        parts = zip(heard.tokens or (), heard.timestamps or (), heard.logprobs or (), strict=True)
        return [TimedToken(self._ids[text], text, float(at), float(logprob)) for text, at, logprob in parts]


def _read_vocabulary(model_dir: Path) -> dict[str, int]:
    """Token -> number; the file marks the start of a word by U+2581."""
    lines = (model_dir / "vocab.txt").read_text("utf-8").split("\n")
    pairs = (line.rsplit(" ", 1) for line in lines if line)
    return {token.replace("\u2581", " "): int(number) for token, number in pairs}


def _load(model_dir: Path, options: EngineOptions, *, threads: int) -> onnx_asr.adapters.TimestampedResultsAsrAdapter:
    model_type = json.loads((model_dir / "config.json").read_text("utf-8"))["model_type"]
    if model_type not in MODEL_TYPES:
        raise ValueError(f"model_type {model_type!r} in config.json is not one of {', '.join(MODEL_TYPES)}")
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = threads
    providers = choose_providers(options.device)
    quantization = _quantization(model_dir, options.compute_type, on_cpu=providers == [CPU_PROVIDER])
    model = onnx_asr.load_model(
        model_type, model_dir, quantization=quantization, sess_options=session_options, providers=providers
    )
    return model.with_timestamps()


def _quantization(model_dir: Path, compute_type: str, *, on_cpu: bool) -> str | None:
    """Which of the folder's files are loaded: int8 suits a CPU, float32 a GPU."""
    there = {"int8" if file.stem.endswith("int8") else "float32" for file in model_dir.glob("*.onnx")}
    preferred = "int8" if on_cpu else "float32"
    wanted = (preferred if preferred in there else next(iter(there), "")) if compute_type == "auto" else compute_type
    if wanted not in there:
        raise ValueError(
            f"compute type {compute_type!r}: the folder has {', '.join(sorted(there)) or 'no .onnx files'}"
        )
    return "int8" if wanted == "int8" else None
