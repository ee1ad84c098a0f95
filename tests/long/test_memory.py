"""Memory that stays flat under long work, and comes back when the work is over."""

import threading
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from e2e.sound import samples_of, tone
from running_server import RunningServer, wait_until

pytestmark = pytest.mark.alone

StartServer = Callable[..., AbstractContextManager[RunningServer]]
Spoken = Callable[[str], bytes]
MIB = 1 << 20
MAX_ENGINE_GROWTH = 300 * MIB
MAX_API = 150 * MIB
MAX_LEFT_BEHIND = 20 * MIB
HOUR_S = 3600
PERIOD_S = 30
TEXT = "The committee met on Tuesday to discuss the new bridge. Work on it will begin in the spring."


def _resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


class _Peak:
    """The largest resident size of processes, looked at in a thread while the context lasts."""

    def __init__(self, *pids: int) -> None:
        self.bytes = dict.fromkeys(pids, 0)
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(1)

    def __enter__(self) -> "_Peak":
        self._watching = self._threads.submit(self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._threads.shutdown()
        self._watching.result()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            for pid, peak in self.bytes.items():
                self.bytes[pid] = max(peak, _resident_bytes(pid))


def _write_hour(path: Path, speech: bytes) -> None:
    """An hour at 16 kHz: every 30 s the speech, then silence."""
    source, rate = samples_of(speech)
    frame = av.AudioFrame.from_ndarray(source[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler("s16", "mono", 16_000)
    parts = [out.to_ndarray()[0] for out in (*resampler.resample(frame), *resampler.resample(None))]
    period = np.zeros(PERIOD_S * 16_000, np.int16)
    spoken = np.concatenate(parts)
    period[: spoken.size] = spoken
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(16_000)
        for _ in range(HOUR_S // PERIOD_S):
            target.writeframes(period.tobytes())


def test_an_hour_of_audio_leaves_memory_flat(start_server: StartServer, spoken: Spoken, tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    _write_hour(path, spoken(TEXT))
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server, server.http() as client:

        def transcribe(name: str, sound: object) -> dict[str, object]:
            form = {"model": "whisper-1", "response_format": "verbose_json"}
            answer = client.post("/v1/audio/transcriptions", data=form, files={"file": (name, sound)})  # type: ignore[dict-item]
            assert answer.status_code == 200, answer.text
            body: dict[str, object] = answer.json()
            return body

        transcribe("warm.wav", spoken(TEXT))  # the networks are loaded
        engine, api = server.engine_pid(), server.process.pid
        assert engine is not None
        before = _resident_bytes(engine)
        with _Peak(engine, api) as peak, path.open("rb") as sound:
            body = transcribe("hour.wav", sound)
        assert body["duration"] == pytest.approx(HOUR_S, abs=0.1)
        assert len(list(body["segments"])) >= HOUR_S // PERIOD_S / 5  # type: ignore[call-overload]
        growth, most = peak.bytes[engine] - before, peak.bytes[api]
        print(f"engine before {before / MIB:.0f} MiB, growth {growth / MIB:.0f} MiB, API {most / MIB:.0f} MiB")
        assert growth < MAX_ENGINE_GROWTH
        assert most < MAX_API
        server.expect_no_uploads()


def _check_idle_stop(server: RunningServer, work: Callable[[], object]) -> None:
    at_start = _resident_bytes(server.process.pid)
    work()
    pid = server.engine_pid()
    assert pid is not None
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the idle engine stops")
    assert server.engine_pid() is None
    time.sleep(0.2)
    left = _resident_bytes(server.process.pid) - at_start
    print(f"API process: {at_start / MIB:.0f} MiB at start, {left / MIB:+.1f} MiB after the engine stopped")
    assert left < MAX_LEFT_BEHIND
    work()


def test_an_idle_asr_engine_gives_its_memory_back(start_server: StartServer, spoken: Spoken) -> None:
    with start_server("asr", "--idle-timeout-s", "0.5") as server, server.openai() as client:
        sound = spoken(TEXT)

        def work() -> None:
            text = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound)).text
            assert "bridge" in text.lower()

        _check_idle_stop(server, work)


def test_an_idle_tts_engine_gives_its_memory_back(start_server: StartServer) -> None:
    with start_server("tts", "--idle-timeout-s", "0.5") as server, server.openai() as client:

        def work() -> None:
            sound = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="mp3").content
            assert len(sound) > len(tone(0.5))

        _check_idle_stop(server, work)
