"""What of a file is heard, what a file may ask of the decoder, and how its sound becomes one stream of samples.

Memory never depends on the length; these bounds keep the time within reason.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidAudioError, UnsupportedValueError
from voice_stack.utils.audio.channels import ChannelMix
from voice_stack.utils.language import find_language

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_EBML, _FTYP = b"\x1a\x45\xdf\xa3", b"ftyp"
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"ID3", b"fLaC", b"OggS", _EBML)

SUPPORTED_FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
"""What OpenAI's documentation names; in fact every container in the table below is read."""

_VIDEO = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv"
_AUDIO = ".aac .aif .aiff .amr .au .caf .flac .m4a .m4b .mka .mp2 .mp3 .mpga .oga .ogg .opus .spx .wav .wma"
MEDIA_SUFFIXES = frozenset([*_VIDEO.split(), *_AUDIO.split()])
"""What is taken out of a folder or bucket; a file that is named is taken whatever its suffix."""


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


MAX_CHANNELS = 24
"""As many as a 22.2 sound has; FFmpeg knows no way to mix more into one."""
SAMPLE_RATES = range(1_000, 768_001)
"""Outside this range a header lies, and the resampler's filter would need gigabytes."""
MAX_VALUES_PER_S = 8 * 768_000
"""Channels times sample rate: 8 channels at the highest rate, 24 at 192 kHz."""
MAX_STREAMS = 400
"""A Blu-ray has some 60 tracks with its subtitles; each decoder takes up to 1 MB."""
PROBE_BYTES, PROBE_S = 32 << 20, 30
"""Sound that begins after so much of a file without an index, as MPEG-TS has none, is not found."""
MAX_ALLOCATION = 128 << 20
"""Bytes that FFmpeg may ask for at once: a day of film has an index of some 100 MiB, and all else is smaller."""
MAX_CHANGES_PER_S, CHANGES_AT_ONCE = 10, 20
"""Changes of sample rate or channels: each needs a new resampler, which costs up to 30 ms."""
STALL_S = 120.0
"""So long a file may be read without one sample of sound: a gigabyte from a slow disk takes a minute."""


def check_shape(sample_rate: int, channels: int) -> None:
    """Do nothing for sound that a recording can have.

    Raises:
        InvalidAudioError: No recording has such a sample rate or so many channels.
    """
    if sample_rate not in SAMPLE_RATES:
        limits = f"{SAMPLE_RATES.start} to {SAMPLE_RATES.stop - 1} Hz"
        raise invalid_audio(f"its sample rate is {sample_rate} Hz; possible are {limits}")
    if channels > MAX_CHANNELS:
        raise invalid_audio(f"it has {channels} channels; at most {MAX_CHANNELS} are possible")
    if channels * sample_rate > MAX_VALUES_PER_S:
        raise invalid_audio(
            f"it has {channels} channels at {sample_rate} Hz, {channels * sample_rate} samples each second; at most "
            f"{MAX_VALUES_PER_S} are possible"
        )


TOO_LONG = "audio_too_long"


def audio_too_long(limit_s: float) -> InvalidAudioError:
    """The refusal of a file that is longer than it may be."""
    return InvalidAudioError(f"The audio is longer than the limit of {limit_s:g} seconds.", code=TOO_LONG)


@dataclass(frozen=True, slots=True)
class Part:
    """One container: bytes `start` up to, not including, `end`; whether its end is known, and not only the file's."""

    start: int
    end: int
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file consists of.

    Attributes:
        size: In bytes.
        parts: Its containers, in order, at least one.
        skipped: Stretches that belong to none, as first byte and length, without tags and padding.
    """

    size: int
    parts: tuple[Part, ...]
    skipped: tuple[tuple[int, int], ...] = ()

    def share(self, count: int) -> str:
        """A number of bytes in words."""
        return f"{count} byte{'s' * (count != 1)} ({100 * count / max(self.size, 1):.2g} %)"


MIN_UNREAD_BYTES, MIN_UNREAD_SHARE = 64 * 1024, 0.01
"""Less behind the last packet of a container whose end nobody knows is its index."""
MIN_UNREAD_WITHOUT_INDEX = {
    **dict.fromkeys(("mp3", "aac", "ac3", "eac3", "flac", "amr", "tta", "wv"), 1024),
    "mpegts": 8192,  # a packet is spread over more bytes than it has
}
MIN_SKIPPED_BYTES, MIN_DAMAGED_BYTES = 64, 1024
"""Less holds no sound; tags between MP3s count as packets."""


@dataclass(slots=True)
class Reading:
    """How the reading of a part goes; places are bytes of the file.

    Attributes:
        format: FFmpeg's name of the container, if that holds nothing but sound.
        reached: Where the last packet ends.
        broke_off: The container could not be followed to its end.
        damaged: Packets that could not be decoded, and their bytes.
    """

    layout: Layout
    part: Part
    format: str = ""
    reached: int = 0
    broke_off: bool = False
    damaged: int = 0
    damaged_bytes: int = 0

    def note(self, packet: "Packet[AudioStream]") -> None:
        if packet.pos is not None:
            self.reached = max(self.reached, self.part.start + packet.pos + packet.size)

    def skip(self, packet: "Packet[AudioStream]", decoded: int = 0) -> None:
        """A packet that cannot be decoded, or more than `decoded` bytes of it not."""
        lost = len(bytes(packet).rstrip(b"\0")) - decoded
        if lost > 0:
            self.damaged, self.damaged_bytes = self.damaged + 1, self.damaged_bytes + lost

    def weigh(self, packet: "Packet[AudioStream]", frames: list[AudioFrame]) -> None:
        """A FLAC packet that is much larger than its samples has something else behind it."""
        if self.format == "flac" and frames:
            sound_bytes = sum(frame.samples * frame.layout.nb_channels * frame.format.bytes for frame in frames)
            self.skip(packet, sound_bytes + MIN_DAMAGED_BYTES)

    def warnings(self, path: Path, trailing: Callable[[Path, int, int], int]) -> list[str]:
        """What was lost; what `trailing` leaves out behind a place is no loss."""
        told, size = [], self.layout.size
        left = trailing(path, self.reached, self.part.end) if self.reached else 0
        most = MIN_UNREAD_WITHOUT_INDEX.get(self.format) or max(MIN_UNREAD_BYTES, MIN_UNREAD_SHARE * size)
        if left > (MIN_SKIPPED_BYTES if self.broke_off else self.part.end if self.part.is_closed else most):
            told.append(f"damaged or not followed at byte {self.reached}: {self.layout.share(left)} not read")
        if self.damaged_bytes >= MIN_DAMAGED_BYTES:
            packets = f"{self.damaged} damaged packet{'s' * (self.damaged > 1)}"
            told.append(f"{packets} skipped: {self.layout.share(self.damaged_bytes)}")
        return told


MIN_GAP_S = 0.1
"""Shorter ones are jitter, the rounding of a container or the delay of an encoder."""
MAX_STEP_BACK_S = 1.0
"""Sound may overlap by this much; timestamps that fall back further have started anew."""
LONGEST_GAP_S = 3600.0
"""For files that do not say how long they are: a longer gap is a broken timestamp."""


class Timeline:
    """Follows the timestamps of consecutive pieces of sound. Pure: no file, no clock; all times in seconds.

    Args:
        start_s: Timestamp of the beginning of the file, which may be a picture's; None: that of the first sound.
        duration_s: Length the file claims; None where it claims nothing. No gap leads beyond it.
    """

    def __init__(self, start_s: float | None, duration_s: float | None) -> None:
        self._start_s = start_s
        self._end_s = duration_s
        self._position_s = 0.0

    def place(self, time_s: float | None, duration_s: float) -> float:
        """Add a piece of sound.

        Args:
            time_s: Its timestamp; None where it has none and follows what was before it.
            duration_s: Its length.

        Returns:
            Seconds of silence that belong before it. Sound that overlaps gets none, and is kept.
        """
        gap_s = 0.0 if time_s is None else self._gap_s(time_s)
        self._position_s += gap_s + duration_s
        return gap_s

    def _gap_s(self, time_s: float) -> float:
        if self._start_s is None:
            self._start_s = time_s
        gap_s = time_s - self._start_s - self._position_s
        longest_s = LONGEST_GAP_S if self._end_s is None else self._end_s - self._position_s
        if not -MAX_STEP_BACK_S <= gap_s <= max(longest_s, MIN_GAP_S):
            self._start_s = time_s - self._position_s
            return 0.0
        return gap_s if gap_s > MIN_GAP_S else 0.0


# Resampling frame by frame costs twice the time of resampling a few seconds at once.
_GROUP_SAMPLES = 131_072
_GROUP_S = 8
_S32_SCALE = np.float32(2.0**-31)


def resample_frames(
    frames: Iterable[AudioFrame], sample_rate: int, timeline: Timeline | None, max_duration_s: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Downmix and resample frames; a gap in their times becomes zeros.

    Args:
        frames: Decoded sound.
        sample_rate: Rate of the result in Hz.
        timeline: Finds the gaps; None: there are none.
        max_duration_s: A longer gap is refused at once, and not filled with zeros until it is too long.

    Raises:
        InvalidAudioError: A sample rate or a number of channels that no recording has, or changes of them all the
            time, or a gap that is too long.
    """
    changes, sound_s = 0, 0.0
    shape: tuple[str, str, int, int] | None = None
    converter: _MonoConverter | None = None
    mix: ChannelMix | None = None
    for frame in frames:
        found = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
        frame_s = frame.samples / max(frame.sample_rate, 1)
        gap_s = timeline.place(frame.time, frame_s) if timeline else 0.0
        changes, sound_s = changes + (found != shape), sound_s + frame_s
        if converter is None or found != shape or gap_s:
            if converter is not None:
                yield from converter.finish()
            check_shape(frame.sample_rate, frame.layout.nb_channels)
            if changes > CHANGES_AT_ONCE + MAX_CHANGES_PER_S * sound_s:
                raise invalid_audio(
                    f"its sample rate or channels change {changes} times in {sound_s:.1f} s; at most "
                    f"{MAX_CHANGES_PER_S} changes each second are possible"
                )
            if found != shape:
                mix = ChannelMix(frame.sample_rate) if frame.layout.nb_channels > 1 else None
            shape, converter = found, _MonoConverter(frame.sample_rate, sample_rate, mix)
        if max_duration_s is not None and gap_s > max_duration_s:
            raise audio_too_long(max_duration_s)
        yield from _silence(round(gap_s * sample_rate))
        yield from converter.push(frame)
    if converter is not None:
        yield from converter.finish()


class _MonoConverter:
    """Resampling and downmix of frames that all have the same format, layout and rate."""

    def __init__(self, source_rate: int, sample_rate: int, mix: ChannelMix | None) -> None:
        # Integers, because only then FFmpeg scales the sum of the channels so that it cannot overflow.
        self._resampler = av.AudioResampler(format="s32", layout="mono", rate=sample_rate)
        self._fifo = av.AudioFifo()
        self._group = min(_GROUP_SAMPLES, source_rate * _GROUP_S)
        self._mix = mix

    def push(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        frame.pts = None  # the FIFO refuses frames whose times do not follow each other
        self._fifo.write(frame)
        while self._fifo.samples >= self._group:
            yield from self._convert(self._fifo.read(self._group))

    def finish(self) -> Iterator[NDArray[np.float32]]:
        rest = self._fifo.read()
        if rest is not None:
            yield from self._convert(rest)
        if self._mix:
            yield from self._convert(None)
        yield from self._resample(None)

    def _convert(self, frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        mixed = self._mix.push(frame) if self._mix else frame
        if mixed is not None:
            yield from self._resample(mixed)

    def _resample(self, frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        for out in self._resampler.resample(frame):
            # Where nothing is to be converted the resampler hands back what it got, None included.
            if out is not None:
                yield out.to_ndarray()[0] * _S32_SCALE


def _silence(samples: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, samples, _GROUP_SAMPLES):
        yield np.zeros(min(_GROUP_SAMPLES, samples - start), np.float32)
