"""What one provider's wire is: how it is asked to hear a file, what its answer says, and what its models can do."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated

from pydantic import Field

from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.providers.answer import Heard
from voice_stack.asr.providers.sound import Sound
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.core.provider_client import Body, Question

Number = Annotated[float, Field(allow_inf_nan=False)]
"""Of an answer."""
PATIENCE_S = 60.0
"""For the first byte of an answer, besides as long as the sound is: no provider is slower than a recorder."""
OWN_FIELDS = frozenset(
    {"beam_size", "chunking_strategy", "min_silence_duration_ms", "multilingual", "speech_pad_ms", "vad_filter"}
    | {"vad_parameters", "vad_threshold"}
)
"""Fields of a request that are about models of this server."""
COUNTS = frozenset({"num_speakers", "min_speakers", "max_speakers"})


class Wire(ABC):
    """A provider's wire; it keeps nothing.

    Attributes:
        models: Those that are listed where the settings allow them; others may be asked for as well.
        max_bytes: The largest file that it takes.
    """

    models: tuple[str, ...]
    max_bytes: int

    @abstractmethod
    def capabilities(self, model: str) -> AsrCapabilities:
        """What a model can do."""

    @abstractmethod
    def unheeded(self, model: str) -> frozenset[str]:
        """Fields of a request that mean nothing to a model."""

    @abstractmethod
    def ask(self, model: str, request: TranscriptionRequest, sound: Sound) -> Question:
        """The question what is said."""

    @abstractmethod
    def read(self, content: bytes, request: TranscriptionRequest, duration_s: float) -> Heard:
        """What an answer says; pure, and quick for all but long files.

        Raises:
            ProviderError: It cannot be so.
        """


def multipart(fields: Sequence[tuple[str, str]], sound: Sound) -> Body:
    """A form with the sound as its `file`, which is read while it is sent."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio.{sound.suffix}"\r\n'
        f"Content-Type: {sound.media_type}\r\n\r\n"
    )
    head, tail = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield head
        async for piece in sound.pieces():
            yield piece
        yield tail

    return Body(f"multipart/form-data; boundary={boundary}", len(head) + sound.size + len(tail), pieces)


def split_hotwords(hotwords: str | None) -> list[str]:
    """The words to expect, one by one."""
    return [word for part in (hotwords or "").split(",") if (word := part.strip())]


def tell_number(value: float) -> str:
    """A number in a form."""
    return f"{value:g}"
