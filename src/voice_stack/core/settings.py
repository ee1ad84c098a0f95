"""Settings that both servers share, and how all settings are read.

Sources, strongest first: command-line flags, environment, `.env` in the working folder, the defaults below. Names
without a prefix (`LOG_LEVEL`) are for both servers; the others exist once per server, as `ASR_PORT` and `TTS_PORT`.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.problems import tell_problem


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]
"""A list that is written `a,b,c` in the environment."""

ENV_FILE = ".env"
_NEAR = 0.75  # likeness from which a name is taken for a misspelling; 1 is the same


def default_model_dir() -> Path:
    """Where models are kept when `MODEL_DIR` is not set: the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voice-stack" / "models"


class CoreSettings(BaseSettings):
    """What both servers read; each server's class adds its own fields and the prefix."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", populate_by_name=True, validate_default=True, env_ignore_empty=True
    )

    project_name: str = Field("Voice Stack", validation_alias="PROJECT_NAME", description="Name shown in the API docs.")
    api_v1_str: str = Field("/v1", validation_alias="API_V1_STR", description="Path in front of OpenAI's routes.")
    cors_origins: CommaSeparated = Field(
        default_factory=list,
        validation_alias="CORS_ORIGINS",
        description="Web origins that may call from a browser, separated by commas; empty: none.",
    )
    api_keys: CommaSeparated = Field(
        default_factory=list,
        validation_alias="API_KEYS",
        description="Keys, separated by commas; clients then send `Authorization: Bearer KEY`. Empty: no key needed.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias="LOG_LEVEL", description="Least severe messages that are logged."
    )
    log_format: Literal["text", "json"] = Field(
        "text", validation_alias="LOG_FORMAT", description="`text` for people, `json` for log collectors."
    )
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

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on.")
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
    shutdown_grace_s: float = Field(
        10.0, ge=0, description="Seconds that running requests get to finish when the server stops."
    )

    @field_validator("api_v1_str")
    @classmethod
    def _normalise_prefix(cls, value: str) -> str:
        path = "/" + value.strip("/")
        return "" if path == "/" else path

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
    return f"{variable}={problem['input']!r}: {tell_problem(problem)}"


def unknown_variables(known: Iterable[str], prefix: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """Warnings for variables that look like ours and are not.

    Args:
        known: Every variable of the server.
        prefix: `ASR_` or `TTS_`.
        environment: Variables to look at; default the process environment and `.env`.

    Returns:
        One line per unknown variable: with the name that was meant, if one is near; else where all are listed.
    """
    if environment is None:
        environment = {**{k: v or "" for k, v in dotenv_values(ENV_FILE).items()}, **os.environ}
    # Without the prefix, which makes every name look like every other.
    names = {name.removeprefix(prefix): name for name in sorted(known)}
    unknown = [v for v in sorted(environment) if v.upper().startswith(prefix) and v.upper() not in names.values()]
    return [f"unknown setting {variable}: {_advise(variable, names, prefix)}" for variable in unknown]


def _advise(variable: str, names: Mapping[str, str], prefix: str) -> str:
    near = difflib.get_close_matches(variable.upper().removeprefix(prefix), names, n=1, cutoff=_NEAR)
    if near:
        return f"did you mean {names[near[0]]}?"
    return f"`voice-stack {prefix.rstrip('_').lower()} --help` lists all"
