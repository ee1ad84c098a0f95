"""Files that nobody means well with, made by bytes where no encoder makes them."""

import io
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

from e2e.sound import tone, transcode

RATE = 16_000
NOISE = np.random.default_rng(1).integers(-9000, 9000, 40 * RATE).astype("<i2").tobytes()
"""Something to hear: 40 s of it at 16 kHz, 16 bit."""


def element(name: str, content: bytes) -> bytes:
    """An element of Matroska, its id in hex."""
    return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(name: str, value: int) -> bytes:
    return element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


_EBML = element("1A45DFA3", _number("42F7", 1) + element("4282", b"matroska") + _number("4287", 4) + _number("4285", 2))
_ZLIB = element("6D80", element("6240", _number("5031", 0) + _number("5032", 1) + element("5034", _number("4254", 0))))


def _track(number: int, kind: int, codec: bytes, rest: bytes) -> bytes:
    return element(
        "AE", _number("D7", number) + _number("73C5", number) + _number("83", kind) + element("86", codec) + rest
    )


def _sound_track(number: int, rest: bytes = b"") -> bytes:
    form = element("B5", struct.pack(">d", RATE)) + _number("9F", 1) + _number("6264", 16)
    return _track(number, 2, b"A_PCM/INT/LIT", element("E1", form) + rest)


def _block(track: int, time_ms: int, data: bytes) -> bytes:
    return element("A3", bytes([0x80 | track]) + struct.pack(">hB", time_ms, 0x80) + data)


def _matroska(tracks: bytes, clusters: Sequence[tuple[int, bytes]]) -> bytes:
    body = element("1549A966", _number("2AD7B1", 1_000_000)) + element("1654AE6B", tracks)
    for time_ms, blocks in clusters:
        body += element("1F43B675", _number("E7", time_ms) + blocks)
    return _EBML + element("18538067", body)


def _sound_blocks(count: int) -> bytes:
    return b"".join(_block(1, 100 * index, NOISE[3200 * index : 3200 * (index + 1)]) for index in range(count))


def black_png(side: int) -> bytes:
    """A square picture; of 8000 pixels a side it is 256 MB when decoded."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 4 * side)) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture_tracks(side: int, tracks: int) -> bytes:
    """2 s of sound beside tracks of one huge picture each, which Matroska's own zlib makes small once more."""
    form = struct.pack("<IiiHH4sIiiII", 40, side, side, 1, 24, b"MPNG", 0, 0, 0, 0, 0)
    size = element("E0", _number("B0", side) + _number("BA", side))
    picture = zlib.compress(black_png(side), 9)
    declared, blocks = _sound_track(1), b""
    for number in range(2, tracks + 2):
        declared += _track(number, 1, b"V_MS/VFW/FOURCC", element("63A2", form) + size + _ZLIB)
        blocks += _block(number, 0, picture)
    return _matroska(declared, [(0, blocks + _sound_blocks(20))])


def inflating_sound(size_mb: int) -> bytes:
    """A sound track of which one packet of a few MB is so many when it is unpacked."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size_mb)) + packer.flush()
    blocks = [_block(1, 200 * at, zlib.compress(NOISE[:6400]) if at != 2 else packed) for at in range(5)]
    return _matroska(_sound_track(1, _ZLIB), [(0, b"".join(blocks))])


def hours_between_sounds() -> bytes:
    """200 sounds of a hundredth of a second, an hour from one to the next."""
    return _matroska(
        _sound_track(1), [(index * 3_500_000, _block(1, 0, NOISE[320 * index :][:320])) for index in range(200)]
    )


def without_packets() -> bytes:
    """A header with a sound track, and nothing of it."""
    return _matroska(_sound_track(1), [])


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def _full(name: bytes, content: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags) + content)


_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_HERE = _full(b"url ", b"", 1)


def movie(
    samples: int,
    *,
    sample_size: int = 2,
    codec: bytes = b"sowt",
    rate: int = RATE,
    channels: int = 1,
    tracks: int = 1,
    tables: dict[bytes, bytes] | None = None,
    place: bytes = _HERE,
) -> bytes:
    """A QuickTime film of 1 s of sound whose tables may say anything.

    Args:
        samples: How many each track says it has.
        sample_size: Of one, in bytes.
        codec: Of the sound.
        rate: As the header has it.
        channels: As the header has it.
        tracks: How many, all alike.
        tables: Contents of some of `stts`, `stsc`, `stsz` and `stco`.
        place: The data reference: where the samples are.
    """
    sound = struct.pack(">HHIHHHHI", 0, 0, 0, channels, 16, 0, 0, rate << 16 & 0xFFFFFFFF)
    usual = {
        b"stts": struct.pack(">III", 1, samples, 1 if codec == b"sowt" else 1024),
        b"stsc": struct.pack(">IIII", 1, 1, samples, 1),
        b"stsz": struct.pack(">II", sample_size, samples),
        b"stco": struct.pack(">II", 1, 28),
    }
    described = _box(codec, bytes(6) + struct.pack(">H", 1) + sound)
    table = _full(b"stsd", struct.pack(">I", 1) + described)
    table += b"".join(_full(name, content) for name, content in {**usual, **(tables or {})}.items())
    data = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + place))
    media = _box(b"minf", _full(b"smhd", bytes(4)) + data + _box(b"stbl", table))
    media = _full(b"hdlr", b"mhlrsoun" + bytes(13)) + media
    media = _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, RATE, samples, 0, 0)) + media
    declared = b""
    for number in range(1, tracks + 1):
        head = struct.pack(">IIIII", 0, 0, number, 0, 1000) + bytes(8) + struct.pack(">hhhh", 0, 0, 0x100, 0)
        declared += _box(b"trak", _full(b"tkhd", head + _MATRIX + bytes(8), 7) + _box(b"mdia", media))
    head = struct.pack(">IIIIIH", 0, 0, 1000, 1000, 0x10000, 0x100) + bytes(10) + _MATRIX + bytes(24)
    begin = _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"mdat", NOISE[: 2 * RATE])
    return begin + _box(b"moov", _full(b"mvhd", head + struct.pack(">I", 2)) + declared)


def elsewhere(path: str) -> bytes:
    """A film whose samples are in another file."""
    return movie(RATE, place=_full(b"url ", f"file://{path}".encode() + b"\0"))


def wave(
    form: int, channels: int, rate: int, bits: int, align: int | None = None, data: bytes = NOISE[:32_000]
) -> bytes:
    """A WAV file whose header may say anything."""
    align = max(1, channels * bits // 8) & 0xFFFF if align is None else align
    head = struct.pack("<HHIIHH", form, channels, rate, rate * 2 & 0xFFFFFFFF, align, bits)
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + head + b"data" + struct.pack("<I", len(data)) + data


def many_tracks(container: str, codec: str, tracks: int) -> bytes:
    """0.5 s of sound on each of so many tracks."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as file:
        streams = [file.add_stream(codec, RATE, layout="mono") for _ in range(tracks)]
        for stream in streams:
            assert isinstance(stream, av.AudioStream)
            frame = av.AudioFrame.from_ndarray(np.frombuffer(NOISE[:RATE], np.int16)[np.newaxis], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            fifo, resampler = av.AudioFifo(), av.AudioResampler(stream.codec_context.format, "mono", RATE)
            for out in resampler.resample(frame):
                fifo.write(out)
            for part in fifo.read_many(stream.codec_context.frame_size or 1600, partial=True):
                file.mux(stream.encode(part))
            file.mux(stream.encode(None))
    return target.getvalue()


def changing_rates(times: int) -> bytes:
    """An MP3 of pieces of less than a tenth of a second, each at another rate than the one before."""
    stream = b""
    for rate in (8000, 48_000, 11_025, 44_100, 12_000, 32_000, 16_000, 24_000, 22_050):
        encoder = av.CodecContext.create("libmp3lame", "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16p"
        for _ in range(3):
            frame = av.AudioFrame.from_ndarray(np.frombuffer(NOISE[:1152], np.int16)[np.newaxis], "s16p", "mono")
            frame.sample_rate = rate
            stream += b"".join(map(bytes, encoder.encode(frame)))
        stream += b"".join(map(bytes, encoder.encode(None)))
    return stream * times


def flac_frames_of_any_rate(frames: int) -> bytes:
    """A FLAC stream whose frames of 16 samples each name a sample rate of their own, for which no table is made yet."""
    info = struct.pack(">HH", 16, 16) + bytes(6) + (RATE << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)
    stream = b"fLaC\x80\x00\x00\x22" + info
    for index in range(frames):
        head = b"\xff\xf8\x6d\x08" + chr(index).encode("utf-8", "surrogatepass") + b"\x0f"
        head += struct.pack(">H", 40_001 + 2 * (index % 12_000))
        head += bytes([_crc(head, 8, 0x07)])
        frame = head + b"\x00" + struct.pack(">h", index % 100)
        stream += frame + struct.pack(">H", _crc(frame, 16, 0x8005))
    return stream


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """As FLAC ends its frames and their heads."""
    top, mask, value = 1 << bits - 1, (1 << bits) - 1, 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value


def transcode_tone(container: str, codec: str, length_s: float = 0.05) -> bytes:
    """A tone."""
    rate = 48_000 if codec == "libopus" else RATE
    return transcode(tone(length_s, rate), container, codec, rate, "mono")


WAVES = {
    "rate 0": (1, 1, 0, 16, None), "no channels": (1, 0, RATE, 16, None), "65535": (1, 65_535, RATE, 16, None),
    "rate 4e9": (1, 1, 0xFFFFFFFF, 16, None), "768 kHz": (1, 1, 768_000, 16, None), "64 bit": (3, 1, RATE, 64, None),
    "768 kHz by 8": (1, 8, 768_000, 32, None), "192 kHz by 8": (1, 8, 192_000, 24, None), "ms": (2, 1, RATE, 4, None),
    "large blocks": (0x11, 1, RATE, 4, 65_535), "mp3": (0x55, 1, RATE, 0, None), "aac": (0xFF, 2, 48_000, 16, None),
    "extensible": (0xFFFE, 1, RATE, 16, None), "wma": (0x161, 2, 44_100, 16, None), "1 Hz": (6, 1, 1, 8, None),
    "1 kHz": (1, 1, 1000, 8, None), "unknown": (0x7A21, 1, RATE, 16, None), "ac3": (0x2000, 6, 48_000, 0, None),
    "gsm": (0x31, 1, 8000, 0, 65), "atrac": (0x270, 2, 44_100, 16, 384),
}  # fmt: skip
"""Values of `wave` that are extreme, or lies."""


def late_sound(container: str) -> bytes:
    """A film of 9 s and 20 MB of noise, of which the last second can be heard; there is no index in front."""
    target, noise = io.BytesIO(), np.random.default_rng(2)
    with av.open(target, "w", format=container) as file:
        video = file.add_stream("mpeg2video", rate=25, width=320, height=240, pix_fmt="yuv420p", bit_rate=20_000_000)
        sound = file.add_stream("mp2", RATE, layout="mono")
        assert isinstance(video, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        for number in range(9 * 25):
            picture = av.VideoFrame.from_ndarray(noise.integers(0, 255, (360, 320), np.uint8), format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            file.mux(video.encode(picture))
        for begin in range(0, RATE, 1152):
            part = np.frombuffer(NOISE, np.int16)[begin : begin + 1152][np.newaxis]
            frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 8 * RATE + begin, Fraction(1, RATE)
            file.mux(sound.encode(frame))
        for stream in (video, sound):
            file.mux(stream.encode(None))
    return target.getvalue()


def with_cover(size_mb: int) -> bytes:
    """An MP3 of 1 s behind a picture of so many MB."""
    frame = b"\0image/png\0\x03\0" + black_png(16) + bytes(size_mb << 20)
    frame = b"APIC" + struct.pack(">I", len(frame)) + b"\0\0" + frame
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame + transcode_tone("mp3", "libmp3lame", 1.0)
