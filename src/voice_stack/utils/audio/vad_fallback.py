"""Voice activity detection that cannot fail a transcription: where the network fails, everything is speech."""

import logging
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.logging import log_event
from voice_stack.utils.audio.vad import EverythingIsSpeech, StreamingVad

logger = logging.getLogger(__name__)


def _failures() -> tuple[type[Exception], ...]:
    """What loading and running the network raises, its library missing included."""
    known: tuple[type[Exception], ...] = (ConfigurationError, OSError, RuntimeError, ValueError)
    if find_spec("onnxruntime") is None:
        return known
    from voice_stack.utils.onnx_errors import ONNX_ERRORS

    return known + ONNX_ERRORS


def log_vad_failure(reason: str) -> None:
    """Tell the operator."""
    log_event(logger, logging.WARNING, "voice activity detection fails: everything counts as speech", reason=reason)


class ForgivingVad:
    """`StreamingVad` until it fails, `EverythingIsSpeech` from there on.

    Args:
        on_failure: Told the reason, once.
    """

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self._samples = 0
        self._detector: StreamingVad | EverythingIsSpeech
        try:
            self._detector = StreamingVad()
        except _failures() as error:
            self._give_up(error)

    def probabilities(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `StreamingVad.probabilities`."""
        try:
            found = self._detector.probabilities(block)
        except _failures() as error:
            self._give_up(error)
            found = self._detector.probabilities(block)
        self._samples += block.size
        return found

    def finish(self) -> NDArray[np.float32]:
        """See `StreamingVad.finish`."""
        try:
            return self._detector.finish()
        except _failures() as error:
            self._give_up(error)
            return self._detector.finish()

    def _give_up(self, error: Exception) -> None:
        self._on_failure(f"{type(error).__name__}: {error}")
        self._detector = EverythingIsSpeech(self._samples)
