"""Piper's voices: each is a model of its own, from a pack, from the hub or dropped in by the operator."""

from collections.abc import Iterator
from pathlib import Path

from voice_stack.core.model_store import ModelStore
from voice_stack.tts.models import find_piper_voice
from voice_stack.tts.voices import Voice


def piper_voices(store: ModelStore, voice_dir: Path, default: str | None) -> Iterator[Voice]:
    """The default voice, the packs', downloaded ones, the operator's files; doubles are the same voice.

    Args:
        store: Where models are.
        voice_dir: The operator's folder.
        default: The server's default model, if it is one of Piper's.
    """
    if default is not None:
        yield _voice(default)
    packs = (spec for spec in store.catalogue.models if spec.engine == "piper")
    yield from (_voice(spec.name) for spec in packs if store.is_local(spec.name))
    downloads = sorted(path.parent.name for path in store.model_dir.glob("*/*.onnx.json"))
    yield from (_voice(name) for name in downloads if find_piper_voice(name) and store.is_local(name))
    for config in sorted(voice_dir.glob("**/*.onnx.json")):
        model = config.with_suffix("")
        if model.is_file():
            yield _voice(str(model.absolute()))


def _voice(model: str) -> Voice:
    spec = find_piper_voice(_voice_id(model))
    return Voice(
        id=_voice_id(model),
        engine="piper",
        model=model,
        languages=spec.languages if spec else (),
        description=spec.description if spec else "",
    )


def _voice_id(model: str) -> str:
    return Path(model).stem if model.endswith(".onnx") else Path(model).name
