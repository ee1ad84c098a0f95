"""What an engine is: a clause in, samples out. Everything else is shared and lies elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """How to speak.

    Attributes:
        speaker: Which of the model's speakers, by number; None for its only or first one.
        speed: 1 is the voice's own pace; 0.25 to 4.
    """

    speaker: int | None = None
    speed: float = 1.0


class TtsEngine(ABC):
    """A loaded model. Used by one thread at a time, each call of `synthesize` to the end of its iterator.

    Args:
        model_dir: Folder with the model's files, or the voice's own file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads, 0 for as many as the process may use.

    Attributes:
        sample_rate: Of the samples, in Hz; set once the model is loaded.

    Raises:
        ModelLoadError: The model does not load.
    """

    sample_rate: int

    def __init__(self, model_dir: Path, *, device: str, threads: int) -> None:
        self.model_dir, self.device, self.threads = model_dir, device, threads

    @abstractmethod
    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[NDArray[np.float32]]:
        """Speak one sentence or clause.

        Yields:
            Its samples in order, mono float32 of shape (samples,), in -1 to 1; at least once.

        Raises:
            EngineError: The model failed.
        """
