"""The sound of a reply in the format that is asked for: whole, or while it is spoken."""

import asyncio
import threading
from contextlib import suppress

import numpy as np

from voice_stack.chat.events import SAMPLE_RATE
from voice_stack.utils.audio.encode import Encoder, encode_whole, open_encoder, require_format
from voice_stack.utils.audio.pcm import Samples


def _to_samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


async def encode_reply(pcm: bytes, response_format: str) -> bytes:
    """The sound of a whole reply as a file.

    Args:
        pcm: s16le, mono, 24 kHz.
        response_format: One of `AUDIO_FORMATS`.
    """
    if response_format == "pcm":
        return pcm
    return await asyncio.to_thread(encode_whole, [_to_samples(pcm)], response_format, SAMPLE_RATE)


class ReplyEncoder:
    """The sound of a reply as one file, while it is spoken; it works in threads.

    Args:
        response_format: One of `AUDIO_FORMATS`.

    Raises:
        UnsupportedValueError: It is none.
    """

    def __init__(self, response_format: str) -> None:
        require_format(response_format)
        self._encoder = None if response_format == "pcm" else open_encoder(response_format)
        self._lock = threading.Lock()

    async def push(self, pcm: bytes) -> bytes:
        """What is ready after further sound."""
        return pcm if self._encoder is None else await asyncio.to_thread(self._push, self._encoder, pcm)

    async def finish(self) -> bytes:
        """The rest."""
        return b"" if self._encoder is None else await asyncio.to_thread(self._encoder.finish)

    def close(self) -> None:
        """Free the memory of the codec. A thread whose reader has left may still be in it, for some ms."""
        if self._encoder is not None:
            with self._lock:
                self._encoder.close()

    def _push(self, encoder: Encoder, pcm: bytes) -> bytes:
        with self._lock, suppress(ValueError):  # it has been closed meanwhile
            return encoder.push(_to_samples(pcm))
        return b""
