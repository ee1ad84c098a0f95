"""How long an upload's audio is, before anybody has looked into it: the measure of its work."""

from collections.abc import Mapping, Sequence

from voice_stack.asr.request import PcmFormat

USUAL_BYTES_PER_S = 32_000.0
"""WAV at 16 kHz, 16 bit, mono: more than speech in MP3, less than a film with its pictures."""
MOST_BYTES_PER_S = 192_000.0
"""WAV at 48 kHz, 16 bit, stereo; also a film of 1.5 Mbit/s."""
SMALL_UPLOAD_BYTES = 25 * 1024 * 1024
"""OpenAI's largest upload: so much is received before anything is said of the queue."""
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})  # as pydantic has them
_PCM_SAMPLE_BYTES = 2


def usual_audio_s(size: int, pcm: PcmFormat | None = None) -> float:
    """Length of a file of so many bytes, in seconds; exact for bare samples."""
    return size / (pcm.sample_rate * pcm.channels * _PCM_SAMPLE_BYTES if pcm else USUAL_BYTES_PER_S)


def least_audio_s(size: int) -> float:
    """Length below which hardly a file of so many bytes is, in seconds."""
    return size / MOST_BYTES_PER_S


def asks_for_job(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether the fields so far ask for a background job; not checked yet."""
    return any(value.strip().lower() in _TRUE for value in fields.get("background", ()))
