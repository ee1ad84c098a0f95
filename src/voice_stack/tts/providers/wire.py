"""What a provider's wire of speech is: a question for each clause, and how its answer is heard. It sends nothing."""

import io
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import av
import numpy as np

from voice_stack.core.errors import InvalidRequestError, ProviderError
from voice_stack.core.provider_client import Question
from voice_stack.tts.engine.base import Spoken
from voice_stack.tts.models import CAPABILITIES, TtsCapabilities
from voice_stack.utils.audio.pcm import Resampler, Samples

SAMPLE_RATE = 24_000
"""Every provider is asked for samples of 16 bits at this rate, in Hz."""
_CONTAINERS = {b"RIFF": "wav", b"OggS": "ogg", b"fLaC": "flac", b"ID3": "mp3", b"\xff\xfb": "mp3", b"\xff\xf3": "mp3"}
"""How files begin that some services send all the same, and what reads them."""

Ask = Callable[[Question], Awaitable[object]]
"""Asks, and gives the JSON that was answered."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A clause to be spoken.

    Attributes:
        text: As it was written, without markup.
        voice: The provider's own name of it; empty: any.
        before: What the same voice has said just before it; `after` is what follows.
        language: Code, if the request names one.
        speed: Inside what the provider can.
        instructions: How to speak, in words.
    """

    text: str
    voice: str = ""
    before: str = ""
    after: str = ""
    language: str = ""
    speed: float = 1.0
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class OfferedVoice:
    """A voice as a provider lists it.

    Attributes:
        id: The provider's own name of it.
        name: For people.
        languages: Codes of those that it speaks, its own first; none where it speaks any.
        description: One line for people.
    """

    id: str
    name: str = ""
    languages: tuple[str, ...] = ()
    description: str = ""


class SpeechWire(ABC):
    """The wire of one provider.

    Attributes:
        name: Of the provider.
        models: Those that are well known, the one for everyday first.
    """

    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]] = ()

    def can(self, model: str) -> TtsCapabilities:
        """What a model can do."""
        return CAPABILITIES[self.name]

    def heeds_instructions(self, model: str) -> bool:
        """Whether it is told in words how to speak."""
        return False

    def heeds_language(self, model: str) -> bool:
        """Whether it can be told the language of a text."""
        return False

    @abstractmethod
    def question(self, model: str, utterance: Utterance) -> Question:
        """What to ask to have a clause spoken."""

    def adapts(self, refusal: InvalidRequestError) -> bool:
        """Whether a question that was refused may be taken in another form, in which it is put from now on."""
        return False

    @abstractmethod
    def hear(self, headers: Mapping[str, str], content: bytes) -> Spoken:
        """The sound in a whole answer, at `SAMPLE_RATE`; not on the event loop.

        Raises:
            ProviderError: The answer is none that can be.
        """

    @abstractmethod
    async def list_voices(self, ask: Ask) -> list[OfferedVoice] | None:
        """The voices there are; None where nobody knows, and any name is worth a try.

        Raises:
            VoiceStackError: The provider cannot be asked.
        """


def hear_samples(provider: str, headers: Mapping[str, str], content: bytes) -> Samples:
    """Samples of 16 bits, or those in a file, at `SAMPLE_RATE`.

    Args:
        provider: For messages.
        headers: Of the answer; its media type may state another rate.
        content: The whole answer.

    Raises:
        ProviderError: It is no sound, or half a sample is missing.
    """
    kind, _, parameters = headers.get("content-type", "").partition(";")
    if kind.strip().lower() in {"application/json", "text/html", "text/plain"}:
        said = content[:200].decode("utf-8", "replace")
        raise ProviderError(f"The provider {provider} answered {kind.strip()} in place of sound: {said}", again_s=0.0)
    container = next((name for mark, name in _CONTAINERS.items() if content.startswith(mark)), None)
    if container is not None:
        return _read_file(provider, content, container)
    if len(content) % 2:
        raise ProviderError(f"The provider {provider} broke off in the middle of a sample.", again_s=0.0)
    fields = dict(part.strip().split("=", 1) for part in parameters.split(";") if "=" in part)
    rate = int(fields["rate"]) if fields.get("rate", "").isdecimal() else SAMPLE_RATE
    return _at_rate(np.frombuffer(content, "<i2").astype(np.float32) / np.float32(32768), rate)


def _at_rate(samples: Samples, rate: int) -> Samples:
    resampler = Resampler(rate, SAMPLE_RATE)
    return np.concatenate([resampler.push(samples), resampler.finish()])


def _read_file(provider: str, content: bytes, container: str) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    try:
        # The container is given: what refers to other files is not looked for.
        with av.open(io.BytesIO(content), "r", format=container) as file:
            frames = [*(part for frame in file.decode(audio=0) for part in resampler.resample(frame))]
        frames += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise ProviderError(f"The provider {provider} sent {container} that cannot be read: {error}") from None
    return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)])
