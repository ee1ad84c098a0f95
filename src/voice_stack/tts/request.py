"""What the TTS server's two processes tell each other: small picklable dataclasses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A checked request on its way to the engine process.

    Attributes:
        text: What to say.
        speaker: Which of the model's speakers, by number; None for its only or first one.
        speed: 1 is the voice's own pace, 2 twice as fast.
    """

    text: str
    speaker: int | None = None
    speed: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Output: the next stretch of speech.

    Attributes:
        samples: Mono float32 of shape (samples,), in -1 to 1.
        sample_rate: In Hz, the same for all of a job.
        is_last: Whether the speech ends with it.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class SpeechSummary:
    """Closing statement: length of the speech in seconds."""

    audio_s: float


@dataclass(frozen=True, slots=True)
class TtsWorkerConfig:
    """What a TTS engine process is started with; the fields are those of the settings."""

    engine: str
    model: str
    model_dir: Path
    offline: bool
    operator_paths: tuple[str, ...]
    device: str
    threads: int
