"""What crosses the border of a live transcription: what is asked, fed and told.

Times are in seconds of all the sound that was ever fed; turns are counted from 0.
"""

from dataclasses import dataclass
from typing import Literal

from voice_stack.asr.request import DecodeOptions, SpeakerChoice, SpeakerTurn, WindowText

Encoding = Literal["pcm", "pcmu", "pcma"]
Eagerness = Literal["low", "medium", "high", "auto"]
LONGEST_PAUSES_S: dict[Eagerness, float] = {"low": 8.0, "medium": 4.0, "auto": 4.0, "high": 2.0}
"""By eagerness, as at OpenAI: silence that ends a semantic turn whatever was said."""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """How the sound is written: s16le, or G.711 in one of its two laws; mono."""

    encoding: Encoding = "pcm"
    sample_rate: int = 24_000


@dataclass(frozen=True, slots=True)
class TurnRules:
    """How turns are told.

    Attributes:
        kind: By commits alone, by silence, or by whether what was said is complete.
        threshold: Probability from which a frame is speech.
        prefix_s: Sound before it that belongs to a turn.
        silence_s: Silence that ends one.
        eagerness: How soon a turn that seems complete ends.
    """

    kind: Literal["none", "silence", "semantic"] = "silence"
    threshold: float = 0.5
    prefix_s: float = 0.3
    silence_s: float = 0.5
    eagerness: Eagerness = "auto"

    @property
    def longest_pause_s(self) -> float:
        """Silence that ends a turn whatever was said."""
        return LONGEST_PAUSES_S[self.eagerness] if self.kind == "semantic" else self.silence_s


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What is asked of a live transcription; a change is a new one.

    Attributes:
        decode: How speech becomes text.
        suppress: Steps against text that nobody said.
        candidate_languages: The language is one of these, if any.
        characters: As in a `TranscriptionRequest`; `multilingual` as well.
        has_drafts: Words are told while they are spoken.
        draft_step_s: How often, if nothing else is to be done.
    """

    decode: DecodeOptions
    sound: SoundFormat = SoundFormat()
    rules: TurnRules = TurnRules()
    suppress: frozenset[str] = frozenset()
    candidate_languages: tuple[str, ...] = ()
    characters: str | None = None
    multilingual: bool | None = None
    has_drafts: bool = True
    draft_step_s: float = 0.5


@dataclass(frozen=True, slots=True)
class LiveDiarization:
    """What is asked of a live diarization: who of those that are known speaks, and who else."""

    sound: SoundFormat
    speakers: SpeakerChoice


@dataclass(frozen=True, slots=True)
class LiveSound:
    """Fed: sound as it came."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """For the bound on what is on its way."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Commit:
    """Fed: the turn ends here."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Fed: what was not committed is forgotten."""


@dataclass(frozen=True, slots=True)
class Muted:
    """Fed: no sound comes any more, not even silence; a turn that is open is over."""


@dataclass(frozen=True, slots=True)
class Change:
    """Fed: from here on something else is asked."""

    request: LiveRequest


@dataclass(frozen=True, slots=True)
class WhoSpoke:
    """Fed to a diarization: who spoke from when to when is asked; the name of the turn comes back."""

    item_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class TurnSpeakers:
    """Result of a diarization: who spoke in a turn and just beside it, numbered over all that was ever fed."""

    item_id: str
    turns: tuple[SpeakerTurn, ...]


@dataclass(frozen=True, slots=True)
class SessionVoice:
    """A speaker of a live diarization.

    Attributes:
        vector: What they sound like in the recording in which they spoke most, of length 1.
        speech_s: How long they spoke there.
        name: As of a `Speaker`; so `score`.
    """

    vector: tuple[float, ...]
    speech_s: float
    name: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class SpeakersMark:
    """Where a diarization goes on: so many samples at 16 kHz were before its first feed, which is written so."""

    samples: int
    sound: SoundFormat
    voices: tuple[SessionVoice, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Told: somebody speaks; what belongs to the turn before that is subtracted."""

    turn: int
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Told: nobody speaks any more; the silence that told it is included."""

    turn: int
    at_s: float


@dataclass(frozen=True, slots=True)
class TurnClosed:
    """Told: the turn is complete, and its text follows."""

    turn: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class NothingToCommit:
    """Told: a commit came with less than 0.1 s of sound."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Told: what was not committed is forgotten, this turn with it."""

    turn: int | None


Told = SpeechStarted | SpeechStopped | TurnClosed | NothingToCommit | Cleared


@dataclass(frozen=True, slots=True)
class TurnDraft:
    """Draft: all words of the turn so far that will stay; each draft extends the one before."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnText:
    """Result: the final text of a window of a turn, of which a long one has several."""

    turn: int
    window: WindowText
    is_last: bool
