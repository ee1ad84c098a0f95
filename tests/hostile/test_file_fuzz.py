"""Real files of many kinds with chance in them: the decoder has samples or a 400, in bounded memory and time."""

import os
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile.hostile_files import movie, transcode_tone
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.system.side_process import SideProcess
from voice_stack.utils.audio.decode import decode_blocks

EXAMPLES = {"short": 2_500, "long": 100_000}[os.environ.get("CHAOS", "short")]
MAX_MIB = 300.0
TIMEOUT_S = 10.0
KINDS = (
    ("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus"), ("ogg", "flac"), ("mp4", "aac"),
    ("mov", "pcm_s16le"), ("ismv", "aac"), ("webm", "libopus"), ("matroska", "aac"), ("matroska", "pcm_s16le"),
    ("avi", "libmp3lame"), ("mpegts", "aac"), ("mpegts", "mp2"), ("mpeg", "mp2"), ("aiff", "pcm_s16be"),
    ("caf", "pcm_s16le"), ("w64", "pcm_s16le"), ("asf", "pcm_s16le"), ("flv", "aac"), ("adts", "aac"),
    ("nut", "pcm_s16le"), ("au", "pcm_s16be"), ("tta", "tta"), ("wv", "wavpack"), ("voc", "pcm_u8"), ("3gp", "aac"),
)  # fmt: skip
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10_000_000, 1 << 24, 0x3FFFFFFF)


@cache
def seeds() -> tuple[bytes, ...]:
    """Sounds of 0.4 s; what comes first is what the search for a small failure ends at."""
    return (movie(16_000), *(transcode_tone(container, codec, 0.4) for container, codec in KINDS))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with some of its bytes and numbers changed, pieces lost, doubled or of another file."""
    data = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(0, 5))):
        # Most of what a demuxer believes is at the beginning or at the end.
        near = draw(st.sampled_from([64, 600, len(data) or 1]))
        at = min(draw(st.integers(0, near)), len(data))
        at = draw(st.sampled_from([at, len(data) - at]))
        length = draw(st.sampled_from([1, 2, 4, 8, 100, 2_000]))
        match draw(st.integers(0, 5)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                order = draw(st.sampled_from([">I", "<I", ">H", "<H"]))
                number = draw(st.sampled_from(EXTREMES)) & (0xFFFFFFFF if "I" in order else 0xFFFF)
                data[at : at + struct.calcsize(order)] = struct.pack(order, number)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * draw(st.sampled_from([1, 3, 200]))
            case 4:
                other = draw(st.sampled_from(seeds()))
                start = draw(st.integers(0, len(other)))
                data[at:] = other[start:]
            case _:
                del data[at:]
    return bytes(data)


def decode(path: Path) -> tuple[str, float]:
    """What the decoder says, and the most memory that this process has held, in MiB. In a process of its own."""
    try:
        samples = sum(block.size for block in decode_blocks(path, max_duration_s=3600))
    except InvalidRequestError as error:
        told = error.message
    else:
        told = f"{samples} samples"
    status = Path("/proc/self/status").read_text("ascii")
    peak_mib = float(status.split("VmHWM:")[1].split()[0]) / 1024
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak begins anew
    return told, peak_mib


@pytest.fixture(scope="module")
def decoder() -> Iterator[SideProcess]:
    process = SideProcess("fuzz", 60.0)
    yield process
    for child in psutil.Process().children():
        if "multiprocessing" in " ".join(child.cmdline()):
            child.kill()


@pytest.mark.timeout(7200)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="CHAOS" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(content=damaged())
def test_a_damaged_file_is_samples_or_a_refusal(decoder: SideProcess, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret-name"
    path.write_bytes(content)
    told, peak_mib = decoder.call(decode, TIMEOUT_S, path)
    assert "secret-name" not in told
    assert peak_mib < MAX_MIB, told
