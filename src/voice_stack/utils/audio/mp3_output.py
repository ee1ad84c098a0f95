"""Samples to MP3 by LAME, with the tag that makes a stream a file of exact length.

FFmpeg's MP3 encoder is LAME too, but as PyAV brings it it takes over three times as long.
"""

import struct

import lameenc

from voice_stack.utils.audio.exact_head import ExactHead
from voice_stack.utils.audio.pcm import Samples, to_int16

BIT_RATE = 96_000
QUALITY = 7
"""The quickest, without LAME's psychoacoustic model; the signal-to-noise ratio is that of the slower ones."""

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
        sample_rate: 16,000, 22,050 or 24,000 Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frame_bytes = BIT_RATE * FRAME_SAMPLES // 8 // sample_rate
        self._samples, self._bytes, self._frame_head = 0, 0, b""
        encoder = lameenc.Encoder()
        encoder.set_channels(1)
        encoder.set_in_sample_rate(sample_rate)
        encoder.set_out_sample_rate(sample_rate)
        encoder.set_bit_rate(BIT_RATE // 1000)
        encoder.set_quality(QUALITY)
        # It would print its settings.
        encoder.silence()
        self._encoder: lameenc.Encoder | None = encoder

    def write(self, samples: Samples) -> bytes:
        """What is ready after 1-D float32 samples; it may end within a frame."""
        if self._encoder is None or not len(samples):
            return b""
        self._samples += len(samples)
        return self._note(self._encoder.encode(to_int16(samples).astype("<i2").tobytes()))

    def finish(self) -> bytes:
        """The rest; a stream without a sample gets a frame of silence, for it cannot be empty."""
        if self._encoder is None:
            return b""
        first = b"" if self._samples else self._note(self._encoder.encode(bytes(2)))
        return first + self._note(self._encoder.flush())

    @property
    def exact_head(self) -> ExactHead:
        """A first frame that states length, delay and padding; decoders that know the tag leave them out."""
        if not self._bytes:
            return ExactHead()
        frames = self._bytes // self._frame_bytes
        padding = frames * FRAME_SAMPLES - ENCODER_DELAY - self._samples
        return ExactHead(0, _info_frame(self._frame_head, self._frame_bytes, frames, padding))

    def close(self) -> None:
        """Free the encoder's memory."""
        self._encoder = None

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
