"""The settings of every server, those of its engines, and how both are read."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from voice_stack.core.errors import ConfigurationError, tell_problem
from voice_stack.core.ids import REPLICA_NAME
from voice_stack.core.settings.access import (
    ENV_FILE,
    AccessSettings,
    Address,
    CommaSeparated,
    NetworkList,
    SharedUrl,
    user_folder,
)


class ListeningSettings(BaseSettings):
    """Part of the settings of every server."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on.")
    socket: Path | None = Field(
        None,
        description="Unix socket to listen on instead of an address, for a proxy on this machine; its user and group "
        "may connect. Empty: none.",
    )

    @property
    def further_ports(self) -> list[int]:
        """Ports to listen on besides `port`: `VOICE_PORTS` of the server that has it."""
        return []


class TelemetrySettings(BaseSettings):
    """Part of the settings of every server."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias="LOG_LEVEL", description="Least severe messages that are logged."
    )
    log_format: Literal["text", "json"] = Field(
        "text", validation_alias="LOG_FORMAT", description="`text` for people, `json` for log collectors."
    )


class LimitSettings(BaseSettings):
    """Part of the settings of every server."""

    requests_per_minute_per_client: int = Field(
        0, ge=0, description="Requests a minute from one address, unless its key has a limit of its own; 0: no limit."
    )
    requests_at_once_per_client: int = Field(
        0, ge=0, description="Requests at once from one address, unless its key has a limit of its own; 0: no limit."
    )
    upload_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds without a byte after which an upload is given up (408). The head of a request must come "
        "within a third of them, 20 at most; who takes nothing of an answer for five times as long, 300 at most, is "
        "dropped.",
    )
    max_connections: int = Field(
        2000,
        ge=8,
        description="Connections at once, as far as the system's limit of open files allows; beyond it those make room "
        "that have waited longest without a request, then slow uploads.",
    )
    shutdown_delay_s: float = Field(
        0.0,
        ge=0,
        description="Seconds that a stopping server still takes requests while `/ready` says 503, for load balancers.",
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, description="Seconds that running requests get to finish when the server stops."
    )

    @property
    def header_timeout_s(self) -> float:
        """For the head of a request."""
        return min(20.0, self.upload_timeout_s / 3)

    @property
    def reader_timeout_s(self) -> float:
        """For a client that does not take its answer; browsers and players rest while their buffers are full."""
        return min(300.0, self.upload_timeout_s * 5)


class ServerSettings(LimitSettings, TelemetrySettings, AccessSettings, ListeningSettings):
    """What every server reads; each server's class adds its own fields and the prefix."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", populate_by_name=True, validate_default=True, env_ignore_empty=True
    )
    retired: ClassVar[Mapping[str, str]] = {
        "engine_silence_s": "an engine without a sign of life has 30 s, or the engine timeout if that is less",
        "header_timeout_s": "the head of a request has 20 s, or a third of the upload timeout if that is less",
        "reader_timeout_s": "a client that does not read has 300 s, or five times the upload timeout if that is less",
        "request_timeout_s": "uploads, readers, the queue and engines have limits of their own; proxies know the rest",
        "upload_min_bytes_per_s": "an upload must come at 500 bytes a second, which every network can",
    }
    """Settings that were, and what became of each."""

    project_name: str = Field("Voice Stack", validation_alias="PROJECT_NAME", description="Name shown in the API docs.")
    api_v1_str: str = Field("/v1", validation_alias="API_V1_STR", description="Path in front of OpenAI's routes.")
    replica_name: str = Field(
        "",
        validation_alias="REPLICA",
        description="Name of this server among several behind a balancer, of lower-case letters, digits and hyphens: "
        "ids of jobs and sessions carry it (`job_r3_...`), and `x-replica` tells it. Empty: it is the only one.",
    )
    spool_dir: Path | None = Field(
        None,
        validation_alias="SPOOL_DIR",
        description="Folder for uploads while they are worked on; empty: the system's.",
    )
    shared_url: SharedUrl = Field(
        SecretStr(""),
        validation_alias="SHARED_URL",
        description="Redis or Valkey that replicas share: `redis://[USER:PASSWORD@]HOST:6379/0`, `rediss://` (TLS), "
        "`valkey://`, `valkeys://`, `unix:///PATH`; extra `shared`. Empty: each replica keeps to itself what "
        "docs/guides/replicas.md lists.",
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
        description="Port the debugger listens on; the TTS server takes the next one, the Voice server the one after.",
    )
    debugpy_wait: bool = Field(
        False, validation_alias="DEBUGPY_WAIT", description="Wait at start until a debugger is attached."
    )

    @field_validator("replica_name")
    @classmethod
    def _check_replica(cls, value: str) -> str:
        if value and not re.fullmatch(REPLICA_NAME, value):
            raise ValueError("a name as r3 or eu-3: 1 to 32 lower-case letters, digits and hyphens")
        return value

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


SILENCE_S = 30.0
"""An engine process gives a sign of life every second, also while it works: one that is silent so long hangs."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine process may take, in seconds; 0: for ever.

    Attributes:
        unit_s: For one unit of work without a result, or to load the model without a sign of life. Units that run side
            by side share the machine: they get as many times as long.
        silence_s: Without a sign of life; no longer than for a unit of work.
    """

    unit_s: float = 300.0
    silence_s: float = SILENCE_S


Preload = bool | Literal["auto"]


class ProviderSettings(BaseSettings):
    """Part of the settings of servers with engines: services of others that do the work of a model."""

    providers: CommaSeparated = Field(
        default_factory=list,
        description="Models of providers that may be used, as names and patterns, separated by commas: "
        "`openai/*,deepgram/nova-3`; `openai` alone means `openai/*`. What is asked of such a model leaves the house. "
        "Empty: none.",
    )
    provider_openai_url: Address = Field(
        "https://api.openai.com/v1",
        validation_alias="PROVIDER_OPENAI_URL",
        description="Address of the provider `openai`, with its `/v1`: OpenAI's, or that of another service with its "
        "API: Azure, Groq, LiteLLM, another Voice Stack.",
    )
    provider_openai_key: SecretStr = Field(
        SecretStr(""), validation_alias="PROVIDER_OPENAI_KEY", description="Key for it; empty: none is sent."
    )
    provider_elevenlabs_url: Address = Field(
        "https://api.elevenlabs.io",
        validation_alias="PROVIDER_ELEVENLABS_URL",
        description="Address of the provider `elevenlabs`; `https://api.eu.residency.elevenlabs.io` keeps data in the "
        "EU.",
    )
    provider_elevenlabs_key: SecretStr = Field(
        SecretStr(""), validation_alias="PROVIDER_ELEVENLABS_KEY", description="Key for it; empty: none is sent."
    )
    provider_deepgram_url: Address = Field(
        "https://api.deepgram.com",
        validation_alias="PROVIDER_DEEPGRAM_URL",
        description="Address of the provider `deepgram`; `https://api.eu.deepgram.com` keeps data in the EU.",
    )
    provider_deepgram_key: SecretStr = Field(
        SecretStr(""), validation_alias="PROVIDER_DEEPGRAM_KEY", description="Key for it; empty: none is sent."
    )


class EngineSettings(ProviderSettings, ServerSettings):
    """What a server with engines reads; its class gives engine and model their defaults."""

    engine: str = Field(description="Engine that runs the model.")
    model: str = Field(description="Default model.")
    fallback_model: str = Field(
        "",
        description="Model that stands in where another does not load, has no memory or fails before it has given "
        "anything, a TTS model in a voice of its own; said in `x-fallback-model`.",
    )
    allowed_models: CommaSeparated = Field(
        default_factory=list,
        description="Models that requests may name besides the default, fetched when first used: names, hub ids and "
        "patterns (`Systran/*`, `de_DE-*`, `*`), separated by commas; empty: the models on this machine.",
    )
    device: str = Field("auto", description="Where models run: `auto`, `cpu`, `cuda` or `cuda:1`.")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of an engine process; 0: one per core.")
    preload: Preload = Field(
        "auto",
        description="Load the default model at start instead of at first use, and keep a process without a model after "
        "it was idle, for a quick next start: `true`, `false`, or `auto`: where the model is on this machine and takes "
        "at most a quarter of the free memory; `/ready` waits for it with `true` alone.",
    )
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
        "for stuck, killed and started anew; several at once get as many times as long. 0: no limit. Without a sign of "
        "life it has 30 s, or this if it is less; while it loads a model, this and at least 60.",
    )
    max_queue_wait_s: float = Field(
        3600.0,
        ge=0,
        description="Longest that a request may be held up by those before it, in seconds as estimated; beyond it is "
        "answered with 429. 0: no limit. Bazarr's requests and background jobs always wait.",
    )
    wyoming_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port to listen on for Wyoming, the protocol of Home Assistant, at the same address; 0: none. "
        "Usual are 10300 for speech to text and 10200 for text to speech.",
    )
    wyoming_networks: NetworkList = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1"],
        description="Who may use it, for Wyoming knows no keys: addresses and networks (`192.168.1.0/24,10.0.0.5`), "
        "separated by commas.",
    )
    offline: bool = Field(
        False, validation_alias="OFFLINE", description="Never ask the model hub; only models that are on this machine."
    )
    model_dir: Path = Field(
        default_factory=lambda: user_folder("CACHE") / "models",
        validation_alias="MODEL_DIR",
        description="Folder where assembled and downloaded models are kept.",
    )

    @property
    def patience(self) -> Patience:
        """How long an engine process may take until it is taken for stuck."""
        return Patience(self.engine_timeout_s, min(SILENCE_S, self.engine_timeout_s or SILENCE_S))


def _describe(cls: type[ServerSettings], error: ValidationError) -> str:
    """One line for a failed validation: variable, bad value, reason."""
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    variable = cls.env_name(name) if name in cls.model_fields else name.upper()
    shown = "***" if _is_secret(cls, name) else repr(problem["input"])
    return f"{variable}={shown}: {tell_problem(problem)}"


def _is_secret(cls: type[ServerSettings], name: str) -> bool:
    """Whether a setting's value must not be shown."""
    field = next((field for one, field in cls.model_fields.items() if name in (one, field.validation_alias)), None)
    return name.lower() == "api_keys" or (field is not None and field.annotation is SecretStr)


_NEAR = 0.75  # likeness from which a name is taken for a misspelling; 1 is the same


def unknown_variables(settings: type[ServerSettings], environment: Mapping[str, str] | None = None) -> list[str]:
    """Warnings for variables that look like a server's and are not, or not any more.

    Args:
        settings: Those of the server.
        environment: Variables to look at; default the process environment and `.env`.

    Returns:
        One line per unknown variable: what became of it; or the name that was meant, if one is near; else where all are
        listed.
    """
    if environment is None:
        environment = {**{k: v or "" for k, v in dotenv_values(ENV_FILE).items()}, **os.environ}
    prefix = str(settings.model_config.get("env_prefix"))
    # Without the prefix, which makes every name look like every other.
    names = {name.removeprefix(prefix): name for name in sorted(map(settings.env_name, settings.model_fields))}
    unknown = [v for v in sorted(environment) if v.upper().startswith(prefix) and v.upper() not in names.values()]
    return [_advise(variable, settings.retired, names, prefix) for variable in unknown]


def _advise(variable: str, retired: Mapping[str, str], names: Mapping[str, str], prefix: str) -> str:
    name = variable.upper().removeprefix(prefix)
    if name.lower() in retired:
        return f"setting {variable} is no more and does nothing: {retired[name.lower()]}"
    near = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    advice = f"did you mean {names[near[0]]}?" if near else f"`voice-stack {prefix[:-1].lower()} --help` lists all"
    return f"unknown setting {variable}: {advice}"
