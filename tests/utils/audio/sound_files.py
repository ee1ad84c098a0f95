"""Sound files of every kind, written by FFmpeg and the standard library; and what the decoder makes of them."""

import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.decode import decode_blocks

RATE = 16_000


def tone(seconds: float, rate: int, hertz: float = 440.0) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(
    path: Path, samples: NDArray[np.float32], rate: int, codec: str, layout: str = "mono", container: str | None = None
) -> Path:
    """Write planar samples, shape (channels, samples), with FFmpeg's own encoders."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        for start in range(0, samples.shape[1], rate):
            part = np.ascontiguousarray(samples[:, start : start + rate])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate = rate
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat((samples * 32767).astype("<i2"), channels).tobytes())
    return path


def decode(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(decode_blocks(path)))


def pitch(samples: NDArray[np.float32]) -> float:
    """The strongest frequency in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / samples.size)
