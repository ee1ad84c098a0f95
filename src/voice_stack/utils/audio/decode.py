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
from voice_stack.utils.audio.bounds import MAX_ALLOCATION, MAX_STREAMS, PROBE_BYTES, PROBE_S, StallWatch, audio_too_long
from voice_stack.utils.audio.mono import regroup, resample_frames
from voice_stack.utils.audio.sources import AudioSource, invalid_audio, pick_track
from voice_stack.utils.audio.timeline import CONTAINERS, Timeline

if TYPE_CHECKING:
    from av.packet import Packet  # generic for the type checker only

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
