"""Piper's voices: each is a model of its own, from a pack, from the hub or dropped in by the operator.

A speaker of a model with several is a voice too, by the speaker's name or number: `en_US-libritts_r-medium#3922`.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from voice_stack.core.errors import ModelNotFoundError
from voice_stack.core.model_names import ModelNames
from voice_stack.core.model_store import ModelStore
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.models import find_piper_voice
from voice_stack.tts.piper_config import VoiceFacts, read_facts
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices import Voice
from voice_stack.utils.language import find_language, find_region

SPEAKER_MARK = "#"


def piper_voices(store: ModelStore, voice_dir: Path, default: str | None) -> Iterator[Voice]:
    """The default voice, the packs', downloaded ones, the operator's files; doubles are the same voice.

    Args:
        store: Where models are.
        voice_dir: The operator's folder.
        default: The server's default model, if it is one of Piper's.
    """
    if default is not None:
        yield _voice(store, default)
    packs = (spec for spec in store.catalogue.models if spec.engine == "piper")
    yield from (_voice(store, spec.name) for spec in packs if store.is_local(spec.name))
    downloads = [path.parent.name for path in _find_configs(store.model_dir, max_depth=1)]
    yield from (_voice(store, name) for name in downloads if find_piper_voice(name) and store.is_local(name))
    for config in _find_configs(voice_dir, max_depth=math.inf):
        model = config.with_suffix("")
        if config.is_file() and model.is_file():  # a pipe in place of either would be waited for
            yield _voice(store, str(model.absolute()))


def _find_configs(root: Path, max_depth: float) -> list[Path]:
    """The files beside voices in a folder and those below it; folders that go meanwhile are no error."""
    found: list[Path] = []
    for folder, inner, names in os.walk(root):
        found += [Path(folder, name) for name in names if name.endswith(".onnx.json")]
        if len(Path(folder).relative_to(root).parts) >= max_depth:
            inner.clear()
    return sorted(found)


def find_piper_speaker(settings: TtsSettings, store: ModelStore, name: str) -> Voice | None:
    """The voice of a name that is in no list: a speaker of a voice, or a voice that may be fetched when first used.

    Raises:
        UnsupportedValueError: The voice has no such speaker; the message says which it has.
    """
    base, mark, speaker = name.partition(SPEAKER_MARK)
    if not mark and find_piper_voice(base) is None:
        return None
    default = settings.model if settings.engine == "piper" else None
    voice = next((v for v in piper_voices(store, settings.voice_dir, default) if v.id.lower() == base.lower()), None)
    voice = voice or _find_fetchable(settings, store, base)
    if voice is None or not mark:
        return voice
    # A voice that is still to be fetched has no facts yet; its engine then looks for the speaker.
    if facts := _find_facts(store, voice.model):
        facts.find_speaker(speaker)
    return replace(voice, id=f"{voice.id}{SPEAKER_MARK}{speaker}", engine_voice=EngineVoice(speaker))


def _find_fetchable(settings: TtsSettings, store: ModelStore, name: str) -> Voice | None:
    spec = find_piper_voice(name)
    if spec is None:
        return None
    try:
        ModelNames(store, settings.model, (), settings.allowed_models).resolve(spec.name)
    except ModelNotFoundError:
        return None
    return _voice(store, spec.name)


def _voice(store: ModelStore, model: str) -> Voice:
    spec, facts = find_piper_voice(_voice_id(model)), _find_facts(store, model)
    language = find_language(facts.language) if facts and facts.language else None
    description = spec.description if spec else ""
    return Voice(
        id=_voice_id(model),
        engine="piper",
        model=model,
        languages=spec.languages if spec else (language.code,) if language else (),
        region=find_region(spec.name.partition("-")[0]) if spec else "",
        description=f"{description}; {facts.describe_speakers()}" if facts and facts.speaker_count > 1 else description,
    )


def _find_facts(store: ModelStore, model: str) -> VoiceFacts | None:
    """What the file beside a voice tells, wherever the voice is; None if it is not on this machine yet."""
    path = Path(model) if model.endswith(".onnx") else store.model_dir / model / f"{model}.onnx"
    return read_facts(Path(f"{path}.json"))


def _voice_id(model: str) -> str:
    return Path(model).stem if model.endswith(".onnx") else Path(model).name
