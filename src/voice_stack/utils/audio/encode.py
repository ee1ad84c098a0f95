"""Samples to bytes in the six formats of OpenAI's speech endpoint, block by block or as one whole file.

Every format is mono at 24,000 Hz (Opus decoders always play at 48,000 Hz). FFmpeg's libraries do the work inside this
process, through PyAV. Nothing is shared between encoders: any number may run at once, each in one thread at a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Self

import av
import numpy as np

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.audio.muxer_output import ExactHead, MuxerOutput
from voice_stack.utils.audio.pcm import Resampler, Samples, bound, silence, to_int16, wav_header

OUTPUT_SAMPLE_RATE = 24_000
# bitexact: the same audio gives the same bytes, with no library version and no random Ogg serial number in them.
_MUXER_OPTIONS = {"fflags": "+bitexact", "flush_packets": "1"}
_NO_ID3 = {"id3v2_version": "0"}


@dataclass(frozen=True)
class AudioFormat:
    """One value of `response_format`.

    Attributes:
        media_type: For the Content-Type header.
        suffix: Of a file, with the dot.
        codec: libavcodec's name of the encoder; `pcm_s16le` is done by numpy.
        container: libavformat's name of the muxer; `wav` and `s16le` (no header) are written here.
        sample_format: What the codec takes, in libav's words (for one channel, planar and packed are the same).
        bit_rate: Bits per second; 0 where nothing is lost.
        codec_options, options: For the encoder, for the muxer.
    """

    media_type: str
    suffix: str
    codec: Literal["libmp3lame", "libopus", "aac", "flac", "pcm_s16le"]
    container: str
    sample_format: str = "s16"
    bit_rate: int = 0
    codec_options: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


AUDIO_FORMATS: dict[str, AudioFormat] = {
    # Level 7 takes half the time of the default, with the same signal-to-noise ratio.
    "mp3": AudioFormat("audio/mpeg", ".mp3", "libmp3lame", "mp3", "fltp", 96_000, {"compression_level": "7"}, _NO_ID3),
    # In microseconds. A page costs 28 bytes, and the muxer holds one back.
    "opus": AudioFormat("audio/opus", ".opus", "libopus", "ogg", "flt", 64_000, {}, {"page_duration": "40000"}),
    # Not `aac_coder=fast`: it flattens a loud steady tone. Speech takes some 105 kbit/s of this.
    "aac": AudioFormat("audio/aac", ".aac", "aac", "adts", "fltp", 128_000),
    # Without the option a file begins with 8 KiB of zeros.
    "flac": AudioFormat("audio/flac", ".flac", "flac", "flac", options={"metadata_header_padding": "0"}),
    "wav": AudioFormat("audio/wav", ".wav", "pcm_s16le", "wav"),
    "pcm": AudioFormat("audio/pcm", ".pcm", "pcm_s16le", "s16le"),
}
"""Every output format by its name in the API."""


def require_format(name: str) -> AudioFormat:
    """Look a format up.

    Raises:
        UnsupportedValueError: There is no such format; the message lists those there are.
    """
    if name not in AUDIO_FORMATS:
        message = f"Response format {name!r} is not supported. Supported formats: {', '.join(AUDIO_FORMATS)}."
        raise UnsupportedValueError(message, param="response_format")
    return AUDIO_FORMATS[name]


class Encoder:
    """A stream of samples into one format: `open_encoder` makes it; as a context manager it closes itself."""

    def __init__(self, output: "_PlainOutput | _CodecOutput", sample_rate: int) -> None:
        self._output: _PlainOutput | _CodecOutput | None = output
        self._exact_head = ExactHead()
        self.take_rate(sample_rate)

    def take_rate(self, sample_rate: int) -> None:
        """Set the rate of the samples, in Hz, before the first are pushed: an encoder may be opened ahead of them."""
        self._resampler = Resampler(sample_rate, OUTPUT_SAMPLE_RATE)

    def push(self, samples: Samples) -> bytes:
        """Encode a block.

        Args:
            samples: 1-D float32 of any length; beyond [-1, 1] it is clipped, NaN is silence.

        Returns:
            The bytes that are ready, possibly none; after a block of 0.2 s all formats have some sound.

        Raises:
            ValueError: The encoder is finished or closed, or the array is not 1-D.
        """
        # Bounded before the filter: there, one NaN would blank the 40 ms around it.
        return self._require_output().write(self._resampler.push(bound(samples)))

    def finish(self) -> bytes:
        """End the stream, give everything that was held back, and close the encoder.

        Raises:
            ValueError: The encoder is finished or closed, or not `total_samples` were pushed.
        """
        output = self._require_output()
        with self:
            last = output.write(self._resampler.finish()) + output.finish()
            self._exact_head = output.exact_head
            return last

    @property
    def exact_head(self) -> ExactHead:
        """What makes the finished stream a file that states its length; known after `finish`."""
        return self._exact_head

    def close(self) -> None:
        """Free the codec's memory; bytes not yet given are lost. Closing again does nothing."""
        output, self._output = self._output, None
        if output is not None:
            # Now, whoever still knows this encoder: soxr complains on stderr of filters that outlive the interpreter.
            del self._resampler
            output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _require_output(self) -> "_PlainOutput | _CodecOutput":
        if self._output is None:
            raise ValueError("This encoder is finished or closed; open a new one for new audio.")
        return self._output


def open_encoder(format_name: str, sample_rate: int = OUTPUT_SAMPLE_RATE, total_samples: int | None = None) -> Encoder:
    """Start an encoder whose bytes can be sent while the audio is still being made.

    Nothing written is changed later: FLAC carries no length, MP3 and AAC keep the codec's padding (below 0.1 s), and
    WAV states its true sizes only when `total_samples` is given (else 0xFFFFFFFF). No samples at all still make a
    valid file: the header, or one frame of silence in the lossy formats, which cannot be empty.

    Args:
        format_name: A key of `AUDIO_FORMATS`.
        sample_rate: Of the samples that will be pushed, in Hz.
        total_samples: How many will be pushed, counted at `sample_rate`; used by WAV and PCM.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    audio_format = require_format(format_name)
    if audio_format.codec != "pcm_s16le":
        return Encoder(_CodecOutput(audio_format), sample_rate)
    total = None if total_samples is None else round(total_samples * OUTPUT_SAMPLE_RATE / sample_rate)
    header = wav_header(total, OUTPUT_SAMPLE_RATE) if audio_format.container == "wav" else b""
    return Encoder(_PlainOutput(header, total), sample_rate)


def encode_whole(chunks: Iterable[Samples], format_name: str, sample_rate: int) -> bytes:
    """Encode audio into one complete file.

    Unlike a stream it states its length: WAV, FLAC, Opus and MP3 decode to exactly what was put in (MP3 of less than
    2 ms excepted). AAC in ADTS frames has no place for a length and keeps its padding.

    Args:
        chunks: 1-D float32 arrays.
        format_name: A key of `AUDIO_FORMATS`.
        sample_rate: Of the samples, in Hz.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    with open_encoder(format_name, sample_rate) as encoder:
        body = b"".join([*map(encoder.push, chunks), encoder.finish()])
        return encoder.exact_head.data + body[encoder.exact_head.replaces :]


class _PlainOutput:
    """16-bit little-endian samples after a header, which may be empty."""

    def __init__(self, header: bytes, announced: int | None) -> None:
        self._header = header
        self._header_bytes = len(header)
        self._announced = announced
        self._written = 0

    def write(self, samples: Samples) -> bytes:
        self._written += len(samples)
        header, self._header = self._header, b""
        return header + to_int16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        if self._announced not in {None, self._written}:
            raise ValueError(f"{self._written} samples at {OUTPUT_SAMPLE_RATE} Hz; {self._announced} were announced.")
        return b""

    @property
    def exact_head(self) -> ExactHead:
        header = wav_header(self._written, OUTPUT_SAMPLE_RATE) if self._header_bytes else b""
        return ExactHead(self._header_bytes, header)

    def close(self) -> None:
        """Nothing is held."""


class _CodecOutput:
    """One codec, one muxer and what they write to."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format, self._sink = audio_format, MuxerOutput(hides_head=audio_format.container == "mp3")
        self._position = 0
        options = {**_MUXER_OPTIONS, **audio_format.options}
        self._container = av.open(self._sink, "w", format=audio_format.container, options=options)
        self._stream = self._container.add_stream(
            audio_format.codec, OUTPUT_SAMPLE_RATE, dict(audio_format.codec_options), layout="mono",
            format=audio_format.sample_format, bit_rate=audio_format.bit_rate,
        )  # fmt: skip
        self._container.start_encoding()

    def write(self, samples: Samples) -> bytes:
        if len(samples):
            self._encode(samples)
        return self._sink.take()

    def finish(self) -> bytes:
        if not self._position and self._format.bit_rate:
            self._encode(silence(1 / OUTPUT_SAMPLE_RATE, OUTPUT_SAMPLE_RATE))
        self._container.mux(self._stream.encode(None))
        self._container.close()  # writes the trailer
        return self._sink.take()

    @property
    def exact_head(self) -> ExactHead:
        return self._sink.exact_head

    def close(self) -> None:
        self._container.close()

    def _encode(self, samples: Samples) -> None:
        values = to_int16(samples) if self._format.sample_format == "s16" else bound(samples)
        frame = av.AudioFrame.from_ndarray(values[np.newaxis], format=self._format.sample_format, layout="mono")
        frame.sample_rate = OUTPUT_SAMPLE_RATE
        frame.time_base = Fraction(1, OUTPUT_SAMPLE_RATE)
        frame.pts = self._position
        self._position += len(samples)
        self._container.mux(self._stream.encode(frame))
