"""Small uploads that ask for much: a 400 with the reason, and nobody else waits."""

import io
import wave
from concurrent.futures import ThreadPoolExecutor

import av
import httpx2
import numpy as np

from e2e.sound import tone
from running_server import RunningServer

RATE = 16_000
YEAR_S = 365 * 24 * 3600


def _many_channels() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(24)
        sound.setsampwidth(2)
        sound.setframerate(384_000)
        sound.writeframes(bytes(2 * 24 * 38_400))
    return target.getvalue()


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


def _send(server: RunningServer, content: bytes) -> httpx2.Response:
    with server.http() as client:
        files = {"file": ("a.wav", content)}
        return client.post("/v1/audio/transcriptions", data={"model": "whisper-1", "language": "en"}, files=files)


def test_bombs_are_refused_and_others_are_served(fake_asr: RunningServer) -> None:
    with ThreadPoolExecutor(3) as threads:
        bombs = [threads.submit(_send, fake_asr, content) for content in (_many_channels(), _hole_of_a_year())]
        other = threads.submit(_send, fake_asr, tone(1.0))
        refused = [bomb.result() for bomb in bombs]
        assert other.result().json()["text"] == "window 1.0 s."
    assert [answer.status_code for answer in refused] == [400, 400]
    errors = [answer.json()["error"] for answer in refused]
    assert "24 channels at 384000 Hz" in errors[0]["message"]
    assert (errors[1]["code"], errors[1]["param"]) == ("audio_too_long", "file")
    fake_asr.expect_no_uploads()
