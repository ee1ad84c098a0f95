"""The voices of the engines: Piper's catalogue, hibari's, Kokoro's and their blends, those of the engines on PyTorch.

A speaker of a model with several is a voice too, by the speaker's name or number: `en_US-libritts_r-medium#3922`.
"""

import math
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.models.store import ModelNames, ModelStore
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.models import (
    CAPABILITIES,
    CPML_ENGINE,
    CPML_NAME,
    HIBARI_ENGINE,
    HIBARI_VOICES,
    KOKORO_ENGINE,
    LANGUAGES,
    SPOKEN_LANGUAGES,
    VOICE_NAMES,
    XTTS,
    VoiceFacts,
    find_piper_voice,
    read_facts,
)
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.torch_models import (
    POCKET_ENGINE,
    POCKET_VOICES,
    QWEN_ENGINE,
    QWEN_LANGUAGES,
    QWEN_SPEAKERS,
    SPEAKERS_FILE,
    find_pocket_language,
    find_qwen_facts,
    find_xtts_speakers,
)
from voice_stack.tts.voices.voice import Voice
from voice_stack.utils.language import find_language, find_region

SPEAKER_MARK = "#"


def piper_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """The default voice, the packs', downloaded ones, the operator's files; doubles are the same voice."""
    if settings.engine == "piper":
        yield _piper_voice(store, settings.model)
    packs = (spec for spec in store.catalogue.models if spec.engine == "piper")
    yield from (_piper_voice(store, spec.name) for spec in packs if store.is_local(spec.name))
    downloads = [path.parent.name for path in _find_configs(store.model_dir, max_depth=1)]
    yield from (_piper_voice(store, name) for name in downloads if find_piper_voice(name) and store.is_local(name))
    for config in _find_configs(settings.voice_dir, max_depth=math.inf):
        model = config.with_suffix("")
        if config.is_file() and model.is_file():  # a pipe in place of either would be waited for
            yield _piper_voice(store, str(model.absolute()))


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
    voice = next((v for v in piper_voices(settings, store) if v.id.lower() == base.lower()), None)
    voice = voice or _find_fetchable(settings, store, base)
    if voice is None or not mark:
        return voice
    # A voice that is still to be fetched has no facts yet; its engine then looks for the speaker.
    if facts := _find_facts(store, voice.model):
        facts.find_speaker(speaker)
    return replace(voice, id=f"{voice.id}{SPEAKER_MARK}{speaker}", engine_voice=EngineVoice(speaker))


def _find_fetchable(settings: TtsSettings, store: ModelStore, name: str) -> Voice | None:
    spec = find_piper_voice(name)
    return _piper_voice(store, spec.name) if spec and _is_allowed(settings, store, spec.name) else None


def _is_allowed(settings: TtsSettings, store: ModelStore, model: str) -> bool:
    names = ModelNames(store, settings.model, (), settings.allowed_models)
    return model == settings.model or names.find_usable(model) is not None


def _piper_voice(store: ModelStore, model: str) -> Voice:
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
        speakers=facts.speakers if facts else (),
    )


def _find_facts(store: ModelStore, model: str) -> VoiceFacts | None:
    """What the file beside a voice tells, wherever the voice is; None if it is not on this machine yet."""
    path = Path(model) if model.endswith(".onnx") else store.model_dir / model / f"{model}.onnx"
    return read_facts(Path(f"{path}.json"))


def _voice_id(model: str) -> str:
    return Path(model).stem if model.endswith(".onnx") else Path(model).name


MAX_PARTS = 10
_WEIGHT = r"\d{1,6}(?:\.\d{1,6})?"
_PART = re.compile(rf"(?P<name>[A-Za-z0-9_-]+)\s*(?:\*\s*(?P<factor>{_WEIGHT})|\(\s*(?P<share>{_WEIGHT})\s*\))?")


def parse_blend(text: str, names: Collection[str]) -> tuple[tuple[str, float], ...] | None:
    """The parts of a blend with their shares, which add up to 1; a part without a weight has weight 1.

    Args:
        text: What the client wrote.
        names: Every voice that can be mixed, in lower case.

    Returns:
        Each voice once, in the order of the text; None for a text that is no blend of these voices.

    Raises:
        UnsupportedValueError: It has such a voice and is wrong all the same: another part is not known, a weight is no
            number, all are 0, or there are too many.
    """
    parts = [part.strip() for part in text.lower().split("+")]
    if not any(mark in text for mark in "+*(") or not any(re.split(r"[\s*(]", part)[0] in names for part in parts):
        return None
    if len(parts) > MAX_PARTS:
        raise _refuse(text, f"has {len(parts)} parts, at most {MAX_PARTS} are mixed")
    weights: dict[str, float] = {}
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None:
            raise _refuse(text, f"the part {part!r} is neither NAME nor NAME*0.5 nor NAME(2)")
        if match["name"] not in names:
            raise _refuse(text, f"{match['name']!r} is not one of {', '.join(names)}")
        weight = float(match["factor"] or match["share"] or 1)
        weights[match["name"]] = weights.get(match["name"], 0.0) + weight
    total = sum(weights.values())
    if total == 0:
        raise _refuse(text, "every weight is 0")
    return tuple((name, weight / total) for name, weight in weights.items() if weight)


def _refuse(text: str, reason: str) -> UnsupportedValueError:
    return UnsupportedValueError(f"voice {text[:80]!r}: {reason}", param="voice")


_OPENAI_NAMES = {
    "alloy": ("af_alloy", "Ana Florence"),
    "ash": ("am_fenrir", "Damien Black"),
    "ballad": ("bm_george", "Aaron Dreschner"),
    "cedar": ("am_michael", "Craig Gutsy"),
    "coral": ("af_bella", "Tammie Ema"),
    "echo": ("am_echo", "Viktor Eka"),
    "fable": ("bm_fable", "Royston Min"),
    "marin": ("af_heart", "Sofia Hellen"),
    "nova": ("af_nova", "Nova Hogarth"),
    "onyx": ("am_onyx", "Baldur Sanjin"),
    "sage": ("af_sarah", "Alison Dietlinde"),
    "shimmer": ("af_aoede", "Claribel Dervla"),
    "verse": ("am_puck", "Luis Moray"),
}
"""OpenAI's names -> who stands for them: Kokoro's namesake where there is one, else a voice of the same sex and temper;
of XTTS's speakers women for the names that are women's at OpenAI, men for the others."""
KOKORO_OPENAI_NAMES = {name: voice for name, (voice, _) in _OPENAI_NAMES.items()}
XTTS_OPENAI_NAMES = {name: voice for name, (_, voice) in _OPENAI_NAMES.items()}
QWEN_OPENAI_NAMES = {name: "Aiden" if voice.startswith("af_") else "Ryan" for name, (voice, _) in _OPENAI_NAMES.items()}
"""Its two voices whose own language is English, which is spoken where a text does not tell its language."""

HIBARI_OPENAI_NAMES = {
    **dict.fromkeys(("ash", "cedar", "echo", "onyx", "verse"), "hibari-fenrir"),
    **dict.fromkeys(("ballad", "fable"), "hibari-fable"),
}
"""For the men among them, where those voices are here; all others, and else they too, are the default voice."""

LICENCE = "Apache-2.0"
_PEOPLE = {
    "a": "American English", "b": "British English", "e": "Spanish", "f": "French", "h": "Hindi", "i": "Italian",
    "j": "Japanese", "p": "Brazilian Portuguese", "z": "Mandarin Chinese",
}  # fmt: skip
_REGIONS = {"a": "US", "b": "GB", "p": "BR"}
_SEXES = {"f": "female", "m": "male"}


def kokoro_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """Every voice of the Kokoro model that is here, or that is the server's default."""
    model = _find_model(settings, store)
    if model is None:
        return
    for name in _list_names(store.path(model)):
        yield _kokoro_voice(name, model, EngineVoice(name))


def find_kokoro_blend(settings: TtsSettings, store: ModelStore, name: str) -> Voice | None:
    """The voice of a name like `af_heart*0.7+am_adam*0.3`; None for a name of another form.

    Raises:
        UnsupportedValueError: A part is no voice of Kokoro's, or a weight makes no sense.
    """
    model = _find_model(settings, store)
    if model is None:
        return None
    blend = parse_blend(name, _list_names(store.path(model)))
    if blend is None:
        return None
    mixed = ", ".join(f"{share:.0%} {part}" for part, share in blend)
    voice = _kokoro_voice(blend[0][0], model, EngineVoice(blend=blend))
    return replace(voice, id=name, name="", description=f"mixed of {mixed}")


def hibari_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """The default voice, then those that are here or may be fetched when first used."""
    listed = [f"{HIBARI_ENGINE}-{name}" for name in HIBARI_VOICES]
    usable = [model for model in listed if store.is_local(model) or _is_allowed(settings, store, model)]
    for model in dict.fromkeys([settings.model, *usable] if settings.engine == HIBARI_ENGINE else usable):
        voice_id, spec = _voice_id(model), store.find(model)
        name = voice_id.removeprefix(f"{HIBARI_ENGINE}-")
        region, *_ = HIBARI_VOICES.get(name, ("",))
        yield Voice(
            id=voice_id,
            engine=HIBARI_ENGINE,
            model=model,
            languages=("en",),
            region=region,
            name=name.capitalize(),
            description=spec.description if spec else "",
            licence=LICENCE,
        )


def _find_model(settings: TtsSettings, store: ModelStore) -> str | None:
    """The server's default model, if it is one of Kokoro's; else the first of them that is here."""
    if settings.engine == KOKORO_ENGINE:
        return settings.model
    local = (spec.name for spec in store.catalogue.models if spec.engine == KOKORO_ENGINE and store.is_local(spec.name))
    return next(local, None)


def _list_names(folder: Path) -> tuple[str, ...]:
    """The voices in a model's folder, the known ones first; all known ones while the model is not fetched yet."""
    there = {path.stem for path in folder.glob("voices/*.bin")}
    known = tuple(name for name in VOICE_NAMES if name in there or not there)
    return known + tuple(sorted(there.difference(known)))


def _kokoro_voice(name: str, model: str, engine_voice: EngineVoice) -> Voice:
    prefix, _, given_name = name.partition("_")
    people, sex = _PEOPLE.get(prefix[:1], ""), _SEXES.get(prefix[1:], "")
    own = LANGUAGES.get(prefix[:1], "")
    return Voice(
        id=name,
        engine=KOKORO_ENGINE,
        model=model,
        languages=tuple(sorted(SPOKEN_LANGUAGES, key=lambda language: (language != own, language))),
        region=_REGIONS.get(prefix[:1], ""),
        engine_voice=engine_voice,
        name=given_name.capitalize() or name,
        description=", ".join(filter(None, (people, sex))),
        licence=LICENCE,
    )


def xtts_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """The speakers of the checkpoint, if XTTS is the default engine or its weights are on this machine."""
    model = settings.model if settings.engine == CPML_ENGINE else XTTS.name
    if settings.engine != CPML_ENGINE and not store.is_local(model):
        return
    refused = None if settings.accept_cpml else f"its licence, the {CPML_NAME}, is not accepted: TTS_ACCEPT_CPML=true"
    languages = CAPABILITIES[CPML_ENGINE].languages
    for speaker in find_xtts_speakers(store.path(model) / SPEAKERS_FILE):
        yield Voice(
            id=speaker,
            engine=CPML_ENGINE,
            model=model,
            languages=("en", *sorted(languages - {"en"})),
            engine_voice=EngineVoice(name=speaker),
            description="Speaker of XTTS-v2",
            licence="CPML",
            unavailable=refused,
        )


def pocket_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """Those that came with each pocket-tts model that is here, as `pocket-tts-english#alba`; the default model's first.

    A model that is still to be fetched is known to have the usual voice of its language.
    """
    for model in _models_here(POCKET_ENGINE, settings, store):
        spec = store.find(model)
        language = find_pocket_language(_voice_id(model))
        usual = POCKET_VOICES.get(language.partition("_")[0], "")
        there = {file.stem for file in store.path(model).glob("embeddings/*.safetensors")}
        for name in sorted(there, key=lambda name: (name != usual, name)) or [usual]:
            yield Voice(
                id=f"{_voice_id(model)}{SPEAKER_MARK}{name}" if name else _voice_id(model),
                engine=POCKET_ENGINE,
                model=model,
                languages=spec.languages if spec else (),
                engine_voice=EngineVoice(name=name),
                name=name.replace("_", " ").title(),
                description=f"Voice of pocket-tts, {language.partition('_')[0].title()}" if language else "",
                licence="CC-BY-4.0" if language else "",
            )


def qwen_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """The speakers of each Qwen3-TTS model that is here, the default model's first, and voices to be described."""
    for model in _models_here(QWEN_ENGINE, settings, store):
        facts = find_qwen_facts(model, store.path(model))
        if facts is None or facts.kind == "base":
            continue
        for name in facts.speakers if facts.kind == "custom_voice" else ("",):
            own, description = QWEN_SPEAKERS.get(name, ("en", "" if name else "As the instructions describe it"))
            yield Voice(
                id=name or _voice_id(model),
                engine=QWEN_ENGINE,
                model=model,
                languages=tuple(sorted(QWEN_LANGUAGES, key=lambda language: (language != own, language))),
                engine_voice=EngineVoice(name=name),
                name=name.replace("_", " "),
                description=description,
                licence="Apache-2.0",
            )


def _models_here(engine: str, settings: TtsSettings, store: ModelStore) -> list[str]:
    """An engine's models of the catalogue that are here, before them the server's default model if it is one."""
    here = [spec.name for spec in store.catalogue.models if spec.engine == engine and store.is_local(spec.name)]
    return [*dict.fromkeys((*([settings.model] if settings.engine == engine else []), *here))]
