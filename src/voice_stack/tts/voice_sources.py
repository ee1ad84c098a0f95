"""Where the voices come from: one source for each engine that is installed, the default engine's first."""

from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec

from voice_stack.core.model_store import ModelStore
from voice_stack.tts.cloned_voices import ClonedVoices
from voice_stack.tts.engine_factory import ENGINES
from voice_stack.tts.kokoro_voices import KOKORO_OPENAI_NAMES, find_kokoro_blend, kokoro_voices
from voice_stack.tts.piper_voices import find_piper_speaker, piper_voices
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices import Voice, VoiceLibrary
from voice_stack.tts.xtts_voices import XTTS_OPENAI_NAMES, xtts_voices


def _piper(settings: TtsSettings, store: ModelStore) -> Iterable[Voice]:
    return piper_voices(store, settings.voice_dir, settings.model if settings.engine == "piper" else None)


def _fake(settings: TtsSettings, _store: ModelStore) -> Iterable[Voice]:
    if settings.engine == "fake":
        yield Voice(id=settings.model, engine="fake", model=settings.model)


def _kokoro(settings: TtsSettings, store: ModelStore) -> Iterable[Voice]:
    return kokoro_voices(store, settings.model if settings.engine == "kokoro" else None)


def _find_kokoro_blend(settings: TtsSettings, store: ModelStore, name: str) -> Voice | None:
    return find_kokoro_blend(store, settings.model if settings.engine == "kokoro" else None, name)


SOURCES: dict[str, Callable[[TtsSettings, ModelStore], Iterable[Voice]]] = {
    "piper": _piper,
    "kokoro": _kokoro,
    "xtts": xtts_voices,
    "fake": _fake,
}
"""How the voices of each engine are listed."""

RESOLVERS: dict[str, Callable[[TtsSettings, ModelStore, str], Voice | None]] = {
    "piper": find_piper_speaker,
    "kokoro": _find_kokoro_blend,
}
"""For each engine that has such, the rule for names of voices that are not listed."""

OPENAI_NAMES: dict[str, dict[str, str]] = {"kokoro": KOKORO_OPENAI_NAMES, "xtts": XTTS_OPENAI_NAMES}
"""For each engine, the voices that OpenAI's names stand for; where there is none, its first voice."""


def open_library(settings: TtsSettings, store: ModelStore, cloned: ClonedVoices) -> VoiceLibrary:
    """The voices of every engine that is installed, and the recorded ones."""
    installed = [name for name in SOURCES if find_spec(ENGINES[name].package) is not None]
    installed.sort(key=lambda name: name != settings.engine)
    return VoiceLibrary(
        [*(partial(SOURCES[name], settings, store) for name in installed), cloned.list],
        [*(partial(RESOLVERS[name], settings, store) for name in installed if name in RESOLVERS), cloned.find_by_name],
        OPENAI_NAMES,
        settings.named_voices(),
    )
