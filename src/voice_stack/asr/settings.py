"""Settings of the ASR server."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from voice_stack.asr.request import STEPS, parse_steps
from voice_stack.core.settings import CommaSeparated, EngineSettings, NetworkList, user_folder
from voice_stack.language_model.settings import LanguageModelSettings


class AsrSettings(LanguageModelSettings, EngineSettings):
    """Every field is an environment variable `ASR_...` and a flag of `voice-stack asr`."""

    model_config = SettingsConfigDict(env_prefix="ASR_")
    retired: ClassVar = {
        **EngineSettings.retired,
        "bazarr_translate_foreign": "English asked of a film that is clearly not English is always translated",
        "copies": "a second copy is made where it takes less than a sixteenth of the memory; ASR_THREADS=1 makes none",
        "encoder_padding_s": "3 s of silence after the speech of a window, as measured",
        "jobs_at_once": "two background jobs for each of ASR_REPLICAS are worked on at once",
        "lanes": "chosen by the size of the model and ASR_THREADS",
        "result_cache_hours": "results of films are kept for a day, in ASR_RESULT_CACHE_MB",
        "stream_status_wait_s": "5 s, or half of ASR_PING_INTERVAL_S if that is less",
        "vad_threshold": "the field vad_threshold of a request; 0.35 where it has none",
    }

    port: int = Field(5001, ge=0, le=65535, description="Port to listen on.")
    engine: str = Field(
        "faster-whisper", description="Engine that runs the model: `faster-whisper`, `whisper`, `parakeet` or `fake`."
    )
    model: str = Field("base", description="Default model: a name of the engine's, a hub id `org/name` or a folder.")
    fake_text: str = Field(
        "",
        description="What engine `fake` hears in each stretch of speech, for tests of programs that need a transcript "
        "and no model; empty: how long it was.",
    )
    compute_type: str = Field(
        "auto", description="Number format of the weights: `auto`, `int8`, `float16`, `float32` ..."
    )
    replicas: int = Field(
        1, ge=1, le=64, description="Engine processes for each model: one per GPU, or per block of CPU cores."
    )
    max_batch: int = Field(
        0, ge=0, le=256, description="Most windows of speech decoded as one batch; 0: chosen for the device."
    )
    language: str = Field(
        "", description="Language of all audio where a request names none, as `en` or `zh-TW`; empty: found per file."
    )
    multilingual: bool = Field(
        True,
        description="Where no language is named: speech that is surely in another language than the rest of its file "
        "goes by its own; `false`: a file has one language.",
    )
    fallback_language: str = Field(
        "en", description="Language of audio whose language cannot be found because finding it fails."
    )
    beam_size: int = Field(5, ge=1, le=20, description="Hypotheses kept while decoding; 1 is greedy and faster.")
    speaker_model: str = Field(
        "community-1",
        description="Model that tells speakers apart: `community-1`, `nvidia/Nemotron-3-Diarization` or a folder with "
        "one of its kind; `off`: they are not told apart.",
    )
    vad_enabled: bool = Field(True, description="Leave silence out before the model hears it (Silero VAD).")
    suppress: str = Field(
        ",".join(STEPS),
        description="Steps against text that nobody said, separated by commas, or `none`. "
        + "; ".join(f"`{name}`: {what}" for name, what in STEPS.items())
        + ".",
    )
    window_s: float = Field(
        20.0, ge=2, le=30, description="Longest piece of audio the model hears at once, in seconds."
    )
    speakers_dir: Path | None = Field(
        None,
        description="Folder with people who are called by name where who speaks is asked: NAME.wav, kept with "
        "`voice-stack speakers`. Empty: nobody is known.",
    )
    max_upload_mb: int = Field(1024, ge=1, description="Largest upload, in MiB.")
    max_audio_s: float = Field(43_200.0, gt=0, description="Longest audio, in seconds; 12 hours.")
    jobs_dir: Path = Field(
        default_factory=lambda: user_folder("STATE") / "jobs",
        description="Folder for jobs sent with `background=true`: uploads until done, then results; and for what live "
        "sessions heard. One per server.",
    )
    jobs_keep_h: float = Field(
        24.0, gt=0, description="Hours that a finished job and its result are kept, or the text of a live session."
    )
    max_jobs: int = Field(
        1000,
        ge=0,
        description="Most jobs that are not over, half of them of one API key or, without keys, one address; as many "
        "finished ones are kept. 0: none are taken, and nothing is kept of live sessions.",
    )
    max_jobs_mb: int = Field(
        20_480, ge=1, description="Most disk space of all jobs together, in MiB; the oldest finished ones make room."
    )
    webhook_allowed: CommaSeparated = Field(
        default_factory=list,
        description="Where a job's `webhook_url` may point, separated by commas: hosts (`hooks.lan`, `hooks.lan:8080`) "
        "or the beginning of URLs (`https://hooks.lan/asr/`). Empty: nowhere.",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Signs webhooks as Standard Webhooks says (HMAC-SHA256): `whsec_` and base64, or any text. "
        "Empty: unsigned.",
    )
    ping_interval_s: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="Seconds without an event after which a stream sends a comment (`: ping`). Its status waits "
        "half as long, 5 s at most, for the first text: errors until then have a status of their own.",
    )
    bazarr_heartbeat_s: float = Field(
        30.0, gt=0, description="Seconds between the empty lines that keep a waiting Bazarr connection open."
    )
    bazarr_linger_s: float = Field(
        600.0, ge=0, description="Seconds that work for Bazarr goes on after its client left; a retry then joins it."
    )
    bazarr_open: bool = Field(
        False, description="Where keys are needed: Bazarr's routes and `/status` need none, for Bazarr cannot send one."
    )
    bazarr_networks: NetworkList = Field(
        default_factory=list,
        description="The same for these clients only: addresses and networks (`192.168.1.0/24,10.0.0.5`), separated by "
        "commas.",
    )
    api_deepgram: bool = Field(
        False,
        description="Speak Deepgram's API as well: `/v1/listen`, for files and over a WebSocket; keys come in "
        "`Authorization: Token KEY`.",
    )
    result_cache_mb: int = Field(
        64, ge=0, description="Memory for finished results of Bazarr's films, in MiB; 0: none."
    )

    @field_validator("suppress")
    @classmethod
    def _check_steps(cls, value: str) -> str:
        parse_steps(value)
        return value
