"""Sounds that can be told apart: each second of a recording is a tone of another pitch."""

import json
import wave
from pathlib import Path

import numpy as np

RATE = 16_000


def tones(path: Path, seconds: int) -> Path:
    """A WAV file whose n-th second is a tone of 200 + 100 n Hz."""
    times = np.arange(seconds * RATE)
    return write_wav(path, 0.3 * np.sin(2 * np.pi * (200 + 100 * (times // RATE)) * times / RATE))


def write_wav(path: Path, samples: np.ndarray) -> Path:
    """A WAV file of 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def json_lines(path: Path, *rows: object) -> None:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
