"""Samples through one of FFmpeg's encoders and muxers, by way of PyAV."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Literal

import av
import numpy as np

from voice_stack.utils.audio.exact_head import ExactHead
from voice_stack.utils.audio.muxer_output import MuxerOutput
from voice_stack.utils.audio.pcm import Samples, bound, silence, to_int16

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
