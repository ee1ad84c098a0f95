"""A live session as its socket sees it, whatever the wire: messages in, events out, pieces for the transcription."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from voice_stack.asr.live.turns import (
    Change,
    Clear,
    Commit,
    LiveRequest,
    LiveSound,
    Told,
    TurnDraft,
    TurnText,
)
from voice_stack.asr.transcript import Segment
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.http.realtime import ClientEvent, Event

Piece = LiveSound | Commit | Clear | Change
LiveOutput = Told | TurnDraft | TurnText


class Answer(NamedTuple):
    """What follows from a client's message: for the client, and for the transcription."""

    events: list[Event]
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """What a turn said that is complete, in the session's time."""

    item_id: str
    segments: tuple[Segment, ...]


class LiveSession(ABC):
    """A machine without socket; a transcription begins with its first sound, and another may follow one that failed.

    Attributes:
        id: As `sess_0123456789abcdef01234567`.
        expires_at: Its end, seconds since 1970.
        audio_s: All the sound that was ever sent, in seconds.
        fallbacks: What was done in the second-best way so far.
        is_over: Whether the client has said that it sends no more.
    """

    id: str
    expires_at: int
    audio_s: float
    fallbacks: dict[str, None]
    is_over: bool = False

    @property
    @abstractmethod
    def model(self) -> str:
        """The model that is to hear."""

    @property
    @abstractmethod
    def request(self) -> LiveRequest:
        """What the transcription is asked."""

    @property
    def asks_speakers(self) -> bool:
        """Whether who speaks is to be told."""
        return False

    @abstractmethod
    def open(self) -> list[Event]:
        """What is sent at once."""

    @abstractmethod
    def read(self, message: str | bytes) -> ClientEvent:
        """Read a message, which for a long one takes its time; what is wrong with it is told in it."""

    @abstractmethod
    def receive(self, event: ClientEvent) -> Answer:
        """Take a message that was read."""

    @abstractmethod
    def tell(self, told: LiveOutput) -> list[Event]:
        """Take what the transcription tells; what it told before, after a crash, is passed over."""

    @abstractmethod
    def fail(self, error: VoiceStackError) -> list[Event]:
        """The transcription has failed; with the next sound another one begins."""

    @abstractmethod
    def take_heard(self) -> tuple[list[HeardTurn], int]:
        """The turns that were completed since this was asked last; how many failed."""

    def close(self) -> list[Event]:
        """What is sent last, where nothing failed."""
        return []
