"""The settings of both servers as one class, and how they are read."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.problems import tell_problem
from voice_stack.core.settings.access import AccessSettings
from voice_stack.core.settings.engines import EngineSettings
from voice_stack.core.settings.fields import ENV_FILE
from voice_stack.core.settings.limits import LimitSettings
from voice_stack.core.settings.listening import ListeningSettings
from voice_stack.core.settings.telemetry import TelemetrySettings


def default_model_dir() -> Path:
    """Where models are kept when `MODEL_DIR` is not set: the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voice-stack" / "models"


class CoreSettings(LimitSettings, EngineSettings, TelemetrySettings, AccessSettings, ListeningSettings):
    """What both servers read; each server's class adds its own fields and the prefix."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", populate_by_name=True, validate_default=True, env_ignore_empty=True
    )

    project_name: str = Field("Voice Stack", validation_alias="PROJECT_NAME", description="Name shown in the API docs.")
    api_v1_str: str = Field("/v1", validation_alias="API_V1_STR", description="Path in front of OpenAI's routes.")
    offline: bool = Field(
        False, validation_alias="OFFLINE", description="Never ask the model hub; only models that are on this machine."
    )
    model_dir: Path = Field(
        default_factory=default_model_dir,
        validation_alias="MODEL_DIR",
        description="Folder where assembled and downloaded models are kept.",
    )
    spool_dir: Path | None = Field(
        None,
        validation_alias="SPOOL_DIR",
        description="Folder for uploads while they are worked on; empty: the system's.",
    )
    debugpy_enable: bool = Field(
        False, validation_alias="DEBUGPY_ENABLE", description="Listen for a debugger (extra `debug`)."
    )
    debugpy_host: str = Field(
        "127.0.0.1", validation_alias="DEBUGPY_HOST", description="Address the debugger listens on."
    )
    debugpy_port: int = Field(
        5678,
        ge=0,
        le=65535,
        validation_alias="DEBUGPY_PORT",
        description="Port the debugger listens on; the TTS server takes the next one.",
    )
    debugpy_wait: bool = Field(
        False, validation_alias="DEBUGPY_WAIT", description="Wait at start until a debugger is attached."
    )

    @field_validator("api_v1_str")
    @classmethod
    def _normalise_prefix(cls, value: str, info: ValidationInfo) -> str:
        path = "/" + value.strip("/")
        root_path = info.data.get("root_path")
        if root_path and f"{path}/".startswith(f"{root_path}/"):
            raise ValueError(f"begins like the root path {root_path}, so that nobody could tell the two apart")
        return "" if path == "/" else path

    @property
    def public_prefix(self) -> str:
        """What stands before the API's paths in the addresses that clients get."""
        return self.root_path + self.api_v1_str

    @classmethod
    def env_name(cls, field: str) -> str:
        """The environment variable of a field: `idle_timeout_s` -> `ASR_IDLE_TIMEOUT_S`."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @classmethod
    def read(cls, **flags: object) -> Self:
        """Read the settings from all sources.

        Args:
            **flags: Field values that are stronger than every other source.

        Raises:
            ConfigurationError: A value does not fit; the message names the variable, the value and what fits.
        """
        try:
            return cls.model_validate(flags)
        except ValidationError as error:
            raise ConfigurationError(_describe(cls, error)) from None


def _describe(cls: type[CoreSettings], error: ValidationError) -> str:
    """One line for a failed validation: variable, bad value, reason."""
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    variable = cls.env_name(name) if name in cls.model_fields else name.upper()
    shown = "***" if _is_secret(cls, name) else repr(problem["input"])
    return f"{variable}={shown}: {tell_problem(problem)}"


def _is_secret(cls: type[CoreSettings], name: str) -> bool:
    """Whether a setting's value must not be shown."""
    field = cls.model_fields.get(name)
    return name == "api_keys" or (field is not None and field.annotation is SecretStr)
