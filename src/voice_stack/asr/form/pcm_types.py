"""Content types of bare samples: `audio/pcm` and `audio/L16`, whose bytes do not say what they are."""

from email.message import Message

from voice_stack.asr.request import PcmFormat
from voice_stack.core.errors import InvalidAudioError

_BIG_ENDIAN = {"audio/pcm": False, "audio/x-pcm": False, "audio/l16": True}
_RATES = range(4_000, 384_001)
_CHANNELS = range(1, 9)
_ENDIANNESS = {"little-endian": False, "big-endian": True}


def pcm_format(content_type: str) -> PcmFormat | None:
    """What a content type says of signed 16-bit samples without a header; None for any other type.

    The samples of `audio/pcm` are little-endian, 16 kHz, mono, those of `audio/L16` big-endian (RFC 2586); parameters
    `rate`, `channels` and `endianness` say otherwise: `audio/pcm;rate=24000;channels=2`.

    Raises:
        InvalidAudioError: A parameter is none that samples can have.
    """
    # The parser of mail headers: quoted values, any case, any order.
    header = Message()
    header["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    kind = header.get_content_type()
    if kind not in _BIG_ENDIAN:
        return None
    order = str(header.get_param("endianness", "")).lower()
    if order and order not in _ENDIANNESS:
        raise InvalidAudioError(f"endianness={order!r} of {kind}: use one of {', '.join(_ENDIANNESS)}")
    return PcmFormat(
        sample_rate=_read_number(header, "rate", _RATES, PcmFormat().sample_rate),
        channels=_read_number(header, "channels", _CHANNELS, 1),
        big_endian=_ENDIANNESS.get(order, _BIG_ENDIAN[kind]),
    )


def _read_number(header: Message, name: str, possible: range, default: int) -> int:
    given = header.get_param(name)
    if given is None:
        return default
    text = str(given)
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if number not in possible:
        bounds = f"{possible.start} to {possible.stop - 1}"
        raise InvalidAudioError(f"{name}={text[:40]!r} of {header.get_content_type()}: possible are {bounds}")
    return number
