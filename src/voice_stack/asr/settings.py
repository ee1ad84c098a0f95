"""Settings of the ASR server."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from voice_stack.core.settings import CoreSettings


class AsrSettings(CoreSettings):
    """Every field is an environment variable `ASR_...` and a flag of `voice-stack asr`."""

    model_config = SettingsConfigDict(env_prefix="ASR_")

    port: int = Field(5001, ge=0, le=65535, description="Port to listen on.")
    engine: str = Field(
        "faster-whisper", description="Engine that runs the model: `faster-whisper`, `whisper`, `parakeet` or `fake`."
    )
    model: str = Field("base", description="Default model: a name of the engine's, a hub id `org/name` or a folder.")
    compute_type: str = Field(
        "auto", description="Number format of the weights: `auto`, `int8`, `float16`, `float32` ..."
    )
    replicas: int = Field(
        1, ge=1, le=64, description="Engine processes for each model: one per GPU, or per block of CPU cores."
    )
    lanes: int = Field(
        0, ge=0, le=256, description="Batches decoded at once, each with its share of the threads; 0: chosen."
    )
    max_batch: int = Field(
        0, ge=0, le=256, description="Most windows of speech decoded as one batch; 0: chosen for the device."
    )
    encoder_padding_s: float = Field(
        3.0, ge=1, le=30, description="Silence computed after the speech of a window; 30: always the full 30 s."
    )
    language: str = Field("", description="Language of all audio where a request names none; empty: found per file.")
    beam_size: int = Field(5, ge=1, le=20, description="Hypotheses kept while decoding; 1 is greedy and faster.")
    vad_enabled: bool = Field(True, description="Leave silence out before the model hears it (Silero VAD).")
    vad_threshold: float = Field(
        0.35, gt=0, lt=1, description="Speech probability from which a frame counts as speech."
    )
    window_s: float = Field(
        20.0, ge=2, le=30, description="Longest piece of audio the model hears at once, in seconds."
    )
    max_upload_mb: int = Field(1024, ge=1, description="Largest upload, in MiB.")
    max_audio_s: float = Field(43_200.0, gt=0, description="Longest audio, in seconds; 12 hours.")
