"""Piper: small, fast voices on ONNX Runtime. GPL-3.0-or-later, with espeak-ng inside."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from voice_stack.core.cpus import available_cpus
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.tts.engine.base import Spoken, TtsEngine, VoiceOptions


class PiperEngine(TtsEngine):
    """One Piper voice."""

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
            config = PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text("utf-8")))
            session = onnxruntime.InferenceSession(str(model), options, providers=_providers(device))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelLoadError(f"voice {model.name} does not load: {error}") from error
        self._voice = PiperVoice(session=session, config=config)
        self.sample_rate = config.sample_rate

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        config = SynthesisConfig(
            speaker_id=int(options.voice.name) if options.voice.name else None,
            length_scale=self._voice.config.length_scale / options.speed,
            normalize_audio=False,
        )
        spoken = False
        try:
            for chunk in self._voice.synthesize(text, config):
                spoken = True
                yield Spoken(chunk.audio_float_array)
        except RuntimeError as error:
            raise EngineError(f"Piper failed on {text[:80]!r}: {error}") from error
        if not spoken:
            yield Spoken(np.zeros(0, np.float32))


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's execution providers for a device."""
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_cuda:
        raise ModelLoadError(f"device {device!r}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu")
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    index = device.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]
