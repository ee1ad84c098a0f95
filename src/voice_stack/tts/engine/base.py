"""What an engine is: a clause in, samples out. Everything else is shared and lies elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.word_alignment import WordTime


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """What an engine needs to take on a voice.

    Attributes:
        name: The engine's own name for it, or a speaker's number; empty for the model's only or first voice.
        blend: Names with their weights, for a voice that is mixed of others.
        recordings: Files with the voice to clone.
        options: Settings of the engine that belong to the voice, by name.
    """

    name: str = ""
    blend: tuple[tuple[str, float], ...] = ()
    recordings: tuple[Path, ...] = ()
    options: tuple[tuple[str, float | str | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """How to speak a clause.

    Attributes:
        voice: Who speaks.
        language: Code of the clause's language, as `en`; empty if not known.
        speed: 1 is the voice's own pace; inside the engine's `speed_range`.
        instructions: How to speak, or as who, in words; empty for a model that heeds none.
        is_awaited: Somebody waits for the sound to begin: an engine that can hands it out while it makes it.
        is_alone: Nothing else is spoken beside it: it may have every core.
    """

    voice: EngineVoice = field(default_factory=EngineVoice)
    language: str = ""
    speed: float = 1.0
    instructions: str = ""
    is_awaited: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """The next stretch of a clause.

    Attributes:
        samples: Mono float32 of shape (samples,), in -1 to 1.
        words: Its words in order, from its own beginning; none if the engine does not know when they are spoken. Where
            the first stretch has any, they are those of the whole clause; where the last one alone has, those too, with
            times below 0 for what was heard before it.
        pace: How much faster than the voice's own pace it is, if the engine knows that this is not quite what it was
            asked for; None: it is. Shared code makes up for the difference.
        goes_on: The next stretch follows without a break: it was cut where there was sound.
    """

    samples: NDArray[np.float32]
    words: tuple[WordTime, ...] = ()
    pace: float | None = None
    goes_on: bool = False


class TtsEngine(ABC):
    """A loaded model. Each call of `synthesize` belongs to one thread, to the end of its iterator, unless `is_quick`.

    Args:
        model_dir: Folder with the model's files, or the voice's own file.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads, 0 for as many as the process may use.
        cache_dir: Where it may keep what is costly to compute; None: nowhere.

    Attributes:
        sample_rate: Of the samples, in Hz; set once the model is loaded.
        lanes: How many threads may call `synthesize` at once.
        is_quick: It speaks many times faster than one listens: others may begin to be heard between two pieces of a
            clause, which are then taken from several threads, and the first clause of a voice, on which its loudness
            is measured, is made whole.

    Raises:
        ModelLoadError: The model does not load.
    """

    sample_rate: int
    lanes: int = 1
    is_quick: bool = False

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        self.model_dir, self.device, self.threads, self.cache_dir = model_dir, device, threads, cache_dir

    @staticmethod  # noqa: B027 - most engines have nothing to do
    def stand_by(model_dir: Path) -> None:
        """Do what makes a later start quicker and holds no memory.

        Args:
            model_dir: As for the engine itself; it may be missing.

        Raises:
            OSError: It cannot be read.
        """

    def require_resources(self, *, offline: bool) -> None:  # noqa: B027 - most engines have all in their model
        """Make sure that all is there that the engine reads besides its model.

        Args:
            offline: Nothing may be fetched.

        Raises:
            ModelLoadError: Something is missing that would have to be fetched.
        """

    @abstractmethod
    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        """Speak one sentence or clause.

        Yields:
            Its sound in order; at least once.

        Raises:
            EngineError: The model failed.
        """
