"""Settings of the TTS server."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from voice_stack.core.settings import CommaSeparated, CoreSettings


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
    pronunciations: Path | None = Field(
        None,
        description="Table of words and how to say them: CSV with the head `written,spoken,language,case`; read again "
        "when it changes. Empty: none.",
    )
    max_input_chars: int = Field(200_000, ge=1, description="Longest text of one request, in characters.")
