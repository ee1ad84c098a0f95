"""The models of pocket-tts and Qwen3-TTS by name, what each of them is good for, and who speaks in XTTS."""

import json
import logging
import pickle
import re
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from voice_stack.core.models.files import ModelSpec
from voice_stack.core.system.files import open_regular

logger = logging.getLogger(__name__)

POCKET_ENGINE = "pocket"
POCKET_CLONING = "-cloning"
"""Ends the name of a model with the weights that clone; they are behind a form on the hub."""
_POCKET_LANGUAGES = {
    "english": "en", "dutch": "nl", "french": "fr", "german": "de", "italian": "it", "portuguese": "pt",
    "spanish": "es",
}  # fmt: skip
POCKET_VOICES = {
    "english": "alba", "dutch": "daan", "french": "estelle", "german": "juergen", "italian": "giovanni",
    "portuguese": "rafael", "spanish": "lola",
}  # fmt: skip
"""The usual voice of each language: the others are found in a model's folder."""
_POCKET_NAME = re.compile(rf"pocket-tts-(?P<language>[a-z]+)(?P<size>-24l)?(?:{POCKET_CLONING})?")


def find_pocket_language(model: str) -> str:
    """How the library calls what a model of the catalogue speaks, as `french_24l`; empty for another name."""
    match = _POCKET_NAME.fullmatch(model)
    if match is None or match["language"] not in _POCKET_LANGUAGES:
        return ""
    return match["language"] + (match["size"] or "").replace("-", "_")


def _pocket_model(language: str, size: str, cloning: str) -> ModelSpec:
    name = f"pocket-tts-{language}{size}{cloning}"
    own_files = ("model.safetensors",) if cloning else ("model.safetensors", "tokenizer.json")
    return ModelSpec(
        name=name,
        engine=POCKET_ENGINE,
        aliases=(POCKET_ENGINE, "pocket-tts") if name == "pocket-tts-english" else (),
        hub_repo="kyutai/pocket-tts" if cloning else "kyutai/pocket-tts-without-voice-cloning",
        hub_folder=f"languages/{language}{size.replace('-', '_')}",
        hub_files=own_files,
        hub_extras=("tokenizer.json", "embeddings/*.safetensors"),
        languages=(_POCKET_LANGUAGES[language],),
        description=f"pocket-tts in {language.title()}{', larger' if size else ''}"
        f"{', clones voices; the hub asks for your consent' if cloning else ''}; CC-BY-4.0",
    )


POCKET_MODELS = tuple(
    _pocket_model(language, size, cloning)
    for cloning in ("", POCKET_CLONING)
    for size in ("", "-24l")
    for language in _POCKET_LANGUAGES
    if (language, size) != ("english", "-24l")
)


QWEN_ENGINE = "qwen3"
QWEN_LANGUAGES = frozenset({"de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh"})
QWEN_SPEAKERS = {
    "Vivian": ("zh", "Bright young woman"),
    "Serena": ("zh", "Warm, gentle young woman"),
    "Uncle_Fu": ("zh", "Man of some age, low and mellow"),
    "Dylan": ("zh", "Young man from Beijing, clear"),
    "Eric": ("zh", "Lively man from Chengdu, slightly husky"),
    "Ryan": ("en", "Dynamic man"),
    "Aiden": ("en", "Sunny American man"),
    "Ono_Anna": ("ja", "Playful young woman, light"),
    "Sohee": ("ko", "Warm woman"),
}
"""The voices of the released models, with their own language."""

QwenKind = Literal["custom_voice", "voice_design", "base"]
_QWEN_KINDS: dict[QwenKind, tuple[str, str]] = {
    "custom_voice": ("CustomVoice", "nine voices"),
    "voice_design": ("VoiceDesign", "a voice as its instructions describe it"),
    "base": ("Base", "clones voices"),
}
_QWEN_SIZES: dict[str, tuple[QwenKind, ...]] = {
    "1.7B": ("custom_voice", "voice_design", "base"),
    "0.6B": ("custom_voice", "base"),
}


@dataclass(frozen=True, slots=True)
class QwenFacts:
    """What is known of a Qwen3-TTS model without loading it.

    Attributes:
        kind: Whether it has voices of its own, makes them from instructions, or clones.
        heeds_instructions: It is told by them how to speak, or as who.
        speakers: Names of its own voices.
    """

    kind: QwenKind
    heeds_instructions: bool
    speakers: tuple[str, ...] = ()


def _qwen_facts(kind: QwenKind, *, is_small: bool, speakers: tuple[str, ...] = ()) -> QwenFacts:
    return QwenFacts(kind, kind == "voice_design" or (kind == "custom_voice" and not is_small), speakers)


def _qwen_name(size: str, kind: QwenKind) -> str:
    return f"qwen3-tts-{size.lower()}-{_QWEN_KINDS[kind][0].lower()}"


_KNOWN_QWEN = {
    _qwen_name(size, kind): _qwen_facts(
        kind, is_small=size == "0.6B", speakers=tuple(QWEN_SPEAKERS) if kind == "custom_voice" else ()
    )
    for size, kinds in _QWEN_SIZES.items()
    for kind in kinds
}

QWEN_MODELS = tuple(
    ModelSpec(
        name=_qwen_name(size, kind),
        engine=QWEN_ENGINE,
        aliases=(QWEN_ENGINE, "qwen3-tts") if (size, kind) == ("1.7B", "custom_voice") else (),
        hub_repo=f"Qwen/Qwen3-TTS-12Hz-{size}-{_QWEN_KINDS[kind][0]}",
        hub_files=(
            "config.json", "generation_config.json", "merges.txt", "model.safetensors", "tokenizer_config.json",
            "vocab.json", "speech_tokenizer/config.json", "speech_tokenizer/model.safetensors",
            "speech_tokenizer/preprocessor_config.json",
        ),
        hub_extras=("preprocessor_config.json", "speech_tokenizer/configuration.json"),
        languages=tuple(sorted(QWEN_LANGUAGES)),
        description=f"Qwen3-TTS {size}: ten languages, {_QWEN_KINDS[kind][1]}; Apache-2.0",
    )
    for size, kinds in _QWEN_SIZES.items()
    for kind in kinds
)  # fmt: skip


def find_qwen_facts(model: str, folder: Path) -> QwenFacts | None:
    """What a model is good for, by its files where they are here, else by its name; None if it is none of these.

    Args:
        model: A name of the catalogue, or the path of an operator's folder.
        folder: Where it is, or would be.
    """
    config = folder / "config.json"
    try:
        return _read_qwen_facts(config, config.stat().st_mtime_ns)
    except (OSError, ValueError, TypeError, RecursionError):
        return _KNOWN_QWEN.get(model)


@lru_cache(maxsize=64)
def _read_qwen_facts(config: Path, _mtime_ns: int) -> QwenFacts:
    with open_regular(config) as file:
        content = json.loads(file.read(_MAX_CONFIG_BYTES))
    kind = content["tts_model_type"] if isinstance(content, dict) and "tts_model_type" in content else None
    if kind not in _QWEN_KINDS:
        raise ValueError(f"tts_model_type {kind!r} is not known")
    spoken = (content.get("talker_config") or {}).get("spk_id") or {}
    named = {name.lower(): name for name in QWEN_SPEAKERS}
    speakers = tuple(sorted((named.get(name, name) for name in spoken), key=[*QWEN_SPEAKERS, *spoken].index))
    return _qwen_facts(kind, is_small=content.get("tts_model_size") == "0b6", speakers=speakers)


_MAX_CONFIG_BYTES = 1 << 20


def find_cloning_model(model: str) -> str:
    """The model that clones voices in place of one that cannot; the same where it can, or nobody knows."""
    if find_pocket_language(model) and not model.endswith(POCKET_CLONING):
        return f"{model}{POCKET_CLONING}"
    return f"{model.rpartition('-')[0]}-base" if model in _KNOWN_QWEN else model


SPEAKERS_FILE = "speakers_xtts.pth"
XTTS_SPEAKERS = (
    "Claribel Dervla", "Daisy Studious", "Gracie Wise", "Tammie Ema", "Alison Dietlinde", "Ana Florence",
    "Annmarie Nele", "Asya Anara", "Brenda Stern", "Gitta Nikolina", "Henriette Usha", "Sofia Hellen", "Tammy Grit",
    "Tanja Adelina", "Vjollca Johnnie", "Andrew Chipper", "Badr Odhiambo", "Dionisio Schuyler", "Royston Min",
    "Viktor Eka", "Abrahan Mack", "Adde Michal", "Baldur Sanjin", "Craig Gutsy", "Damien Black", "Gilberto Mathias",
    "Ilkin Urbano", "Kazuhiko Atallah", "Ludvig Milivoj", "Suad Qasim", "Torcull Diarmuid", "Viktor Menelaos",
    "Zacharie Aimilios", "Nova Hogarth", "Maja Ruoho", "Uta Obando", "Lidiya Szekeres", "Chandra MacFarland",
    "Szofi Granger", "Camilla Holmström", "Lilya Stainthorpe", "Zofija Kendrick", "Narelle Moon", "Barbora MacLean",
    "Alexandra Hisakawa", "Alma María", "Rosemary Okafor", "Ige Behringer", "Filip Traverse", "Damjan Chapman",
    "Wulf Carlevaro", "Aaron Dreschner", "Kumar Dahl", "Eugenio Mataracı", "Ferran Simen", "Xavier Hayasaka",
    "Luis Moray", "Marcos Rudaski",
)  # fmt: skip
"""Those of XTTS-v2 as it was published, for as long as its files are not on this machine."""


def find_xtts_speakers(file: Path) -> tuple[str, ...]:
    """The names of XTTS's own voices: those in a file of speakers, the published ones while its folder is not there."""
    if not file.is_file():
        return XTTS_SPEAKERS if not file.parent.is_dir() else ()
    return read_speaker_names(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def read_speaker_names(file: Path, _mtime_ns: int = 0) -> tuple[str, ...]:
    """The names in a file of speakers, which PyTorch wrote, without PyTorch and without its numbers.

    Args:
        file: `speakers_xtts.pth`: names with tensors.

    Returns:
        The names in their order; none, and a line in the log, if the file is not of that kind.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as content:
                speakers = _NamesOnly(content).load()
    except (OSError, zipfile.BadZipFile, StopIteration, pickle.UnpicklingError, EOFError) as error:
        logger.warning("the speakers in %s cannot be read: %s", file, error)
        return ()
    return tuple(map(str, speakers)) if isinstance(speakers, dict) else ()


class _NamesOnly(pickle.Unpickler):
    """Reads a dictionary of tensors as one of nothing; whatever else a pickle may ask for is refused."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" or (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _nothing
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, _place: object) -> None:
        return None


def _nothing(*_arguments: object) -> None:
    """Stands for a tensor."""
