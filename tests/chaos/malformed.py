"""Uploads that are broken in every way, made from sound ones by chance that can be repeated."""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from e2e.sound import tone, transcode

BOUNDARY = "BB"
MANY = 40_000
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Upload:
    """A request's headers and body, and in which way it is broken."""

    kind: str
    headers: dict[str, str]
    body: bytes


@cache
def seeds() -> dict[str, bytes]:
    """Sound files that are all right, by name."""
    sound = tone(0.6)
    return {
        "a.wav": sound,
        "a.mp3": transcode(sound, "mp3", "libmp3lame", 16_000, "mono"),
        "a.ogg": transcode(sound, "ogg", "libopus", 48_000, "mono"),
        "a.mp4": transcode(sound, "mp4", "aac", 16_000, "mono"),
        "a.flac": transcode(sound, "flac", "flac", 16_000, "mono"),
        "a.mka": transcode(sound, "matroska", "pcm_s16le", 16_000, "mono"),
        "a.webm": transcode(sound, "webm", "libopus", 48_000, "mono"),
    }


def _form(name: str, sound: bytes, *, content_type: str = "audio/wav", model: bytes = b"whisper-1") -> bytes:
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {content_type}'
    head = b'--BB\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + model + b"\r\n--BB\r\n"
    return head + disposition.encode() + b"\r\n\r\n" + sound + b"\r\n--BB--\r\n"


def _whole(kind: str, name: str, sound: bytes, **form: object) -> Upload:
    return Upload(kind, {"content-type": CONTENT_TYPE}, _form(name, sound, **form))  # type: ignore[arg-type]


def _pick(rng: random.Random) -> tuple[str, bytes]:
    return rng.choice(sorted(seeds().items()))


def _truncated(rng: random.Random) -> Upload:
    name, sound = _pick(rng)
    return _whole("truncated", name, sound[: rng.randrange(len(sound))])


def _flipped(rng: random.Random) -> Upload:
    name, sound = _pick(rng)
    data = bytearray(sound)
    for _ in range(rng.choice((1, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return _whole("bits flipped", name, bytes(data))


def _scrambled_head(rng: random.Random) -> Upload:
    name, sound = _pick(rng)
    return _whole("head of noise", name, rng.randbytes(rng.choice((4, 12, 60))) + sound[rng.choice((4, 12, 60)) :])


def _wrong_type(rng: random.Random) -> Upload:
    name, sound = _pick(rng)
    told = rng.choice(("audio/pcm", "audio/L16;rate=9", "text/html", "image/png", "video/mp4", "audio/pcm;channels=99"))
    return _whole("wrong type", rng.choice((name, "a.txt", "../../a.wav", "", "a" * 900, "\\..\\x")), sound,
                  content_type=told)  # fmt: skip


def _lying_wav(rng: random.Random) -> Upload:
    rate, channels, bits = rng.choice(((0, 1, 16), (0xFFFFFFFF, 1, 16), (16_000, 65_535, 16), (16_000, 0, 0)))
    size = rng.choice((0, 0x7FFFFFFF, 0xFFFFFFFF))
    form = struct.pack("<HHIIHH", rng.choice((1, 3, 7, 0xFFFE)), channels, rate, rng.choice((0, 2**32 - 1)), 2, bits)
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", rng.choice((16, 0, 2**32 - 1))) + form
    return _whole("lying header", "a.wav", head + b"data" + struct.pack("<I", size) + seeds()["a.wav"][44:])


def _no_sound(rng: random.Random) -> Upload:
    data = rng.choice((b"", b"\0", bytes(MANY), rng.randbytes(rng.choice((1, 100, MANY))), b"PK\3\4", b"#EXTM3U\n/etc"))
    return _whole("no sound", rng.choice(("a.wav", "a.mp3", "a.m3u8", "a.zip")), data)


def _concat_script(rng: random.Random) -> Upload:
    data = rng.choice(
        (
            b"ffconcat version 1.0\nfile /etc/passwd\n",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
            b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/\n",
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 1 RTP/AVP 0\n",
            b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>",
        )
    )
    return _whole("script of a player", rng.choice(("a.m3u8", "a.sdp", "a.txt", "a.mpd")), data)


def _torn_form(rng: random.Random) -> Upload:
    body = _form(*_pick(rng))
    at = rng.randrange(len(body))
    kind = rng.choice(("cut", "noise", "twice", "gone"))
    torn = {
        "cut": body[:at],
        "noise": body[:at] + rng.randbytes(40) + body[at:],
        "twice": body[:at] + body,
        "gone": body[:at] + body[at + 40 :],
    }[kind]
    return Upload("torn form", {"content-type": CONTENT_TYPE}, torn)


def _many_parts(rng: random.Random) -> Upload:
    part = rng.choice((b"x", b"", b"y" * 300))
    name = rng.choice((b"model", b"a", b"file", b"\xff\xfe", b"x" * 5_000))
    body = (b'--BB\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + part + b"\r\n") * 2_000
    return Upload("many parts", {"content-type": CONTENT_TYPE}, body + b"--BB--\r\n")


def _huge_part_head(rng: random.Random) -> Upload:
    head = b"--BB\r\n" + (b"X-Long: " + b"z" * rng.choice((9_000, 300_000)) + b"\r\n") * rng.choice((1, 20))
    return Upload("huge head of a part", {"content-type": CONTENT_TYPE}, head + _form("a.wav", seeds()["a.wav"]))


def _odd_content_type(rng: random.Random) -> Upload:
    told = rng.choice(
        (
            "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 4_000,
            'multipart/form-data; boundary="', "multipart/mixed; boundary=BB", "text/plain", ";", "a/b/c",
            "application/json", "multipart/form-data; boundary=BB; boundary=CC", "audio/", "audio/pcm;rate=-1",
        )
    )  # fmt: skip
    return Upload("odd content type", {"content-type": told}, _form(*_pick(rng)))


def _odd_json(rng: random.Random) -> Upload:
    body = rng.choice(
        (
            b"{", b"[" * 100_000, b'{"input_audio": {"data": "####"}}', b'{"model": 1e400}', b"\xff\xff", b"NaN",
            b'{"model": "whisper-1", "input_audio": {"data": "' + b"A" * MANY + b'"}}', b'"' + b"\\ud800" * 50 + b'"',
        )
    )  # fmt: skip
    return Upload("odd JSON", {"content-type": "application/json"}, body)


def _odd_model(rng: random.Random) -> Upload:
    name, sound = _pick(rng)
    model = rng.choice((b"", b"../../etc/passwd", b"\0", b"\xff\xfe", b"m" * MANY, b"a\r\nb", "ü/%2e%2e".encode()))
    return _whole("odd model", name, sound, model=model)


KINDS: tuple[Callable[[random.Random], Upload], ...] = (
    _truncated, _flipped, _scrambled_head, _wrong_type, _lying_wav, _no_sound, _concat_script, _torn_form, _many_parts,
    _huge_part_head, _odd_content_type, _odd_json, _odd_model,
)  # fmt: skip


def make_malformed(count: int, seed: int = 1) -> Iterator[Upload]:
    """So many uploads, of all kinds by turns, the same for the same seed."""
    rng = random.Random(seed)
    for number in range(count):
        yield KINDS[number % len(KINDS)](rng)
