"""The speech libraries as their own users call them, in this process, on the weights that the server has."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from hibari import Hibari
from numpy.typing import NDArray
from piper import PiperVoice

from benchmarks.speech import MINUTE_TEXT, PARAGRAPH
from voice_stack.core.models.store import ModelStore
from voice_stack.tts.engine_factory import open_store
from voice_stack.tts.settings import TtsSettings

Samples = NDArray[np.float32]
PIPER, HIBARI, KOKORO = "en_US-joe-medium", "hibari-heart", "kokoro"
KOKORO_VOICES = ("af_heart", "am_michael", "bf_emma", "bm_george")
"""A woman and a man of each English that Kokoro speaks; what is measured is said in English."""

_KOKORO_LANGUAGES = {"b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "p": "pt-br"}
"""What the library calls the language of a voice, by the first letter of its name."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library with a model loaded.

    Attributes:
        name: For the table.
        model: What a request to the server names to have the same model speak.
        voices: Names of the voices that are measured, the same on both sides; the first is the usual one.
        long_text: A text whose speech takes the library a few seconds to make.
        sample_rate: Of its samples, in Hz.
        speak: Text and voice -> samples, mono float32 in -1 to 1, in pieces where the library makes pieces.
    """

    name: str
    model: str
    voices: tuple[str, ...]
    long_text: str
    sample_rate: int
    speak: Callable[[str, str], Iterator[Samples]]


def load_libraries() -> list[Library]:
    """Piper and hibari, and Kokoro where its package and its weights are on this machine."""
    store = open_store(TtsSettings.read(offline=True))
    libraries = [_load_piper(store, PIPER), _load_hibari(store, HIBARI)]
    if find_spec("kokoro_onnx") is not None and store.is_local(KOKORO):
        libraries.append(_load_kokoro(store.resolve(KOKORO)))
    return libraries


def _load_piper(store: ModelStore, model: str) -> Library:
    voice = PiperVoice.load(next(store.resolve(model).glob("*.onnx")))

    def speak(text: str, _voice: str) -> Iterator[Samples]:
        return (chunk.audio_float_array for chunk in voice.synthesize(text))

    return Library("Piper", model, (model,), MINUTE_TEXT, voice.config.sample_rate, speak)


def _load_hibari(store: ModelStore, model: str) -> Library:
    library = Hibari(model=str(next(store.resolve(model).glob("*.onnx"))))
    library("Hello.")  # its dictionaries are read at the first text
    return Library(
        "hibari", model, (model,), MINUTE_TEXT, library.sample_rate, lambda text, _voice: library.stream(text)
    )


def _load_kokoro(folder: Path) -> Library:
    from kokoro_onnx import Kokoro

    with tempfile.TemporaryDirectory() as made:
        # The library wants all voices in one archive.
        voices = {path.stem: np.fromfile(path, np.float32).reshape(-1, 1, 256) for path in folder.glob("voices/*.bin")}
        np.savez(Path(made) / "voices.npz", **voices)  # type: ignore[arg-type]
        library = Kokoro(str(next(folder.rglob("*.onnx"))), str(Path(made) / "voices.npz"))

    def speak(text: str, voice: str) -> Iterator[Samples]:
        samples, _rate = library.create(text, voice=voice, lang=_KOKORO_LANGUAGES.get(voice[0], "en-us"))
        yield samples

    return Library("Kokoro", KOKORO, KOKORO_VOICES, PARAGRAPH, 24_000, speak)
