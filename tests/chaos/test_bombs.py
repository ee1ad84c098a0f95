"""Small files that would be a great deal if one believed them: refused within bounds, while others are served."""

import io
import struct
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import av
import numpy as np
import pytest

from chaos.footprint import await_idle, measure
from chaos.listening import FAKE_ASR, URL, form
from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]
MAX_AUDIO_S = 600
SILENCE_S = 3600
RATE = 8000
BLOCK_S = 600
MAX_FILE_BYTES = 4_000_000
MAX_GROWTH_MIB = 100.0
YEAR_S = 365 * 86_400


@pytest.fixture(scope="module")
def asr(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR, ASR_MAX_AUDIO_S=str(MAX_AUDIO_S)) as server:
        yield server


def _silence(container: str, codec: str, length_s: int) -> bytes:
    """Hours of silence, which nearly nothing of a file holds."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for start in range(0, length_s, BLOCK_S):
            samples = np.zeros((1, BLOCK_S * RATE), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start * RATE
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def _claims_a_year() -> bytes:
    """A FLAC file of a moment whose header counts the samples of a year."""
    data = bytearray(_silence("flac", "flac", BLOCK_S))
    total = YEAR_S * RATE
    # STREAMINFO: 36 bits of the number of samples end at byte 26 of the file.
    head = int.from_bytes(data[18:26], "big")
    data[18:26] = (head >> 36 << 36 | total & (1 << 36) - 1).to_bytes(8, "big")
    return bytes(data[:20_000])


def _wav(channels: int, rate: int) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as target:
        target.setparams((channels, 4, rate, 0, "NONE", ""))
        target.writeframes(bytes(channels * 4 * 2000))
    return memory.getvalue()


def _hole_of_a_year() -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as file:
        stream = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for start_s in (0, YEAR_S):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start_s * RATE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return target.getvalue()


def _endless_chunks() -> bytes:
    """A WAV file whose chunks all say that they go on for 4 GiB."""
    chunk = b"LIST" + struct.pack("<I", 0xFFFFFFFF) + b"INFO"
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + chunk * 50_000


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "hours of silence": (lambda: _silence("flac", "flac", SILENCE_S), str(MAX_AUDIO_S)),
    "a hole of a year": (_hole_of_a_year, str(MAX_AUDIO_S)),
    "samples of a second": (lambda: _wav(24, 384_000), "24 channels at 384000 Hz"),
    # These may be read as the little that is in them.
    "a year by its header": (_claims_a_year, ""),
    "channels and rate": (lambda: _wav(255, 768_000), ""),
    "endless chunks": (_endless_chunks, ""),
}


@pytest.mark.parametrize("kind", sorted(BOMBS))
def test_bomb_is_defused(asr: RunningServer, kind: str) -> None:
    make, reason = BOMBS[kind]
    bomb = make()
    assert len(bomb) < MAX_FILE_BYTES
    with asr.http() as client, ThreadPoolExecutor(1) as threads:
        client.post(URL, **form(1.0))  # type: ignore[arg-type]
        before, pid = measure(asr), asr.engine_pid()
        data = {"model": "whisper-1", "language": "en"}
        sent = threads.submit(client.post, URL, data=data, files={"file": ("bomb", bomb)})
        while not sent.done():
            assert client.post(URL, **form(1.0)).json()["text"] == "window 1.0 s."  # type: ignore[arg-type]
        answer = sent.result()
        assert answer.status_code in {200, 400, 413}, answer.text
        if reason:
            assert answer.status_code in {400, 413}
            assert reason in answer.json()["error"]["message"]
        await_idle(asr)
        after = measure(asr)
        assert asr.engine_pid() == pid
        assert after.files == 0
        assert after.api_mib + after.engines_mib < before.api_mib + before.engines_mib + MAX_GROWTH_MIB
        assert "Traceback (most" not in asr.log.read_text()
