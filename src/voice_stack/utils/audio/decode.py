"""Any audio or video file -> blocks of mono float32 samples, streaming.

FFmpeg's libraries do the work inside the process (PyAV). Memory does not depend on the length of the file: one block
and a few seconds of undecoded frames are held at a time. The file is not trusted: only real media containers are
opened, so a playlist or a session description in disguise cannot make the server read another file or address.
"""

import ctypes
import errno
import logging
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
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

from voice_stack.core.errors import AudioTooShortError, InvalidAudioError
from voice_stack.utils.audio.joined import MAX_PARTS, find_parts, trailing
from voice_stack.utils.audio.sources import (
    MAX_ALLOCATION,
    MAX_STREAMS,
    MIN_SKIPPED_BYTES,
    PROBE_BYTES,
    PROBE_S,
    STALL_S,
    TOO_LONG,
    AudioSource,
    Layout,
    Part,
    Reading,
    Timeline,
    audio_too_long,
    invalid_audio,
    pick_track,
    resample_frames,
)

if TYPE_CHECKING:
    from av.packet import Packet

CONTAINERS = frozenset(
    {"mov", "mp4", "m4a", "matroska", "webm", "mpegts", "mpeg", "ogg", "flv", "asf", "nut", "mxf", "wtv"}
)
"""Those that store times. In the others times are counted from bytes or frames: a hole would be a miscount."""


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
    source: Path | AudioSource,
    *,
    sample_rate: int = 16_000,
    block_s: float = 20.0,
    max_duration_s: float | None = None,
    warnings: list[str] | None = None,
) -> Generator[NDArray[np.float32], None, None]:
    """Decode one audio stream of a file, by default the best; nothing is opened before the first block is asked for.

    Of files joined end to end all are read. Closing the iterator early closes the file. A late start of the sound and
    holes in its timestamps become zeros, so that a sample's place is its time in the film.

    Args:
        source: A media file of any container and codec FFmpeg knows; any sample rate and number of channels.
        sample_rate: Rate of the result in Hz.
        block_s: Length of a block in seconds, 0.1 at least; only the last one is shorter.
        max_duration_s: Longest audio taken, in seconds of decoded sound, whatever the header says; None for no limit.
        warnings: Is told what of the file is not heard, in short sentences of ASCII, as that is found out.

    Yields:
        One-dimensional float32 arrays in [-1, 1], mono.

    Raises:
        InvalidAudioError: Not a media file, no audio in it, or longer than `max_duration_s`.
        UnsupportedValueError: It has no such track as `source` names.
        AudioTooShortError: Less than 0.1 s in all.
        OSError: The file is missing or may not be read.
    """
    total = 0
    chunks = _decode_parts(_as_source(source), sample_rate, max_duration_s, [] if warnings is None else warnings)
    with closing(chunks):
        for block in regroup(chunks, round(max(block_s, MIN_DURATION_S) * sample_rate)):
            total += block.size
            _check_length(total, sample_rate, max_duration_s)
            yield block
    if not total:
        raise invalid_audio("the file holds no audio that can be decoded")


def _decode_parts(
    source: AudioSource, sample_rate: int, max_duration_s: float | None, warnings: list[str]
) -> Generator[NDArray[np.float32], None, None]:
    layout = _find_parts(source)
    warnings += [
        _tell_skipped(layout, start, count)
        for start, count in layout.skipped
        if start == 0 or count >= MIN_SKIPPED_BYTES
    ]
    for part in layout.parts:
        reading = Reading(layout, part)
        try:
            with _open_part(source, layout, part) as (container, stream):
                reading.format = "" if _has_pictures(container) else container.format.name
                _warn_of_tracks(container, source, warnings)
                frames = _decode(_read_packets(container, stream, reading), reading)
                yield from resample_frames(frames, sample_rate, _timeline(container), max_duration_s)
        except InvalidAudioError as error:
            if part is layout.parts[0] or error.code == TOO_LONG:
                raise
            left, reason = layout.size - part.start, error.message.partition("] (")[2].removesuffix(").")
            raise invalid_audio(
                f"several files are joined in it, and from byte {part.start} on, {layout.share(left)} cannot be "
                f"read: {reason}"
            ) from None
        warnings += reading.warnings(source.path, trailing)


def probe_duration_s(source: Path | AudioSource) -> float | None:
    """Length that the file claims, in seconds; a hint only, a header may lie. None where it claims nothing.

    Raises:
        InvalidAudioError: Not a media file, or no audio in it.
        UnsupportedValueError: It has no such track as `source` names.
        OSError: The file is missing or may not be read.
    """
    known = _as_source(source)
    with _open_audio(known) as (container, stream):
        stated_s = None if container.duration is None else container.duration / av.time_base
        if stream.duration is not None and stream.time_base is not None:
            stated_s = float(stream.duration * stream.time_base)
    layout = _find_parts(known)
    if stated_s is None or len(layout.parts) == 1:
        return stated_s
    first = layout.parts[0]
    return stated_s * (layout.size - first.start) / (first.end - first.start)  # as if all were alike


def has_video(source: Path | AudioSource) -> bool:
    """Whether there are moving pictures beside the sound; the cover of a song is none.

    Raises:
        InvalidAudioError: Not a media file, or no audio in it.
        OSError: The file is missing or may not be read.
    """
    with _open_audio(_as_source(source)) as (container, _):
        return _has_pictures(container)


def _has_pictures(container: InputContainer) -> bool:
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


def _open_audio(source: AudioSource) -> AbstractContextManager[tuple[InputContainer, AudioStream]]:
    """Open the file, or the first of those that are joined in it."""
    layout = _find_parts(source)
    return _open_part(source, layout, layout.parts[0])


def _find_parts(source: AudioSource) -> Layout:
    _require_content(source.path)
    if source.demuxer is not None:
        size = source.path.stat().st_size
        return Layout(size, (Part(0, size),))
    layout = find_parts(source.path)
    if len(layout.parts) > MAX_PARTS:
        raise invalid_audio(f"more than {MAX_PARTS} files are joined in it")
    return layout


@contextmanager
def _open_part(source: AudioSource, layout: Layout, part: Part) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open a part of the file and find its audio; the one place where FFmpeg's errors become ours."""
    try:
        # The protocol is written out because FFmpeg reads a name such as "concat:a|b" as an address.
        name, options = f"file:{source.path.absolute()}", {**_options(), **source.options}
        if part.start or part.end < layout.size:
            name = f"subfile,,start,{part.start},end,{part.end},,:{name}"
            options["protocol_whitelist"] += ",subfile"
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


def _tell_skipped(layout: Layout, start: int, count: int) -> str:
    place = "in front of the sound" if not start else "at the end" if start + count == layout.size else "in the middle"
    return f"{layout.share(count)} {place} not read"


def _warn_of_tracks(container: InputContainer, source: AudioSource, warnings: list[str]) -> None:
    others = len(container.streams.audio) - 1
    warning = f"{others} other audio track{'s' * (others > 1)} not read, audio_track chooses"
    if others and source.track is None and warning not in warnings:
        warnings.append(warning)


def _read_packets(
    container: InputContainer, stream: AudioStream, reading: Reading | None = None
) -> "Iterator[Packet[AudioStream]]":
    """Read to the end, or to the first place where the container cannot be followed any further."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    try:
        for packet in container.demux(stream):
            if reading:
                reading.note(packet)
            yield packet
    except IndexError:
        return  # tracks that come up later, as in MPEG-TS: PyAV stumbles over them when all is read
    except av.FFmpegError as error:
        logger.warning("The audio file is damaged and was read up to that place only: %s", error.strerror)
        if reading:
            reading.broke_off = True


def _decode(packets: "Iterable[Packet[AudioStream]]", reading: Reading | None = None) -> Iterator[AudioFrame]:
    skipped, heard_at = 0, time.monotonic()
    for packet in packets:
        if time.monotonic() - heard_at > STALL_S:
            raise invalid_audio(f"no sound was found in it for {STALL_S:g} s")
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            skipped += 1
            logger.debug("Skipped a damaged packet of the audio file: %s", error.strerror)
            if reading:
                reading.skip(packet)
            continue
        if frames:
            if reading:
                reading.weigh(packet, frames)
            yield from frames
            heard_at = time.monotonic()
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
