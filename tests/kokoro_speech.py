"""Speech of the real Kokoro model, for the tests of its engine and for those of recognition in other languages."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

from voice_stack.tts.engine.base import EngineVoice, Spoken, VoiceOptions
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.engine.kokoro_model import SAMPLE_RATE


def say(engine: KokoroEngine, text: str, voice: EngineVoice | str, language: str, speed: float = 1.0) -> Spoken:
    """A short text, in one piece."""
    engine_voice = EngineVoice(voice) if isinstance(voice, str) else voice
    (spoken,) = engine.synthesize(text, VoiceOptions(engine_voice, language, speed))
    return spoken


def to_wav(samples: NDArray[np.float32]) -> bytes:
    """A complete WAV file, 16 bit at the model's rate."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return memory.getvalue()
