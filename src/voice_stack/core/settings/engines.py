"""The engine processes: where they run, how many, how long."""

from pydantic import Field
from pydantic_settings import BaseSettings

from voice_stack.core.engine_watch import Patience


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
    memory_mb: int = Field(
        0,
        ge=0,
        description="Memory for all loaded models together, in MiB as measured: idle models make room for others, and "
        "one that cannot fit is refused. 0: no limit.",
    )
    gpu_memory_mb: int = Field(
        0, ge=0, description="The same for memory of the GPU; measured with the extra `gpu`. 0: no limit."
    )
    engine_timeout_s: float = Field(
        300.0,
        ge=0,
        description="Seconds that the engine may work on one piece of audio or text without a result until it is taken "
        "for stuck, killed and started anew; several at once get as many times as long. 0: no limit.",
    )
    engine_silence_s: float = Field(
        30.0,
        ge=0,
        description="Seconds without a sign of life after which an engine process counts as stuck; while it loads a "
        "model, the engine's time-out and at least 60. 0: no limit.",
    )

    @property
    def patience(self) -> Patience:
        """How long an engine process may take until it is taken for stuck."""
        return Patience(self.engine_timeout_s, self.engine_silence_s)
