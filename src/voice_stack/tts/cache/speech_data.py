"""What is known of an encoded speech besides its bytes."""

from dataclasses import dataclass

from voice_stack.utils.audio.exact_head import ExactHead


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell a listener at a place of the speech: captions, how far it has come.

    Attributes:
        at: Bytes of the stream that go before it.
        content: A JSON object.
    """

    at: int
    content: dict[str, object]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next bytes of a speech, perhaps between notes.

    Attributes:
        audio: The bytes.
        note: What is to be told after them.
        heading: What is to be told before them.
        is_last: Whether the piece is known to end the speech.
    """

    audio: bytes
    note: dict[str, object] | None = None
    heading: dict[str, object] | None = None
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class SpeechFacts:
    """What is known once a speech is complete.

    Attributes:
        audio_s: Its length in seconds.
        exact_head: Makes a file that states its length of what was streamed.
    """

    audio_s: float
    exact_head: ExactHead = ExactHead()  # noqa: RUF009 - frozen
