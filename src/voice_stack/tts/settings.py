"""Settings of the TTS server."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.provider import PROVIDERS
from voice_stack.core.settings import CommaSeparated, EngineSettings, user_folder
from voice_stack.core.system.objects import split_url
from voice_stack.tts.models import TTS_CATALOGUE, TTS_MODELS, find_default_engine
from voice_stack.utils.text.markup import READABLE, Markup


def _check_url(url: str) -> str:
    """An object store's URL, or nothing.

    Raises:
        ValueError: It is another.
    """
    try:
        if url:
            split_url(url)
    except ConfigurationError as error:
        raise ValueError(error.message) from None
    return url


ObjectUrl = Annotated[str, AfterValidator(_check_url)]
Loudness = Annotated[float, Field(ge=-40, le=-9)] | Literal["off"]


class TtsSettings(EngineSettings):
    """Every field is an environment variable `TTS_...` and a flag of `voice-stack tts`."""

    model_config = SettingsConfigDict(env_prefix="TTS_")
    retired: ClassVar = {
        **EngineSettings.retired,
        "cache_ttl_s": "speech is kept for a week, in TTS_CACHE_MB",
        "captions_ttl_s": "captions are kept for 15 minutes after their speech",
        "max_input_chars": "a text has 200000 characters at most",
        "max_uploads": "1000 uploaded voices and as many consents are kept",
        "max_voice_mb": "a recording that becomes a voice has 10 MiB at most",
    }

    port: int = Field(5002, ge=0, le=65535, description="Port to listen on.")
    engine: str = Field(
        "",
        description="Engine that runs the model. Empty: that of `TTS_MODEL`; without one `hibari`, or `piper` where "
        "only that is installed.",
    )
    model: str = Field(
        "",
        validate_default=True,
        description="Default model; for Piper the name of a voice, or its .onnx file. Empty: the engine's own, "
        "`en_US-joe-medium` for Piper, `hibari-heart` for hibari, `kokoro-v1.0-int8` for Kokoro, "
        "`pocket-tts-english` for pocket-tts, `qwen3-tts-1.7b-customvoice` for Qwen3-TTS, `xtts_v2` for XTTS.",
    )
    accept_cpml: bool = Field(
        False,
        validation_alias=AliasChoices("TTS_ACCEPT_CPML", "COQUI_TOS_AGREED"),
        description="Whether you accept the Coqui Public Model License, which forbids commercial use of XTTS-v2 and "
        "of its speech; without it the engine `xtts` does not run. `COQUI_TOS_AGREED=1` does the same.",
    )
    voice_dir: Path = Field(
        Path("voices"),
        description="Folder with voices: recordings to clone, uploads, and Piper's NAME.onnx beside NAME.onnx.json.",
    )
    voice_url: ObjectUrl = Field(
        "",
        description="S3-compatible store where replicas share voices, `s3://bucket/prefix`; the folder is a copy of it "
        "(extra `shared`; keys and address as for `TTS_CACHE_URL`). Empty: none.",
    )
    voice_aliases: CommaSeparated = Field(
        default_factory=list,
        description="Your own names for voices, OpenAI's among them, separated by commas: `alloy=af_heart,butler=joe`.",
    )
    require_consent: bool = Field(
        False, description="Clone no voice without its speaker's consent: an upload's `consent`, or that in its TOML."
    )
    auto_lang: bool = Field(
        True, description="Find the language of a text and take a voice of that language where one is installed."
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_folder("CACHE") / "speech",
        description="Folder where speech is kept; several servers may share one, also over a network.",
    )
    cache_url: ObjectUrl = Field(
        "",
        description="S3-compatible store where replicas share kept speech, `s3://bucket/prefix`, behind the folder of "
        "each (extra `shared`; keys and address in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, "
        "`AWS_ENDPOINT_URL`). Empty: none.",
    )
    cache_mb: float = Field(
        256,
        ge=0,
        description="Disk space for kept speech, in MiB; the least recently used goes first. 0: none is kept.",
    )
    loudness_lufs: Loudness = Field(
        -21.0,
        description="Loudness of every voice in LUFS, -40 to -9; louder than the default, peaks are held down audibly. "
        "`off`: each voice is as loud as its engine makes it.",
    )
    api_elevenlabs: bool = Field(
        False,
        description="Speak ElevenLabs' API as well: `/v1/text-to-speech/...`, `/v1/voices`, `/v2/voices`; keys come in "
        "`xi-api-key`.",
    )
    pronunciations: Path | None = Field(
        None,
        description="Table of words and how to say them: CSV with the head `written,spoken,language,case`; read again "
        "when it changes. Empty: none.",
    )

    markup: Markup = Field(
        "auto",
        description="How markup is read where a request does not say: `auto`: Markdown, HTML, SSML, LaTeX, code, "
        "citations and thoughts of language models as a person would; `plain`: as it stands.",
    )
    read_aloud: CommaSeparated = Field(
        default_factory=list,
        description="What is read although it is usually left out: `code` (blocks of it), `emoji` (by their names), "
        "separated by commas.",
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_engine(cls, given: dict[str, object]) -> dict[str, object]:
        if given.get("engine"):
            return given
        model = str(given.get("model") or "")
        provider = model.partition("/")[0]
        return {**given, "engine": provider if provider in PROVIDERS else find_default_engine(model)}

    @field_validator("model")
    @classmethod
    def _name_model(cls, model: str, info: ValidationInfo) -> str:
        """The engine's own model where none is named, and one name for each model."""
        engine = str(info.data.get("engine", ""))
        if not model:
            return next((spec.name for spec in TTS_MODELS if spec.engine == engine), engine)
        spec = TTS_CATALOGUE.find(model)
        return spec.name if spec else model

    @field_validator("fallback_model")
    @classmethod
    def _name_fallback(cls, model: str) -> str:
        spec = TTS_CATALOGUE.find(model) if model else None
        return spec.name if spec else model

    @field_validator("voice_aliases")
    @classmethod
    def _check_aliases(cls, pairs: list[str]) -> list[str]:
        for pair in pairs:
            name, _, voice = pair.partition("=")
            if not name.strip() or not voice.strip():
                raise ValueError(f"{pair!r} is no pair of a name and a voice, as in alloy=af_heart")
        return pairs

    @field_validator("read_aloud")
    @classmethod
    def _check_readable(cls, kinds: list[str]) -> list[str]:
        for kind in kinds:
            if kind not in READABLE:
                raise ValueError(f"{kind!r} is none of {', '.join(READABLE)}")
        return kinds

    def named_voices(self) -> dict[str, str]:
        """`voice_aliases` as a table: name to voice."""
        pairs = (pair.partition("=") for pair in self.voice_aliases)
        return {name.strip(): voice.strip() for name, _, voice in pairs}
