"""Live transcription over a real socket: what is said to the server, and all that it tells."""

import base64
import io
import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from running_server import RunningServer

RATE = 24_000
TRANSCRIPTION = "conversation.item.input_audio_transcription"

Event = dict[str, object]


def to_pcm(wav: bytes) -> bytes:
    """A recording as 16-bit PCM at 24 kHz."""
    with wave.open(io.BytesIO(wav)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float64)
        places = np.arange(round(samples.size * RATE / sound.getframerate())) * sound.getframerate() / RATE
    data: bytes = np.interp(places, np.arange(samples.size), samples).astype("<i2").tobytes()
    return data


def silence(seconds: float) -> bytes:
    return bytes(2 * round(RATE * seconds))


class LiveSession:
    """One open session; a thread notes what it is told, and when by `time.monotonic`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Event] = []
        self.told_at: list[float] = []
        self.completed = 0
        self.code: int | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                event = json.loads(self.socket.recv())
                with self._news:
                    self.events.append(event)
                    self.told_at.append(time.monotonic())
                    self.completed += event["type"] == f"{TRANSCRIPTION}.completed"
                    self._news.notify_all()
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd else 1006
        with self._news:
            self._news.notify_all()

    def send(self, kind: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def update(self, **sound: object) -> None:
        self.send("session.update", session={"type": "transcription", "audio": {"input": sound}})

    def say(self, pcm: bytes, *, speed: float = 0.0, piece_s: float = 0.1) -> None:
        """Send sound, in pieces; as fast as it is taken, or so many times as fast as it was spoken."""
        step, begun = 2 * round(RATE * piece_s), time.monotonic()
        for number, start in enumerate(range(0, len(pcm), step)):
            self.send("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + step]).decode())
            if speed:
                time.sleep(max(0.0, begun + (number + 1) * piece_s / speed - time.monotonic()))

    def until_taken(self) -> None:
        """Wait until the server has read all that was said."""
        known = len(self.of("session.updated"))
        self.update()
        self.until(lambda told: len(told.of("session.updated")) > known)

    def of(self, kind: str) -> list[Event]:
        """What was told of a kind so far."""
        kind = f"{TRANSCRIPTION}.{kind}" if kind in {"completed", "delta", "failed", "segment"} else kind
        return [event for event in list(self.events) if event["type"] == kind]

    def finals(self) -> list[str]:
        """The texts of the turns that are complete, in the order in which they were spoken."""
        texts = {str(event["item_id"]): str(event["transcript"]) for event in self.of("completed")}
        order = [str(event["item_id"]) for event in self.of("input_audio_buffer.committed")]
        return [texts[item] for item in order if item in texts]

    def times(self) -> list[tuple[object, object]]:
        """When the turns began and ended, in milliseconds."""
        started = [event["audio_start_ms"] for event in self.of("input_audio_buffer.speech_started")]
        stopped = [event["audio_end_ms"] for event in self.of("input_audio_buffer.speech_stopped")]
        return list(zip(started, stopped, strict=False))

    def until(self, is_true: Callable[["LiveSession"], object], timeout_s: float = 60.0) -> None:
        """Wait until what was told is so."""
        with self._news:
            happened = self._news.wait_for(lambda: is_true(self) or self.code is not None, timeout_s)
            assert happened, [event["type"] for event in self.events[-20:]]
            assert is_true(self), (self.code, self.events[-3:])

    def until_heard(self, turns: int, timeout_s: float = 60.0) -> list[str]:
        """Wait for the texts of so many turns."""
        self.until(lambda told: told.completed >= turns, timeout_s)
        return self.finals()

    def until_closed(self, timeout_s: float = 30.0) -> int | None:
        """How the server ends it."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), self.events[-3:]
        return self.code


@contextmanager
def listen(server: RunningServer, query: str = "intent=transcription", **sound: object) -> Iterator[LiveSession]:
    """A session of a server; `sound` is `audio.input` of its settings."""
    url = f"ws://127.0.0.1:{server.port}/v1/realtime?{query}"
    with connect(url, proxy=None, max_size=None, close_timeout=1) as socket:
        session = LiveSession(socket)
        session.until(lambda told: told.of("session.created"))
        if sound:
            session.update(**sound)
            session.until(lambda told: told.of("session.updated"))
        yield session
