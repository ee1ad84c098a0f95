"""Services of others that do the work of a model: which may be used, and with whose key.

What is sent to one leaves the house, so only the operator's word opens the way: a model is `provider/name`, and goes
there if `ASR_PROVIDERS` or `TTS_PROVIDERS` says so. A key is shown nowhere: not in an answer, not in the log.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import httpx2
from pydantic import SecretStr

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import EngineSettings

PROVIDERS: dict[str, Callable[[str], dict[str, str]]] = {
    "openai": lambda key: {"authorization": f"Bearer {key}"},
    "elevenlabs": lambda key: {"xi-api-key": key},
    "deepgram": lambda key: {"authorization": f"Token {key}"},
}
"""Provider -> the headers that carry a key."""
_AZURE = (".azure.com", ".azure.us", ".azure.cn")
"""Where keys go into a header of their own."""
_MAX_WORDS = 300


@dataclass(frozen=True, slots=True)
class Provider:
    """A service of others.

    Attributes:
        name: `openai`, `elevenlabs` or `deepgram`.
        url: Its address, without a slash at the end; of `openai` with the `/v1`.
        key: Ours; empty: none is sent.
    """

    name: str
    url: str
    key: SecretStr = field(default_factory=lambda: SecretStr(""))

    @property
    def headers(self) -> dict[str, str]:
        """What tells who asks."""
        key, host = self.key.get_secret_value(), httpx2.URL(self.url).host
        if not key:
            return {}
        return {"api-key": key} if self.name == "openai" and host.endswith(_AZURE) else PROVIDERS[self.name](key)

    def variable(self, what: str) -> str:
        """The setting with its `url` or its `key`, for messages."""
        return f"PROVIDER_{self.name}_{what}".upper()

    def mask(self, text: str) -> str:
        """A text of the provider's on one line, without our key; one that is masked already goes as well."""
        key = self.key.get_secret_value()
        hidden = text.replace(key, "***") if key else text
        flat = " ".join(re.sub(r"\S*\*{2,}\S*", "***", hidden).split())
        return flat if len(flat) <= _MAX_WORDS else f"{flat[:_MAX_WORDS]}..."


@dataclass(frozen=True, slots=True)
class ProvidedModel:
    """A model of a provider's; `name` is what requests call it, `model` what the provider does."""

    provider: Provider
    model: str

    @property
    def name(self) -> str:
        """`provider/model`."""
        return f"{self.provider.name}/{self.model}"


def provider_patterns(settings: EngineSettings) -> list[str]:
    """What may be used, with `openai/*` where the settings say `openai`."""
    return [f"{entry}/*" if entry in PROVIDERS else entry for entry in settings.providers]


def find_provided(settings: EngineSettings, name: str) -> ProvidedModel | None:
    """The provider's model of that name, if the settings allow it."""
    provider, _, model = name.partition("/")
    if provider not in PROVIDERS or not model or not model.isprintable():
        return None
    if not any(fnmatchcase(name, pattern) for pattern in provider_patterns(settings)):
        return None
    return ProvidedModel(_read_provider(settings, provider), model)


def providers_of(settings: EngineSettings) -> list[Provider]:
    """The providers of which a model may be used."""
    named = dict.fromkeys(pattern.partition("/")[0] for pattern in provider_patterns(settings))
    return [_read_provider(settings, name) for name in named]


def _read_provider(settings: EngineSettings, name: str) -> Provider:
    url: str = getattr(settings, f"provider_{name}_url")
    if name == "openai" and httpx2.URL(url).path == "/":
        url += "/v1"
    return Provider(
        name, url if name == "openai" else url.removesuffix("/v1"), getattr(settings, f"provider_{name}_key")
    )


def check_providers(settings: EngineSettings) -> None:
    """Do nothing where the settings of providers fit together.

    Raises:
        ConfigurationError: They do not; the message names the variable and what would be right.
    """
    variable, known = settings.env_name("providers"), ", ".join(PROVIDERS)
    for pattern in provider_patterns(settings):
        if pattern.partition("/")[0] not in PROVIDERS or not pattern.partition("/")[2]:
            raise ConfigurationError(
                f"{variable}={pattern!r}: no such provider; there are {known}, as openai/whisper-1"
            )
    if settings.providers and settings.offline:
        raise ConfigurationError(
            f"OFFLINE=true and {variable}={','.join(settings.providers)}: what a provider is asked leaves the house; "
            "take one of the two away"
        )
    for field_name in ("model", "fallback_model"):
        name: str = getattr(settings, field_name)
        if name.partition("/")[0] in PROVIDERS and "/" in name and settings.providers:
            _require_allowed(settings, settings.env_name(field_name), name)
    for provider in providers_of(settings):
        _check_key(settings, provider)


def _require_allowed(settings: EngineSettings, variable: str, name: str) -> None:
    if find_provided(settings, name) is None:
        allowed = ", ".join(provider_patterns(settings))
        raise ConfigurationError(
            f"{variable}={name!r} is no model that {settings.env_name('providers')} allows: {allowed}"
        )


def _check_key(settings: EngineSettings, provider: Provider) -> None:
    key, variable = provider.key.get_secret_value(), provider.variable("key")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(f"{variable}=***: it cannot be sent as a header: printable ASCII without spaces only")
    url_field = f"provider_{provider.name}_url"
    if not key and getattr(settings, url_field) == type(settings).model_fields[url_field].default:
        raise ConfigurationError(f"{variable} is empty, and {provider.url} answers nobody without a key")
