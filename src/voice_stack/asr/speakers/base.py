"""What an engine for speakers is: sound in, turns out. Everything else is shared and lies elsewhere."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.request import EngineOptions, SpeakerChoice

SAMPLE_RATE = 16_000


@dataclass(frozen=True, slots=True)
class VoiceTurn:
    """Somebody speaks from `start_s` to `end_s`, in seconds; `voice` is their row in `Diarized.voices`."""

    start_s: float
    end_s: float
    voice: int


@dataclass(frozen=True, slots=True, eq=False)
class Diarized:
    """Who speaks when in a recording.

    Attributes:
        turns: By time; those of two people may overlap.
        voices: What each of them sounds like: float32 of shape (voices, dimensions), each of length 1; in order of
            their first words. Of no rows where the engine knows no voices.
    """

    turns: tuple[VoiceTurn, ...]
    voices: NDArray[np.float32]


class Recording(ABC):
    """One recording under way, file or live; it belongs to one thread at a time."""

    @abstractmethod
    def add(self, samples: NDArray[np.float32], *, is_last: bool = False) -> None:
        """Hear more: mono float32 at 16 kHz of any length; most of the computing is done here.

        Raises:
            EngineError: The model failed.
        """

    @abstractmethod
    def diarize(self, choice: SpeakerChoice) -> Diarized:
        """Who spoke so far; may be asked again after more was heard, and numbers voices as before as far as it can."""


class SpeakerEngine(ABC):
    """A loaded model.

    Args:
        model_dir: Folder with the model's files.
        options: How to load it.

    Attributes:
        knows_voices: Whether it tells what a voice is like: `voice` works, and `Diarized.voices` has a row for each.

    Raises:
        ModelLoadError: The model does not load.
    """

    knows_voices: ClassVar[bool] = True

    def __init__(self, model_dir: Path, options: EngineOptions) -> None:
        self.model_dir, self.options = model_dir, options

    @abstractmethod
    def open(self) -> Recording:
        """Begin a recording."""

    @abstractmethod
    def voice(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the one voice in some seconds of sound is like: float32 of shape (dimensions,), of length 1.

        Raises:
            EngineError: The model failed.
        """
