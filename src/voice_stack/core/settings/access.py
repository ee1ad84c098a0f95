"""Who may call: keys, browsers, names, proxies."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from voice_stack.core.system.addresses import check_origins, check_patterns, parse_networks


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]
"""A list that is written `a,b,c` in the environment."""

ENV_FILE = ".env"


def _check_networks(entries: list[str]) -> list[str]:
    parse_networks(entries)
    return entries


NetworkList = Annotated[CommaSeparated, AfterValidator(_check_networks)]
"""Addresses and networks, written `192.168.1.0/24,10.0.0.5`."""


def _check_address(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("an address is http://HOST:PORT or https://HOST:PORT, with a path if there is one")
    return url.rstrip("/")


Address = Annotated[str, AfterValidator(_check_address)]
"""Of another server."""

SHARED_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
"""Schemes of addresses of Redis and Valkey, and what the library calls each."""


def _check_shared(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if not url.get_secret_value():
        return url
    if parts.scheme not in SHARED_SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SHARED_SCHEMES)
        raise ValueError(f"it begins with none of {known}")
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise ValueError("a Unix socket is unix:///PATH, with ?db=1 for another database")
    if parts.scheme != "unix" and not (parts.hostname and (parts.path.strip("/") or "0").isdecimal()):
        raise ValueError("it is redis://[USER:PASSWORD@]HOST:PORT/NUMBER")
    return url


SharedUrl = Annotated[SecretStr, AfterValidator(_check_shared)]
"""Address of a Redis or Valkey, with the password for it."""

PortList = Annotated[list[Annotated[int, Field(ge=1, le=65535)]], NoDecode, BeforeValidator(_split_commas)]
"""Ports, written `8011,8001`."""


_FOLDERS = {"CACHE": (".cache", "/var/cache"), "CONFIG": (".config", "/etc"), "STATE": (".local/state", "/var/lib")}


def user_folder(kind: Literal["CACHE", "CONFIG", "STATE"]) -> Path:
    """Our folder among the user's of that kind; among the machine's for a user without a home, as in containers."""
    below_home, without_home = _FOLDERS[kind]
    try:
        folder = Path(os.environ.get(f"XDG_{kind}_HOME") or Path.home() / below_home)
    except RuntimeError:
        folder = Path(without_home)
    return folder / "voice-stack"


class AccessSettings(BaseSettings):
    """Part of the settings of every server."""

    api_keys: CommaSeparated = Field(
        default_factory=list,
        validation_alias="API_KEYS",
        description="Keys that may do everything, separated by commas; clients then send `Authorization: Bearer KEY`. "
        "No key here and none in `API_KEYS_FILE`: no key needed.",
    )
    api_keys_file: Path = Field(
        default_factory=lambda: user_folder("CONFIG") / "keys.json",
        validation_alias="API_KEYS_FILE",
        description="File of the keys that `voice-stack keys` makes; all servers read it, again when it changes. "
        "While it is there, a key is needed.",
    )
    docs_access: Literal["open", "key", "closed"] = Field(
        "open",
        validation_alias="DOCS_ACCESS",
        description="Who sees `/docs`, `/redoc` and `/openapi.json`: everyone, holders of a key, nobody (404). With "
        "`closed` the page at `/try` is gone, too; otherwise it is there for everyone, and asks for a key itself.",
    )
    metrics_access: Literal["open", "key", "closed"] = Field(
        "key",
        validation_alias="METRICS_ACCESS",
        description="Who sees `/metrics`: everyone, holders of a key with scope `admin` (everyone where no key is "
        "needed), nobody (404).",
    )
    admin_access: Literal["key", "closed"] = Field(
        "key",
        validation_alias="ADMIN_ACCESS",
        description="Who loads and unloads models by hand and sees `/status` and `/v1/status`: holders of a key with "
        "scope `admin` (everyone where no key is needed), nobody (404).",
    )
    cors_origins: Annotated[CommaSeparated, AfterValidator(check_origins)] = Field(
        default_factory=list,
        validation_alias="CORS_ORIGINS",
        description="Web origins whose pages may call from a browser, separated by commas: "
        "`https://app.example.com`, `app://obsidian.md`, `null`; `*`: all. Empty: none but the server's own docs.",
    )
    allowed_hosts: Annotated[CommaSeparated, AfterValidator(check_patterns)] = Field(
        default_factory=list,
        validation_alias="ALLOWED_HOSTS",
        description="Names that requests may call the server by, separated by commas: `asr.example.com`, "
        "`*.example.com`, `*`. Empty: all; but without keys and on a loopback address only names that nobody on the "
        "internet can own.",
    )
    trusted_proxies: NetworkList = Field(
        default_factory=list,
        validation_alias="TRUSTED_PROXIES",
        description="Proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed: addresses and networks, "
        "separated by commas; `unix`: who comes through `SOCKET`. Empty: nobody's.",
    )
    root_path: str = Field(
        "",
        description="Path below which a proxy serves this server, as `/asr`, whether or not the proxy takes it away "
        "from the requests it passes on.",
    )

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: list[str]) -> list[str]:
        for number, key in enumerate(keys, start=1):
            if not key.isascii() or not key.isprintable() or " " in key:
                raise ValueError(f"key {number} cannot be sent as a header: printable ASCII without spaces only")
        return keys

    @field_validator("root_path")
    @classmethod
    def _normalise_root_path(cls, value: str) -> str:
        path = value.strip("/")
        if not path:
            return ""
        if not all(part and part not in {".", ".."} and part.isascii() for part in path.split("/")) or set(path) & set(
            " ?#%\\\"'<>"
        ):
            raise ValueError("a path as /asr or /voice/asr, of plain characters")
        return f"/{path}"
