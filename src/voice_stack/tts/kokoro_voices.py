"""Kokoro's voices: all in one model, and mixed at will."""

from collections.abc import Iterator
from pathlib import Path

from voice_stack.core.model_store import ModelStore
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.kokoro_models import ENGINE, LANGUAGES, SPOKEN_LANGUAGES, VOICE_NAMES
from voice_stack.tts.voice_blend import parse_blend
from voice_stack.tts.voices import Voice

KOKORO_OPENAI_NAMES = {
    "alloy": "af_alloy",
    "ash": "am_fenrir",
    "ballad": "bm_george",
    "cedar": "am_michael",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_aoede",
    "verse": "am_puck",
}
"""OpenAI's names: the namesake where Kokoro has one, else a voice of the same sex and temper."""

LICENCE = "Apache-2.0"
_PEOPLE = {
    "a": "American English", "b": "British English", "e": "Spanish", "f": "French", "h": "Hindi", "i": "Italian",
    "j": "Japanese", "p": "Brazilian Portuguese", "z": "Mandarin Chinese",
}  # fmt: skip
_REGIONS = {"a": "US", "b": "GB", "p": "BR"}
_SEXES = {"f": "female", "m": "male"}


def kokoro_voices(store: ModelStore, default: str | None) -> Iterator[Voice]:
    """Every voice of the Kokoro model that is here, or that is the server's default.

    Args:
        store: Where models are.
        default: The server's default model, if it is one of Kokoro's.
    """
    model = _find_model(store, default)
    if model is None:
        return
    for name in _list_names(store.path(model)):
        yield _voice(name, model, EngineVoice(name))


def find_kokoro_blend(store: ModelStore, default: str | None, name: str) -> Voice | None:
    """The voice of a name like `af_heart*0.7+am_adam*0.3`; None for a name of another form.

    Raises:
        UnsupportedValueError: A part is no voice of Kokoro's, or a weight makes no sense.
    """
    model = _find_model(store, default)
    if model is None:
        return None
    blend = parse_blend(name, _list_names(store.path(model)))
    if blend is None:
        return None
    voice = _voice(blend[0][0], model, EngineVoice(blend=blend))
    mixed = ", ".join(f"{share:.0%} {part}" for part, share in blend)
    return Voice(
        id=name, engine=ENGINE, model=model, languages=voice.languages, region=voice.region,
        engine_voice=voice.engine_voice,
        description=f"mixed of {mixed}", licence=LICENCE,
    )  # fmt: skip


def _find_model(store: ModelStore, default: str | None) -> str | None:
    """The default model; else the first of Kokoro's that is here."""
    local = (spec.name for spec in store.catalogue.models if spec.engine == ENGINE and store.is_local(spec.name))
    return default or next(local, None)


def _list_names(folder: Path) -> tuple[str, ...]:
    """The voices in a model's folder, the known ones first; all known ones while the model is not fetched yet."""
    there = {path.stem for path in folder.glob("voices/*.bin")}
    known = tuple(name for name in VOICE_NAMES if name in there or not there)
    return known + tuple(sorted(there.difference(known)))


def _voice(name: str, model: str, engine_voice: EngineVoice) -> Voice:
    prefix, _, given_name = name.partition("_")
    people, sex = _PEOPLE.get(prefix[:1], ""), _SEXES.get(prefix[1:], "")
    own = LANGUAGES.get(prefix[:1], "")
    return Voice(
        id=name,
        engine=ENGINE,
        model=model,
        languages=tuple(sorted(SPOKEN_LANGUAGES, key=lambda language: (language != own, language))),
        region=_REGIONS.get(prefix[:1], ""),
        engine_voice=engine_voice,
        name=given_name.capitalize() or name,
        description=", ".join(filter(None, (people, sex))),
        licence=LICENCE,
    )
