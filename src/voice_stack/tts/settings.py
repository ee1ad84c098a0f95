"""Settings of the TTS server."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from voice_stack.core.settings import CommaSeparated, CoreSettings

Loudness = Annotated[float, Field(ge=-40, le=-9)] | Literal["off"]


class TtsSettings(CoreSettings):
    """Every field is an environment variable `TTS_...` and a flag of `voice-stack tts`."""

    model_config = SettingsConfigDict(env_prefix="TTS_")

    port: int = Field(5002, ge=0, le=65535, description="Port to listen on.")
    engine: str = Field("piper", description="Engine that runs the model.")
    model: str = Field(
        "en_US-joe-medium", description="Default model; for Piper the name of a voice, or its .onnx file."
    )
    allowed_models: CommaSeparated = Field(
        default_factory=list,
        description="Models that requests may name besides the default, fetched when first used: names and patterns "
        "(`de_DE-*`, `*`), separated by commas; empty: the models on this machine.",
    )
    voice_dir: Path = Field(
        Path("voices"), description="Folder with more Piper voices: NAME.onnx beside NAME.onnx.json."
    )
    auto_lang: bool = Field(
        True, description="Find the language of a text and take a voice of that language where one is installed."
    )
    cache_dir: Path | None = Field(
        None,
        description="Folder where speech is kept; several servers may share one. Empty: `~/.cache/voice-stack/speech`.",
    )
    cache_mb: float = Field(
        256,
        ge=0,
        description="Disk space for kept speech, in MiB; the least recently used goes first. 0: none is kept.",
    )
    cache_ttl_s: float = Field(7 * 24 * 3600.0, ge=0, description="Seconds that a speech is kept.")
    loudness_lufs: Loudness = Field(
        -19.0,
        description="Loudness of every voice in LUFS, -40 to -9; -19 is usual for speech in one channel. `off`: each "
        "voice is as loud as its engine makes it.",
    )
    captions_ttl_s: float = Field(
        900.0, ge=0, description="Seconds that the captions of a speech are kept after its end, in memory."
    )
    max_input_chars: int = Field(200_000, ge=1, description="Longest text of one request, in characters.")
