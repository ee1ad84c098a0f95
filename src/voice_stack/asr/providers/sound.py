"""A file of any kind -> one that every provider takes, with the sound alone in it: FLAC, or Opus where that is large.

Files are not trusted, so they are decoded in processes beside, some twenty seconds at a time: none holds up another for
long. What is made lies on the disk, small ones in memory; no thread waits for any of them.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING

from voice_stack.asr.request import AudioFile
from voice_stack.core.errors import (
    EngineError,
    InvalidAudioError,
    PayloadTooLargeError,
    StorageFullError,
    VoiceStackError,
)
from voice_stack.core.provider_client import Body
from voice_stack.core.system.files import is_full
from voice_stack.core.system.side_process import GivenUpError, SideProcess

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voice_stack.utils.audio.sources import AudioSource

SAMPLE_RATE = 16_000
STEP_S = 20.0
LOSSLESS_BYTES = 24_000_000
"""About 24 minutes of speech. What is longer is sent as Opus: an hour in 11 MB."""
LOSSLESS_BYTES_PER_S = 17_000
"""Of FLAC: half of the samples."""
OPUS_BIT_RATE = 24_000
PROCESSES = 2
IDLE_S = 60.0
MAX_DATA_MB = 1024
"""As for the decoder of an engine process."""
IN_MEMORY_BYTES = 512 << 10
PIECE_BYTES = 256 << 10
MAX_DEATHS, MAX_OWN_DEATHS = 5, 2
"""Of processes in which a file is decoded, and of those in the moment when it is: these are likely its own fault."""

TIMEOUT_S = 150.0
"""A file that gives no sound for two minutes is refused before that."""


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """What of a file is wanted.

    Attributes:
        file: The upload.
        max_audio_s: Longer files are refused.
        max_bytes: More the provider does not take.
        excerpt: Where to begin and how long, in seconds; None: all of it.
    """

    file: AudioFile
    max_audio_s: float
    max_bytes: int
    excerpt: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """A file that can be sent.

    Attributes:
        content: Its bytes, from the start.
        size: In bytes.
        suffix: `flac` or `ogg`.
        duration_s: Of the sound.
        warnings: What of the upload is not heard.
    """

    content: IO[bytes]
    size: int
    suffix: str
    duration_s: float
    warnings: tuple[str, ...]

    @property
    def media_type(self) -> str:
        """For Content-Type."""
        return f"audio/{self.suffix}"

    def body(self) -> Body:
        """The file alone, to be sent."""
        return Body(self.media_type, self.size, self.pieces)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its bytes, from the first one on."""
        at = 0
        while piece := await self._read(at):
            yield piece
            at += len(piece)

    async def _read(self, at: int) -> bytes:
        if self.size <= IN_MEMORY_BYTES:
            return self._read_now(at)
        return await asyncio.to_thread(self._read_now, at)

    def _read_now(self, at: int) -> bytes:
        self.content.seek(at)
        return self.content.read(PIECE_BYTES)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a process beside gives: the next bytes; with the last ones what is known of the whole.

    Attributes:
        suffix: Of what begins with these bytes: what came before is void. None: they follow it.
        head: Goes over the first bytes of the file, at the end.
    """

    data: bytes
    suffix: str | None
    is_last: bool = False
    head: bytes = b""
    duration_s: float = 0.0
    warnings: tuple[str, ...] = ()


class _GoneError(VoiceStackError):
    """The process that had opened the file is gone; `is_own`: in the very moment when it worked on it."""

    is_own = False


class _OwnError(_GoneError):
    is_own = True


class SoundMaker:
    """Makes files for providers; lives on the event loop. `close` it at the end.

    Args:
        folder: Where large ones lie while they are needed; None: the system's for temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else str(folder.expanduser())
        self._processes = [SideProcess("provider sound", IDLE_S, MAX_DATA_MB) for _ in range(PROCESSES)]
        self._load = [0] * PROCESSES
        self._keys = count()

    def warm_up(self) -> None:
        """Have a process ready before the first file comes."""
        self._processes[0].submit(_get_ready, IDLE_S)

    async def close(self) -> None:
        """End the processes."""
        await asyncio.gather(*(process.close() for process in self._processes))

    async def call(self, work: Callable[[], object]) -> object:
        """Have a function of a module called beside: it computes for longer than the event loop may wait.

        Raises:
            VoiceStackError: What the function raises.
        """
        with self._lightest() as process:
            return await _call(process, work)

    @asynccontextmanager
    async def make(self, plan: SoundPlan) -> AsyncIterator[Sound]:
        """The sound of a file; it is gone with the context.

        Raises:
            InvalidAudioError: The file cannot be decoded, or is too long.
            UnsupportedValueError: It has no such track.
            PayloadTooLargeError: The sound is larger than the provider takes.
            StorageFullError: There is no room for it.
        """
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=self._folder) as content, self._lightest() as process:
            yield await self._fill_patiently(content, process, plan)

    def _lightest(self) -> "_Load":
        return _Load(self._processes, self._load)

    async def _fill_patiently(self, content: IO[bytes], process: SideProcess, plan: SoundPlan) -> Sound:
        """As `_fill`, anew where the process dies: of this file or of another one."""
        own = 0
        for _ in range(MAX_DEATHS):
            try:
                return await self._fill(content, process, plan)
            except _GoneError as error:
                own += error.is_own
                if own >= MAX_OWN_DEATHS:
                    raise InvalidAudioError(f"The file could not be decoded: {error.message}.") from None
        raise EngineError("The processes that decode files die again and again, of other files than this one.")

    async def _fill(self, content: IO[bytes], process: SideProcess, plan: SoundPlan) -> Sound:
        key, size, suffix = next(self._keys), 0, "flac"
        work = partial(_open, key, plan)
        try:
            while True:
                step = await _call(process, work)
                assert isinstance(step, _Step)
                if step.suffix:
                    size, suffix = 0, step.suffix
                    content.seek(0)
                    content.truncate()
                size += len(step.data)
                if size > plan.max_bytes:
                    raise PayloadTooLargeError(
                        f"The provider takes files of {plan.max_bytes / 1e6:.0f} MB at most, which is about "
                        f"{plan.max_bytes * 8 / OPUS_BIT_RATE / 3600:.1f} hours of speech; this one is longer",
                        param="file",
                    )
                await self._write(content, step)
                if step.is_last:
                    return Sound(content, size, suffix, step.duration_s, step.warnings)
                work = partial(_next, key)
        finally:
            process.submit(partial(_close, key), IDLE_S)

    async def _write(self, content: IO[bytes], step: _Step) -> None:
        try:
            if content.tell() + len(step.data) <= IN_MEMORY_BYTES:
                _append(content, step)
            else:
                await asyncio.to_thread(_append, content, step)
        except OSError as error:
            code = None if is_full(error) else "storage_unavailable"
            raise StorageFullError(f"The server cannot store the sound: {error.strerror}.", code=code) from None


class _Load:
    """The process with the least to do, for the length of a context."""

    def __init__(self, processes: list[SideProcess], load: list[int]) -> None:
        self._processes, self._load = processes, load
        self._index = load.index(min(load))

    def __enter__(self) -> SideProcess:
        self._load[self._index] += 1
        return self._processes[self._index]

    def __exit__(self, *exception: object) -> None:
        self._load[self._index] -= 1


def _append(content: IO[bytes], step: _Step) -> None:
    content.write(step.data)
    if step.head:
        content.seek(0)
        content.write(step.head)


async def _call(process: SideProcess, work: Callable[[], object]) -> object:
    # Shielded: a future that is cancelled cannot take the result that the process brings.
    answer = asyncio.shield(asyncio.wrap_future(process.submit(work, TIMEOUT_S)))
    try:
        return await answer
    except GivenUpError as error:
        raise _OwnError(error.message) from None


_opened: dict[int, Generator[_Step, None, None]] = {}
"""In a process beside: what is being made."""


def _get_ready() -> None:
    """Import what takes time."""
    from voice_stack.asr.listening import decoding
    from voice_stack.utils.audio import codecs

    assert decoding
    assert codecs


def _open(key: int, plan: SoundPlan) -> _Step:
    _opened[key] = _make(plan)
    return _next(key)


def _next(key: int) -> _Step:
    if key not in _opened:
        raise _GoneError("the process that had opened it is gone")
    step = next(_opened[key])
    if step.is_last:
        _close(key)
    return step


def _close(key: int) -> None:
    if opened := _opened.pop(key, None):
        opened.close()


def _make(plan: SoundPlan) -> Generator[_Step, None, None]:
    """The file, step by step; begun anew as Opus where FLAC becomes too large."""
    from voice_stack.asr.listening.decoding import describe_source
    from voice_stack.utils.audio.decode import probe_duration_s

    source, is_large = describe_source(plan.file), False
    if plan.file.path.stat().st_size > LOSSLESS_BYTES / 8:  # no codec needs less than an eighth of FLAC
        is_large = LOSSLESS_BYTES_PER_S * (probe_duration_s(source) or 0.0) > LOSSLESS_BYTES
    if not is_large:
        size = 0
        for step in _encode(plan, source, "flac"):
            size += len(step.data)
            if size > LOSSLESS_BYTES:
                break
            yield step
        else:
            return
    yield from _encode(plan, source, "ogg")


def _encode(plan: SoundPlan, source: "AudioSource", suffix: str) -> Generator[_Step, None, None]:
    from voice_stack.utils.audio.codecs import Codec, CodecOutput

    opus = Codec("libopus", "ogg", "flt", OPUS_BIT_RATE, {"application": "voip", "compression_level": "5"})
    flac = Codec("flac", "flac", "s16", muxer_options={"metadata_header_padding": "0"})
    warnings, samples, first = list[str](), 0, suffix
    with (
        closing(CodecOutput(flac if suffix == "flac" else opus, SAMPLE_RATE)) as output,
        closing(_decode(plan, source, warnings)) as blocks,
    ):
        block = next(blocks, None)
        while block is not None:
            samples += block.size
            data, block = output.write(block), next(blocks, None)
            if block is None:
                data += output.finish()
                head, duration_s = output.exact_head.data, samples / SAMPLE_RATE
                yield _Step(data, first or None, True, head, duration_s, tuple(warnings))
            else:
                yield _Step(data, first or None)
            first = ""


def _decode(
    plan: SoundPlan, source: "AudioSource", warnings: list[str]
) -> "Generator[NDArray[np.float32], None, None]":
    from voice_stack.utils.audio.decode import decode_blocks, decode_excerpt
    from voice_stack.utils.audio.sources import invalid_audio

    if plan.excerpt is None:
        yield from decode_blocks(source, block_s=STEP_S, max_duration_s=plan.max_audio_s, warnings=warnings)
        return
    samples = decode_excerpt(source, *plan.excerpt)
    if not samples.size:
        raise invalid_audio("there is no sound at the place that is to be heard")
    yield samples
