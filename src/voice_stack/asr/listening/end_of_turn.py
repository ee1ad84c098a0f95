"""Whether what was said is complete, told by its sound: the network smart-turn, if it is there."""

import logging
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.models import SMART_TURN, SMART_TURN_CATALOGUE, SMART_TURN_FILE, SMART_TURN_SHA256
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.logging import log_event
from voice_stack.core.models.files import check_file, refuse
from voice_stack.core.models.store import ModelStore
from voice_stack.utils.audio.vad import SAMPLE_RATE

logger = logging.getLogger(__name__)

HEARD = 8 * SAMPLE_RATE
"""Samples that the network hears: the last of a turn, silence before a shorter one."""


class SmartTurn:
    """The network, on one thread; it has no state, and any thread may ask it.

    Args:
        model: Its file.

    Raises:
        ModelLoadError: It is another file than the known one.
    """

    def __init__(self, model: Path) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        check = check_file(model.parent, model.name, SMART_TURN_SHA256)
        if not check.intact:
            raise refuse(SMART_TURN, str(model.parent), check)
        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # an arena never gives its memory back
        options.log_severity_level = 3
        self._session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def __call__(self, samples: NDArray[np.float32]) -> float:
        """The probability that a turn with this sound, mono float32 at 16 kHz up to a pause, is complete."""
        (found,) = self._session.run(None, {"input_features": self.features(samples)[None]})
        return float(np.asarray(found).reshape(-1)[0])

    @staticmethod
    def features(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Whisper's log-mel features of the last 8 s, brought to mean 0 and variance 1 before; shape (80, 800)."""
        from faster_whisper.feature_extractor import FeatureExtractor

        sound = samples[-HEARD:]
        sound = np.pad(sound, (HEARD - sound.size, 0))
        sound = (sound - sound.mean()) / np.sqrt(sound.var() + np.float32(1e-7))
        features: NDArray[np.float32] = FeatureExtractor()(sound, padding=0).astype(np.float32)
        return features


@cache
def load_smart_turn(model_dir: Path) -> SmartTurn | None:
    """The network, loaded once; None, said in the log once, where it is not in the model folder or does not load.

    Nothing is fetched for it: `voice-stack models pull smart-turn` does that.
    """
    from voice_stack.utils.onnx import ONNX_ERRORS

    store = ModelStore(SMART_TURN_CATALOGUE, model_dir, offline=True)
    try:
        return SmartTurn(store.resolve(SMART_TURN.name) / SMART_TURN_FILE)
    except (ModelNotFoundError, ModelLoadError, OSError, *ONNX_ERRORS) as error:
        log_event(logger, logging.WARNING, "semantic turns end by silence alone", reason=str(error))
        return None
