"""The engine processes: where they run, how many, how long."""

from pydantic import Field
from pydantic_settings import BaseSettings


class EngineSettings(BaseSettings):
    """Part of the settings of both servers."""

    device: str = Field("auto", description="Where models run: `auto`, `cpu`, `cuda` or `cuda:1`.")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of an engine process; 0: one per core.")
    preload: bool = Field(False, description="Load the default model at start instead of at first use.")
    idle_timeout_s: float = Field(
        300.0,
        ge=-1,
        description="Seconds without work until an engine process ends and its memory is free; 0: at once, -1: never.",
    )
    max_loaded_models: int = Field(
        2, ge=1, le=64, description="Engine processes at the same time; the least recently used idle one makes room."
    )
