"""Any audio or video file -> blocks of mono float32 samples, streaming.

FFmpeg's libraries do the work inside the process (PyAV). Memory does not depend on the length of the file: one block
and a few seconds of undecoded frames are held at a time. The file is not trusted: only real media containers are
opened, so a playlist or a session description in disguise cannot make the server read another file or address.
"""

import ctypes
import errno
import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec, UnknownCodecError
from av.container import InputContainer
from av.stream import Discard, Disposition
from numpy.typing import NDArray

from voice_stack.core.errors import AudioTooShortError
from voice_stack.utils.audio.sources import (
    MAX_ALLOCATION,
    MAX_STREAMS,
    PROBE_BYTES,
    PROBE_S,
    AudioSource,
    StallWatch,
    audio_too_long,
    check_changes,
    check_shape,
    invalid_audio,
    pick_track,
)

if TYPE_CHECKING:
    from av.packet import Packet

MIN_GAP_S = 0.1
"""Shorter ones are jitter, the rounding of a container or the delay of an encoder."""
MAX_STEP_BACK_S = 1.0
"""Sound may overlap by this much; timestamps that fall back further have started anew."""
LONGEST_GAP_S = 3600.0
"""For files that do not say how long they are: a longer gap is a broken timestamp."""

CONTAINERS = frozenset(
    {"mov", "mp4", "m4a", "matroska", "webm", "mpegts", "mpeg", "ogg", "flv", "asf", "nut", "mxf", "wtv"}
)
"""Those that store times. In the others times are counted from bytes or frames: a hole would be a miscount."""


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
    for frame in frames:
        found = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
        frame_s = frame.samples / max(frame.sample_rate, 1)
        gap_s = timeline.place(frame.time, frame_s) if timeline else 0.0
        changes, sound_s = changes + (found != shape), sound_s + frame_s
        if converter is None or found != shape or gap_s:
            if converter is not None:
                yield from converter.finish()
            check_shape(frame.sample_rate, frame.layout.nb_channels)
            check_changes(changes, sound_s)
            shape, converter = found, _MonoConverter(frame.sample_rate, sample_rate)
        if max_duration_s is not None and gap_s > max_duration_s:
            raise audio_too_long(max_duration_s)
        yield from _silence(round(gap_s * sample_rate))
        yield from converter.push(frame)
    if converter is not None:
        yield from converter.finish()


class _MonoConverter:
    """Resampling and downmix of frames that all have the same format, layout and rate."""

    def __init__(self, source_rate: int, sample_rate: int) -> None:
        # Integers, because only then FFmpeg scales the sum of the channels so that it cannot overflow.
        self._resampler = av.AudioResampler(format="s32", layout="mono", rate=sample_rate)
        self._fifo = av.AudioFifo()
        self._group = min(_GROUP_SAMPLES, source_rate * _GROUP_S)

    def push(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        frame.pts = None  # the FIFO refuses frames whose times do not follow each other
        self._fifo.write(frame)
        while self._fifo.samples >= self._group:
            yield from self._convert(self._fifo.read(self._group))

    def finish(self) -> Iterator[NDArray[np.float32]]:
        rest = self._fifo.read()
        if rest is not None:
            yield from self._convert(rest)
        yield from self._convert(None)

    def _convert(self, frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        for out in self._resampler.resample(frame):
            # Where nothing is to be converted the resampler hands back what it got, None included.
            if out is not None:
                yield out.to_ndarray()[0] * _S32_SCALE


def _silence(samples: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, samples, _GROUP_SAMPLES):
        yield np.zeros(min(_GROUP_SAMPLES, samples - start), np.float32)


def regroup(chunks: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Cut chunks of any length into blocks of `size` samples; the last block is what remains."""
    block, filled = np.empty(size, np.float32), 0
    for chunk in chunks:
        taken = 0
        while taken < chunk.size:
            count = min(size - filled, chunk.size - taken)
            block[filled : filled + count] = chunk[taken : taken + count]
            taken, filled = taken + count, filled + count
            if filled == size:
                yield block
                block, filled = np.empty(size, np.float32), 0
    if filled:
        yield block[:filled]


logger = logging.getLogger(__name__)

MIN_DURATION_S = 0.1
EXCERPT_RATE = 16_000

# Real media containers only. Everything that refers to other files or addresses stays out (hls, concat, dash, imf,
# image2, sdp, rtsp, lavfi, webm_dash_manifest, vobsub ...), and so do text and still pictures.
_CONTAINERS = (
    "3dostr aa aac aax ac3 ac4 act aea aiff amr amrnb amrwb ape apac aptx asf asf_o ast au av1 avi avs bonk caf codec2 "
    "dsf dss dts dtshd dv eac3 flac flv gsm gxf hca iamf iff ilbc ircam kux lc3 live_flv loas matroska mlp mmf mov "
    "mp3 mpc mpc8 mpeg mpegts mxf nistsphere nsv nut nuv ogg oma osq paf pmp psxstr pva pvf qcp qoa rm rso sbc shn "
    "sln sol sox spdif svs tak truehd tta ty voc vqf w64 wav wavarc webm wsd wtv wv wve xa xwma"
)


@cache
def _options() -> dict[str, str]:
    """What FFmpeg is told of every file; the first time also how much memory it may have at once."""
    # Found through the module that is linked to them, which Windows does not do.
    libraries = ctypes.CDLL(av._core.__file__)
    if hasattr(libraries, "av_max_alloc"):
        libraries.av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION))
    return {
        "format_whitelist": ",".join(_CONTAINERS.split()),
        "codec_whitelist": ",".join(name for name in sorted(av.codecs_available) if _is_audio_decoder(name)),
        "protocol_whitelist": "file",
        "probesize": str(PROBE_BYTES),
        "analyzeduration": str(PROBE_S * av.time_base),
        "max_streams": str(MAX_STREAMS),
        "enable_drefs": "0",  # an MP4 may name other files as the place of its samples
    }


def _is_audio_decoder(name: str) -> bool:
    try:
        return Codec(name, "r").type == "audio"
    except UnknownCodecError:  # it encodes only
        return False


def decode_blocks(
    source: Path | AudioSource, *, sample_rate: int = 16_000, block_s: float = 20.0, max_duration_s: float | None = None
) -> Generator[NDArray[np.float32], None, None]:
    """Decode one audio stream of a file, by default the best; nothing is opened before the first block is asked for.

    Closing the iterator early closes the file. A late start of the sound and holes in its timestamps become zeros, so
    that a sample's place is its time in the film.

    Args:
        source: A media file of any container and codec FFmpeg knows; any sample rate and number of channels.
        sample_rate: Rate of the result in Hz.
        block_s: Length of a block in seconds, 0.1 at least; only the last one is shorter.
        max_duration_s: Longest audio taken, in seconds of decoded sound, whatever the header says; None for no limit.

    Yields:
        One-dimensional float32 arrays in [-1, 1], mono.

    Raises:
        InvalidAudioError: Not a media file, no audio in it, or longer than `max_duration_s`.
        UnsupportedValueError: It has no such track as `source` names.
        AudioTooShortError: Less than 0.1 s in all.
        OSError: The file is missing or may not be read.
    """
    total = 0
    with _open_audio(_as_source(source)) as (container, stream):
        frames = _decode(_read_packets(container, stream))
        chunks = resample_frames(frames, sample_rate, _timeline(container), max_duration_s)
        for block in regroup(chunks, round(max(block_s, MIN_DURATION_S) * sample_rate)):
            total += block.size
            _check_length(total, sample_rate, max_duration_s)
            yield block
    if not total:
        raise invalid_audio("the file holds no audio that can be decoded")


def probe_duration_s(source: Path | AudioSource) -> float | None:
    """Length that the file claims, in seconds; a hint only, a header may lie. None where it claims nothing.

    Raises:
        InvalidAudioError: Not a media file, or no audio in it.
        UnsupportedValueError: It has no such track as `source` names.
        OSError: The file is missing or may not be read.
    """
    with _open_audio(_as_source(source)) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration / av.time_base


def has_video(source: Path | AudioSource) -> bool:
    """Whether there are moving pictures beside the sound; the cover of a song is none.

    Raises:
        InvalidAudioError: Not a media file, or no audio in it.
        OSError: The file is missing or may not be read.
    """
    with _open_audio(_as_source(source)) as (container, _):
        return any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video)


def decode_excerpt(source: Path | AudioSource, start_s: float, duration_s: float) -> NDArray[np.float32]:
    """Decode a part of a file without what lies before it; the place is as exact as the container's index.

    Args:
        source: As for `decode_blocks`.
        start_s: Where it begins, in seconds.
        duration_s: How long it lasts at most, in seconds.

    Returns:
        Mono float32 at 16 kHz, shape (samples,); empty where the file has no sound.

    Raises:
        InvalidAudioError: Not a media file, or no audio in it.
        OSError: The file is missing or may not be read.
    """
    wanted = round(duration_s * EXCERPT_RATE)
    with _open_audio(_as_source(source)) as (container, stream):
        if start_s > 0:
            container.seek(round(start_s * av.time_base))
        chunks = resample_frames(_decode(_read_packets(container, stream)), EXCERPT_RATE, timeline=None)
        return next(regroup(chunks, wanted), np.zeros(0, np.float32))


def _as_source(source: Path | AudioSource) -> AudioSource:
    return source if isinstance(source, AudioSource) else AudioSource(source)


@contextmanager
def _open_audio(source: AudioSource) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open the file and find its audio; the one place where FFmpeg's errors become ours."""
    _require_content(source.path)
    try:
        # The protocol is written out because FFmpeg reads a name such as "concat:a|b" as an address.
        name, options = f"file:{source.path.absolute()}", {**_options(), **source.options}
        with av.open(name, format=source.demuxer, options=options, metadata_errors="replace") as container:
            stream = pick_track(container, source.track)
            if not isinstance(stream, AudioStream):
                raise invalid_audio("the file has no audio stream that can be decoded")
            yield container, stream
    except av.FFmpegError as error:
        too_much = f"it has more than {MAX_STREAMS} tracks, or tables beyond all measure"
        reason = too_much if error.errno == errno.ENOMEM else error.strerror
        raise invalid_audio(f"the file could not be decoded: {reason}") from None


def _require_content(path: Path) -> None:
    """That a file can be read is found out here: all trouble after that is what is in it."""
    try:
        with path.open("rb") as file:
            if file.read(1):
                return
    except OSError as error:
        raise OSError(error.errno, error.strerror) from None  # a client is not to learn the path
    raise invalid_audio("the file is empty")


def _read_packets(container: InputContainer, stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """Read to the end, or to the first place where the container cannot be followed any further."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    try:
        yield from container.demux(stream)
    except IndexError:
        return  # tracks that come up later, as in MPEG-TS: PyAV stumbles over them when all is read
    except av.FFmpegError as error:
        logger.warning("The audio file is damaged and was read up to that place only: %s", error.strerror)


def _decode(packets: "Iterable[Packet[AudioStream]]") -> Iterator[AudioFrame]:
    skipped, stall = 0, StallWatch()
    for packet in packets:
        stall.check()
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            skipped += 1
            logger.debug("Skipped a damaged packet of the audio file: %s", error.strerror)
            continue
        if frames:
            yield from frames
            stall.restart()
    if skipped:
        logger.warning("Damaged packets of the audio file skipped: %d", skipped)


def _timeline(container: InputContainer) -> Timeline | None:
    if CONTAINERS.isdisjoint(container.format.name.split(",")):
        return None
    start, duration = (None if t is None else t / av.time_base for t in (container.start_time, container.duration))
    return Timeline(start, duration)


def _check_length(samples: int, sample_rate: int, max_duration_s: float | None) -> None:
    """Called with the samples so far: only a file's last block can be below the minimum."""
    if max_duration_s is not None and samples > max_duration_s * sample_rate:
        raise audio_too_long(max_duration_s)
    if samples < MIN_DURATION_S * sample_rate:
        raise AudioTooShortError(f"Audio file is too short. Minimum audio length is {MIN_DURATION_S} seconds.")
