"""What the TTS server's two processes tell each other: small picklable dataclasses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.tts.engine.base import VoiceOptions
from voice_stack.utils.audio.word_alignment import WordTime
from voice_stack.utils.text.markup import Markup


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of text in one voice.

    Attributes:
        text: As the client wrote it, normalised; marks of pauses are left in it.
        options: Who speaks and how; the language has a region where that is known (`en-GB`), and any speed will do.
        languages: Codes of all languages the voice speaks: a sentence may be in another one than the passage.
        written_in: Code of the language that the text is in, where that did not matter for the voice; empty: not known.
    """

    text: str
    options: VoiceOptions
    languages: tuple[str, ...] = ()
    written_in: str = ""

    @property
    def language_code(self) -> str:
        """Of its language, without the region."""
        return self.options.language.partition("-")[0]


@dataclass(frozen=True, slots=True)
class TextOverTime:
    """How a text is read that is fed to the job piece by piece, while it is written.

    Attributes:
        markup: Whether its markup is read as a person would, or as it stands.
        reads: What is read although it is usually left out: some of `READABLE`.
    """

    markup: Markup = "auto"
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flush:
    """Fed among pieces of text: all before it is to be spoken now. An output as well, behind the sound of that."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Told at the end of a text over time: what of it is not spoken, by name."""

    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A checked request, or the part of it that is one engine's, on its way to the engine process.

    Attributes:
        passages: Who says what, in order.
        goes_on: Whether another engine speaks after it.
        is_awaited: Whether somebody waits for it to begin; not so if it is only wanted whole, or others speak before.
        over_time: Set where the text is fed: there is one passage then, and its text is empty.
    """

    passages: tuple[Passage, ...]
    goes_on: bool = False
    is_awaited: bool = True
    over_time: TextOverTime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Output: the next stretch of speech.

    Attributes:
        samples: Mono float32 of shape (samples,), in -1 to 1.
        sample_rate: In Hz, the same for all of a job.
        is_last: Whether the speech ends with it.
        text: The clause it is of, as the client wrote it: with the first of its sounds if the engine knows by then when
            its words are said, else with the last; empty with the others.
        words: The clause's words, where times are known, from the beginning of these samples: below 0 for words that
            are in the sounds before, beyond their end for those in the sounds to come.
        goes_on: Whether the next sound goes on with the clause.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    is_last: bool
    text: str = ""
    words: tuple[WordTime, ...] = ()
    goes_on: bool = False

    @property
    def size_bytes(self) -> int:
        """Memory of the samples."""
        return self.samples.nbytes


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
    loudness_lufs: float | None = None
    pronunciations: Path | None = None
    accept_cpml: bool = False


CHARACTERS_PER_SECOND = 15.0
"""Usual pace of speech."""
LISTENED_AHEAD_S = 30.0
"""Who listens while a speech is made waits for its beginning; the rest is made while that is heard."""
USUAL_TURN_S = 5.0
"""Speech that is expected of a text that is not written yet."""


def text_s(text: str, speed: float) -> float:
    """Seconds that a text takes at a speed."""
    return len(text) / CHARACTERS_PER_SECOND / speed


def speech_s(request: SpeechRequest) -> float:
    """Seconds of speech that a request comes to, as far as can be told."""
    if request.over_time is not None:
        return USUAL_TURN_S
    return sum(text_s(passage.text, passage.options.speed) for passage in request.passages)


def awaited_s(requests: Sequence[SpeechRequest]) -> float:
    """How much of a speech somebody waits for, in seconds: its beginning, or all where it is only wanted whole.

    Args:
        requests: The parts of the speech in order, one at least.
    """
    all_s = sum(map(speech_s, requests))
    return min(all_s, LISTENED_AHEAD_S) if requests[0].is_awaited else all_s
