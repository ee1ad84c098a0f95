"""What of a file is heard: bare samples that need a description, or one of several audio tracks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voice_stack.core.errors import InvalidAudioError, UnsupportedValueError
from voice_stack.utils.language import find_language

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

_EBML, _FTYP = b"\x1a\x45\xdf\xa3", b"ftyp"
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"ID3", b"fLaC", b"OggS", _EBML)

SUPPORTED_FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
"""What OpenAI's documentation names; in fact every container in the table below is read."""


@dataclass(frozen=True, slots=True)
class AudioSource:
    """A file and how to read it.

    Attributes:
        path: The file.
        track: Which audio track, by index from 0 or by language in any spelling; None: the container's default.
        demuxer: FFmpeg's name of the format, where the file does not say it itself.
        sample_rate: In Hz; of bare samples.
        channels: Interleaved; of bare samples.
    """

    path: Path
    track: int | str | None = None
    demuxer: str | None = None
    sample_rate: int = 16_000
    channels: int = 1

    @classmethod
    def pcm(cls, path: Path, *, sample_rate: int, channels: int, big_endian: bool) -> "AudioSource":
        """A file of headerless signed 16-bit samples; all their values are valid, so nothing in it can be wrong."""
        return cls(path, None, "s16be" if big_endian else "s16le", sample_rate, channels)

    @property
    def options(self) -> Mapping[str, str]:
        """What FFmpeg must be told besides the name of the format."""
        if self.demuxer is None:
            return {}
        return {
            "format_whitelist": self.demuxer,
            "sample_rate": str(self.sample_rate),
            "ch_layout": f"{self.channels}c",
        }


def has_media_header(path: Path) -> bool:
    """Whether a file begins as WAV, MP3 with tags, FLAC, Ogg, Matroska or MP4 do; bare samples hardly ever do so."""
    with path.open("rb") as file:
        head = file.read(8)
    return head.startswith(_MAGIC) or head[4:8] == _FTYP


def pick_track(container: "InputContainer", track: int | str | None) -> "Stream | None":
    """The audio stream to decode; None where the container has none.

    Raises:
        UnsupportedValueError: There are audio streams, but not this one; the message lists them.
    """
    streams = container.streams.audio
    if track is None or not streams:
        return container.streams.best("audio")
    languages = [stream.language or "" for stream in streams]
    if isinstance(track, int):
        found = track if track < len(streams) else None
    else:
        wanted = find_language(track)
        found = next((n for n, code in enumerate(languages) if wanted and find_language(code) is wanted), None)
    if found is None:
        tracks = ", ".join(f"{n} ({code or 'no language'})" for n, code in enumerate(languages))
        raise UnsupportedValueError(f"audio_track={track!r}: the file has the tracks {tracks}", param="audio_track")
    return streams[found]


def invalid_audio(reason: str) -> InvalidAudioError:
    """The refusal of a file, in OpenAI's words, with the reason."""
    return InvalidAudioError(f"Invalid file format. Supported formats: {list(SUPPORTED_FORMATS)} ({reason}).")
