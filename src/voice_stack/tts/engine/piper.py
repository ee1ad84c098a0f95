"""Piper: small, fast voices on ONNX Runtime. GPL-3.0-or-later, with espeak-ng inside."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from voice_stack.core.cpus import available_cpus
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.piper_config import parse_facts
from voice_stack.utils.onnx_errors import ONNX_ERRORS

_PHONEME_EXTRAS = {"pinyin": ("g2pW", "zh"), "japanese": ("pyopenjtalk", "ja"), "thai": ("tltk", "th")}
"""Kinds of phonemes that espeak-ng does not make: the package that does, and the extra of piper-tts that brings it."""


class PiperEngine(TtsEngine):
    """One Piper voice, with one speaker or many."""

    lanes = 2

    def __init__(self, model_dir: Path, *, device: str, threads: int) -> None:
        super().__init__(model_dir, device=device, threads=threads)
        model = model_dir if model_dir.suffix == ".onnx" else next(iter(sorted(model_dir.glob("*.onnx"))), None)
        if model is None:
            raise ModelLoadError(f"no .onnx file in {model_dir}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cpus()
        options.inter_op_num_threads = 1
        try:
            content = json.loads(Path(f"{model}.json").read_text("utf-8"))
            self._facts = parse_facts(content)
            config = PiperConfig.from_dict(content)
            session = onnxruntime.InferenceSession(str(model), options, providers=_providers(device))
        except (*ONNX_ERRORS, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ModelLoadError(f"voice {model.name} does not load: {type(error).__name__}: {error}") from error
        _require_phonemizer(model.name, config)
        self._voice = PiperVoice(session=session, config=config, download_dir=model.parent)
        self.sample_rate = config.sample_rate

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        config = SynthesisConfig(
            speaker_id=self._facts.find_speaker(options.voice.name) if options.voice.name else None,
            length_scale=self._voice.config.length_scale / options.speed,
            normalize_audio=False,
        )
        spoken = False
        try:
            # Between double brackets Piper expects phonemes; in a text they are a link of a wiki.
            for chunk in self._voice.synthesize(text.replace("[[", "[ ["), config):
                spoken = True
                yield Spoken(np.atleast_1d(chunk.audio_float_array))
        except (*ONNX_ERRORS, RuntimeError, ValueError) as error:
            raise EngineError(f"Piper failed on {text[:80]!r}: {error}") from error
        if not spoken:
            yield Spoken(np.zeros(0, np.float32))


def _require_phonemizer(name: str, config: PiperConfig) -> None:
    package, extra = _PHONEME_EXTRAS.get(config.phoneme_type.value, ("piper", ""))
    if find_spec(package) is None:
        raise ModelLoadError(
            f"voice {name} reads its text by way of {package}, which is missing: pip install 'piper-tts[{extra}]'"
        )


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's execution providers for a device."""
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_cuda:
        raise ModelLoadError(f"device {device!r}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu")
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    index = device.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]
