"""Samples as the bytes of a file: as they are, or through FFmpeg's encoders and muxers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Literal

import av
import numpy as np

from voice_stack.utils.audio.g711 import Law, encode
from voice_stack.utils.audio.pcm import Samples, bound, silence, to_int16, wav_header


@dataclass(frozen=True, slots=True)
class ExactHead:
    """What makes a finished stream the file it would be had its length been known from the start.

    Attributes:
        replaces: Bytes at the beginning of the stream that give way to it.
        data: What stands there instead, with the true lengths.
    """

    replaces: int = 0
    data: bytes = b""


class PlainOutput:
    """16-bit little-endian samples.

    Args:
        sample_rate: In Hz, for the header.
        has_header: Whether they follow a WAV header.
    """

    def __init__(self, sample_rate: int, *, has_header: bool) -> None:
        self._sample_rate = sample_rate
        self._header = wav_header(None, sample_rate) if has_header else b""
        self._header_bytes = len(self._header)
        self._written = 0

    def write(self, samples: Samples) -> bytes:
        """The bytes of 1-D float32 samples."""
        self._written += len(samples)
        header, self._header = self._header, b""
        return header + to_int16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    @property
    def exact_head(self) -> ExactHead:
        """The header with the true length."""
        header = wav_header(self._written, self._sample_rate) if self._header_bytes else b""
        return ExactHead(self._header_bytes, header)

    def close(self) -> None:
        """Nothing is held."""


class G711Output:
    """The bytes of telephones, at 8 kHz.

    Args:
        law: Which of the two.
    """

    exact_head = ExactHead()

    def __init__(self, law: Law) -> None:
        self._law: Law = law

    def write(self, samples: Samples) -> bytes:
        """The bytes of 1-D float32 samples."""
        return encode(to_int16(samples), self._law)

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""

    def close(self) -> None:
        """Nothing is held."""


class MuxerOutput:
    """The file object a muxer writes to.

    At the end of its work the muxer of FLAC goes back and completes what it wrote first. By then it has been sent, so
    the completed form is kept apart.
    """

    def __init__(self) -> None:
        self._position = 0
        self._end = 0
        self._head = bytearray()
        self._fresh = bytearray()
        self._is_rewritten = False

    @property
    def exact_head(self) -> ExactHead:
        """The completed head; it replaces nothing where the muxer never went back."""
        return ExactHead(len(self._head), bytes(self._head)) if self._is_rewritten else ExactHead()

    def seekable(self) -> bool:
        """Muxers complete their heads only where they may go back."""
        return True

    def tell(self) -> int:
        """Where the next write goes."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the start, from here or from the end (`whence` 0, 1, 2)."""
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def write(self, data: bytes) -> int:
        """Take what comes next, or what replaces a part of the head.

        Raises:
            ValueError: It replaces something else, which was sent long ago.
        """
        end = self._position + len(data)
        if self._position == self._end:
            if self._end == 0:
                self._head += data
            self._fresh += data
            self._end = end
        elif end <= len(self._head):
            self._head[self._position : end] = data
            self._is_rewritten = True
        else:
            raise ValueError(f"The muxer rewrites bytes {self._position} to {end}, beyond its head.")
        self._position = end
        return len(data)

    def take(self) -> bytes:
        """The bytes of the stream since the last call."""
        fresh, self._fresh = bytes(self._fresh), bytearray()
        return fresh


# bitexact: the same audio gives the same bytes, with no library version and no random Ogg serial number in them.
_MUXER_OPTIONS = {"fflags": "+bitexact", "flush_packets": "1"}

_NOISE_SAMPLES = 16_384


@dataclass(frozen=True)
class Codec:
    """An encoder and a muxer of FFmpeg.

    Attributes:
        name: libavcodec's of the encoder.
        container: libavformat's name of the muxer.
        sample_format: What the encoder takes, in libav's words (for one channel, planar and packed are the same).
        bit_rate: Bits per second; 0 where nothing is lost.
        options, muxer_options: For the encoder, for the muxer.
        grain: Noise on every sample, at most this share of it, for an encoder that fails where sound is simple.
    """

    name: Literal["libopus", "aac", "flac"]
    container: str
    sample_format: Literal["s16", "flt", "fltp"]
    bit_rate: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    grain: float = 0.0


class CodecOutput:
    """One codec, one muxer and what they write to.

    Args:
        codec: What they are.
        sample_rate: In Hz.
    """

    def __init__(self, codec: Codec, sample_rate: int) -> None:
        self._codec, self._sample_rate, self._sink = codec, sample_rate, MuxerOutput()
        self._position = 0
        options = {**_MUXER_OPTIONS, **codec.muxer_options}
        self._container = av.open(self._sink, "w", format=codec.container, options=options)
        self._stream = self._container.add_stream(
            codec.name, sample_rate, dict(codec.options), layout="mono", format=codec.sample_format,
            bit_rate=codec.bit_rate,
        )  # fmt: skip
        self._container.start_encoding()

    def write(self, samples: Samples) -> bytes:
        """What is ready after 1-D float32 samples."""
        if len(samples):
            self._encode(samples)
        return self._sink.take()

    def finish(self) -> bytes:
        """The rest; a lossy format without a sample gets one, for it cannot be empty."""
        if not self._position and self._codec.bit_rate:
            self._encode(silence(1 / self._sample_rate, self._sample_rate))
        self._container.mux(self._stream.encode(None))
        self._container.close()  # writes the trailer
        return self._sink.take()

    @property
    def exact_head(self) -> ExactHead:
        """What the muxer would have written first."""
        return self._sink.exact_head

    def close(self) -> None:
        """Free the codec's memory."""
        self._container.close()

    def _encode(self, samples: Samples) -> None:
        values = to_int16(samples) if self._codec.sample_format == "s16" else self._roughen(bound(samples))
        frame = av.AudioFrame.from_ndarray(values[np.newaxis], format=self._codec.sample_format, layout="mono")
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self._position
        self._position += len(samples)
        self._container.mux(self._stream.encode(frame))

    def _roughen(self, samples: Samples) -> Samples:
        if not self._codec.grain:
            return samples
        # By the place in the stream: how it is cut into blocks changes no bit of what comes out.
        noise = np.resize(np.roll(_noise(), -self._position), len(samples))
        return samples * (1 + self._codec.grain * noise)


@cache
def _noise() -> Samples:
    """White noise in [-1, 1), the same in every process."""
    return np.random.default_rng(0).uniform(-1, 1, _NOISE_SAMPLES).astype(np.float32)
