"""Decoding for an engine process, in a process beside it.

What a small file can ask of FFmpeg's demuxers is not bounded by anything in them: 40 kB of tables became gigabytes. So
they work where the system bounds them, and what goes wrong there harms neither the model nor other jobs.
"""

import os
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import count
from logging import getLogger
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.request import AudioFile
from voice_stack.core.errors import EngineError, VoiceStackError
from voice_stack.core.jobs import PlanStep
from voice_stack.core.system.side_process import GivenUpError, SideProcess
from voice_stack.utils.audio import decode
from voice_stack.utils.audio.sources import STALL_S, AudioSource, has_media_header, invalid_audio

TIMEOUT_S = STALL_S + 30.0
MAX_DATA_MB = 1024
"""Of all files that are open together: 2 MB each as a rule, 100 MB for the index of a day of film."""

P = ParamSpec("P")
T = TypeVar("T")
_logger = getLogger(__name__)
_process = SideProcess("decoder", None, MAX_DATA_MB)
_keys = count()
_opened: dict[int, tuple[Generator[NDArray[np.float32], None, None], list[str]]] = {}
"""In the process beside: what is being decoded, and what of it is not heard."""
Blocks = tuple[NDArray[np.float32] | None, tuple[str, ...]]
"""The next block, if there is one, and what is not heard, as far as that is known."""


class _GoneError(VoiceStackError):
    """Another process than this one has opened the file."""


def describe_source(file: AudioFile) -> AudioSource:
    """The uploaded file as the decoder reads it."""
    if (pcm := file.pcm) is None or has_media_header(file.path):
        return AudioSource(file.path, file.audio_track)
    return AudioSource(file.path, None, "s16be" if pcm.big_endian else "s16le", pcm.sample_rate, pcm.channels)


def decode_blocks(
    source: AudioSource, *, max_duration_s: float, warn: Callable[[tuple[str, ...]], None]
) -> Iterator[NDArray[np.float32]]:
    """As `voice_stack.utils.audio.decode.decode_blocks`; `warn` is told all that is not heard, block by block."""
    key = next(_keys)
    try:
        block, warnings = call_decoder(_open_blocks, key, source, max_duration_s)
        warn(warnings)
        while block is not None:
            yield block
            block, warnings = call_decoder(_next_block, key)
            warn(warnings)
    finally:
        _process.submit(partial(_close_blocks, key), TIMEOUT_S)


def call_decoder(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of the decoder, in the process beside.

    Raises:
        InvalidAudioError: The file asked too much.
    """
    try:
        return _process.call(work, TIMEOUT_S, *args, **kwargs)
    except _GoneError:
        # The file of another job did it. The next engine process begins anew with all jobs that are left.
        _logger.warning("the decoder is gone with what it had opened: this engine process ends, too")
        os._exit(1)
    except GivenUpError as error:
        raise invalid_audio(f"the file could not be decoded: {error.message}") from None


def unless_gone(steps: Iterator[PlanStep]) -> Iterator[PlanStep]:
    """The steps of a plan; a client that leaves takes its upload with it, perhaps before the first of them."""
    try:
        yield from steps
    except FileNotFoundError as error:
        raise EngineError("The upload is gone: whoever sent it has left.") from error


def _open_blocks(key: int, source: AudioSource, max_duration_s: float) -> Blocks:
    warnings = list[str]()
    _opened[key] = decode.decode_blocks(source, max_duration_s=max_duration_s, warnings=warnings), warnings
    return _next_block(key)


def _next_block(key: int) -> Blocks:
    if key not in _opened:
        raise _GoneError("the process that had opened it is gone")
    blocks, warnings = _opened[key]
    return next(blocks, None), tuple(warnings)


def _close_blocks(key: int) -> None:
    if opened := _opened.pop(key, None):
        opened[0].close()
