"""Samples -> the bytes of an audio file, as they come.

FFmpeg's MP3 encoder is LAME too, but as PyAV brings it it takes over three times as long.

Every format is mono, at 24,000 Hz unless its name tells another rate (Opus decoders always play at 48,000 Hz). LAME
and FFmpeg's libraries do the work inside this process. Nothing is shared between encoders: any number may run at once,
each in one thread at a time.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import lameenc

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.audio.codecs import Codec, CodecOutput, ExactHead, G711Output, PlainOutput
from voice_stack.utils.audio.g711 import RATE as G711_RATE
from voice_stack.utils.audio.pcm import Resampler, Samples, bound, to_int16

BIT_RATE = 96_000
QUALITY = 7
"""The quickest, without LAME's psychoacoustic model; the signal-to-noise ratio is that of the slower ones."""

MPEG_2_RATE = 24_000
FRAME_SAMPLES = 576
"""Of MPEG-2, which is MP3 at 16,000 to 24,000 Hz; a frame has twice as many above."""

ENCODER_DELAY = 576
"""Samples that LAME puts in front."""

_FRAME_HEAD_BYTES = 4
_SIDE_BYTES = 9
"""Side information of an MPEG-2 frame with one channel; all zero here: a frame of silence."""

_ENCODER_NAME = b"LAME3.100"
_HAS_ALL = 0b1111
"""The tag has frames, bytes, table of contents and quality."""


class Mp3Output:
    """MP3 of constant bit rate, mono.

    Args:
        sample_rate: 16,000, 22,050, 24,000 or 44,100 Hz.
        bit_rate: In bits per second.
    """

    def __init__(self, sample_rate: int, bit_rate: int = BIT_RATE) -> None:
        frame_bytes, odd = divmod(bit_rate * FRAME_SAMPLES // 8, sample_rate)
        # Where frames are not all as long, and in MPEG-1, no head is made.
        self._frame_bytes = 0 if odd or sample_rate > MPEG_2_RATE else frame_bytes
        self._samples, self._bytes, self._frame_head = 0, 0, b""
        encoder = lameenc.Encoder()
        encoder.set_channels(1)
        encoder.set_in_sample_rate(sample_rate)
        encoder.set_out_sample_rate(sample_rate)
        encoder.set_bit_rate(bit_rate // 1000)
        encoder.set_quality(QUALITY)
        # It would print its settings.
        encoder.silence()
        self._encoder = encoder

    def write(self, samples: Samples) -> bytes:
        """What is ready after 1-D float32 samples; it may end within a frame."""
        if not len(samples):
            return b""
        self._samples += len(samples)
        return self._note(self._encoder.encode(to_int16(samples).astype("<i2").tobytes()))

    def finish(self) -> bytes:
        """The rest; a stream without a sample gets a frame of silence, for it cannot be empty."""
        first = b"" if self._samples else self._note(self._encoder.encode(bytes(2)))
        return first + self._note(self._encoder.flush())

    @property
    def exact_head(self) -> ExactHead:
        """A first frame that states length, delay and padding; decoders that know the tag leave them out."""
        if not self._bytes or not self._frame_bytes:
            return ExactHead()
        frames = self._bytes // self._frame_bytes
        padding = frames * FRAME_SAMPLES - ENCODER_DELAY - self._samples
        return ExactHead(0, _info_frame(self._frame_head, self._frame_bytes, frames, padding))

    def close(self) -> None:
        """LAME's memory goes with this object."""

    def _note(self, data: bytes | bytearray) -> bytes:
        if len(self._frame_head) < _FRAME_HEAD_BYTES:
            self._frame_head += bytes(data[: _FRAME_HEAD_BYTES - len(self._frame_head)])
        self._bytes += len(data)
        return bytes(data)


def _info_frame(frame_head: bytes, frame_bytes: int, frames: int, padding: int) -> bytes:
    """A frame of silence with the tag `Info` in it, as LAME and FFmpeg write it: "MP3 Info Tag revision 1".

    Args:
        frame_head: The four bytes that begin each frame of the stream.
        frame_bytes: Size of a frame.
        frames: How many there are, without this one.
        padding: Samples behind the last one that was put in.
    """
    size = (frames + 1) * frame_bytes
    # Where a hundredth of the time begins, in 256ths of the file.
    contents = bytes((frame_bytes + part * frames * frame_bytes // 100) * 256 // size for part in range(100))
    xing = b"Info" + struct.pack(">III", _HAS_ALL, frames, size) + contents + struct.pack(">I", 0)
    # No method, filter, loudness or preset is told; the zeros between are those, and the checksum of the sound.
    gapless = (ENCODER_DELAY << 12 | padding).to_bytes(3)
    lame = _ENCODER_NAME.ljust(21, b"\0") + gapless + bytes(4) + struct.pack(">IH", size, 0)
    tag = frame_head + bytes(_SIDE_BYTES) + xing + lame
    return (tag + struct.pack(">H", _crc16(tag))).ljust(frame_bytes, b"\0")


def _crc16(data: bytes) -> int:
    """CRC-16/ARC, with which the tag ends."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 * (crc & 1)
    return crc


OUTPUT_SAMPLE_RATE = 24_000

Output = PlainOutput | CodecOutput | Mp3Output | G711Output


@dataclass(frozen=True)
class AudioFormat:
    """One value of `response_format`.

    Attributes:
        media_type: For the Content-Type header.
        open_output: Starts what makes the bytes.
        sample_rate: Of the samples that go into it, in Hz.
    """

    media_type: str
    open_output: Callable[[], Output]
    sample_rate: int = OUTPUT_SAMPLE_RATE


# Level 1 takes half of the time of level 10, for 2 kbit/s more, the same noise and DNSMOS; level 0 costs 0.025 of
# that. A page (its length is in microseconds) costs 28 bytes, and the muxer holds one back.
_OPUS = Codec("libopus", "ogg", "flt", 64_000, {"compression_level": "1"}, {"page_duration": "40000"})
# The coder `fast` takes a quarter of the time of the usual one, and speech loses less at the same size: 60 to 80 kbit/s
# of this, at one quality, not at one rate (for that it encodes every frame twice). To a steady tone it gives more bits
# than that needs, so fine a scale that the largest values do not fit, and breaks it: hence the grain, 53 dB below the
# sound at every moment and 15 dB below the coder's own noise in speech.
_AAC_OPTIONS = {"aac_coder": "fast", "aac_pns": "0", "aac_tns": "0", "flags": "+qscale", "global_quality": "118"}
_AAC = Codec("aac", "adts", "fltp", 96_000, _AAC_OPTIONS, grain=0.004)
# Without the option a file begins with 8 KiB of zeros.
_FLAC = Codec("flac", "flac", "s16", muxer_options={"metadata_header_padding": "0"})

AUDIO_FORMATS: dict[str, AudioFormat] = {
    "mp3": AudioFormat("audio/mpeg", partial(Mp3Output, OUTPUT_SAMPLE_RATE)),
    "opus": AudioFormat("audio/opus", partial(CodecOutput, _OPUS, OUTPUT_SAMPLE_RATE)),
    "aac": AudioFormat("audio/aac", partial(CodecOutput, _AAC, OUTPUT_SAMPLE_RATE)),
    "flac": AudioFormat("audio/flac", partial(CodecOutput, _FLAC, OUTPUT_SAMPLE_RATE)),
    "wav": AudioFormat("audio/wav", partial(PlainOutput, OUTPUT_SAMPLE_RATE, has_header=True)),
    "pcm": AudioFormat("audio/pcm", partial(PlainOutput, OUTPUT_SAMPLE_RATE, has_header=False)),
}
"""Every output format by its name in the API."""


def _name_rated() -> dict[str, AudioFormat]:
    formats: dict[str, AudioFormat] = {}
    for rate in (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000):
        formats[f"pcm_{rate}"] = AudioFormat("audio/pcm", partial(PlainOutput, rate, has_header=False), rate)
        formats[f"wav_{rate}"] = AudioFormat("audio/wav", partial(PlainOutput, rate, has_header=True), rate)
    for rate, kbit in ((22_050, 32), (24_000, 48), *((44_100, kbit) for kbit in _KBITS)):
        formats[f"mp3_{rate}_{kbit}"] = AudioFormat("audio/mpeg", partial(Mp3Output, rate, kbit * 1000), rate)
    for kbit in _KBITS:
        opus = replace(_OPUS, bit_rate=kbit * 1000)
        formats[f"opus_48000_{kbit}"] = AudioFormat("audio/opus", partial(CodecOutput, opus, OUTPUT_SAMPLE_RATE))
    formats["ulaw_8000"] = AudioFormat("audio/basic", partial(G711Output, "pcmu"), G711_RATE)
    formats["alaw_8000"] = AudioFormat("audio/x-alaw-basic", partial(G711Output, "pcma"), G711_RATE)
    return formats


_KBITS = (32, 64, 96, 128, 192)
RATED_FORMATS = _name_rated()
"""Further ones, whose names tell their rates, as ElevenLabs has them. Opus is at 48 kHz for whoever plays it."""


def require_format(name: str) -> AudioFormat:
    """Look a format up.

    Raises:
        UnsupportedValueError: There is no such format; the message lists those there are.
    """
    known = AUDIO_FORMATS.get(name) or RATED_FORMATS.get(name)
    if known is None:
        there = f"{', '.join(AUDIO_FORMATS)}, or with rates {', '.join(RATED_FORMATS)}"
        message = f"Response format {name[:40]!r} is not supported. Supported formats: {there}."
        raise UnsupportedValueError(message, param="response_format")
    return known


class Encoder:
    """A stream of samples into one format: `open_encoder` makes it; as a context manager it closes itself.

    Attributes:
        exact_head: What makes the finished stream a file that states its length; known after `finish`.
    """

    def __init__(self, output: Output, sample_rate: int, output_rate: int = OUTPUT_SAMPLE_RATE) -> None:
        self._output: Output | None = output
        self._output_rate = output_rate
        self.exact_head = ExactHead()
        self.take_rate(sample_rate)

    def take_rate(self, sample_rate: int) -> None:
        """Set the rate of the samples, in Hz, before the first are pushed: an encoder may be opened ahead of them."""
        self._resampler = Resampler(sample_rate, self._output_rate)

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
            ValueError: The encoder is finished or closed.
        """
        output = self._require_output()
        with self:
            last = output.write(self._resampler.finish()) + output.finish()
            self.exact_head = output.exact_head
            return last

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

    def _require_output(self) -> Output:
        if self._output is None:
            raise ValueError("This encoder is finished or closed; open a new one for new audio.")
        return self._output


def open_encoder(format_name: str, sample_rate: int = OUTPUT_SAMPLE_RATE) -> Encoder:
    """Start an encoder whose bytes can be sent while the audio is still being made.

    Nothing written is changed later: FLAC carries no length, MP3 and AAC keep the codec's padding (below 0.1 s), and
    WAV states 0xFFFFFFFF for its sizes. No samples at all still make a valid file: the header, or one frame of silence
    in the lossy formats, which cannot be empty.

    Args:
        format_name: A key of `AUDIO_FORMATS` or `RATED_FORMATS`.
        sample_rate: Of the samples that will be pushed, in Hz.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    chosen = require_format(format_name)
    return Encoder(chosen.open_output(), sample_rate, chosen.sample_rate)


def encode_whole(chunks: Iterable[Samples], format_name: str, sample_rate: int) -> bytes:
    """Encode audio into one complete file.

    Unlike a stream it states its length: WAV, FLAC, Opus and MP3 decode to exactly what was put in (MP3 of less than
    2 ms excepted). AAC in ADTS frames has no place for a length and keeps its padding.

    Args:
        chunks: 1-D float32 arrays.
        format_name: A key of `AUDIO_FORMATS` or `RATED_FORMATS`.
        sample_rate: Of the samples, in Hz.

    Raises:
        UnsupportedValueError: There is no such format.
    """
    with open_encoder(format_name, sample_rate) as encoder:
        body = b"".join([*map(encoder.push, chunks), encoder.finish()])
        return encoder.exact_head.data + body[encoder.exact_head.replaces :]
