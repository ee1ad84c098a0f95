"""Settings of access that make no sense stop the server with the variable, the value and what would fit."""

import pytest

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.http.access import exposure_warnings
from voice_stack.core.settings import ServerSettings


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("CORS_ORIGINS", "app.example", "https://app.example.com"),
        ("CORS_ORIGINS", "https://app.example/path", "/path"),
        ("CORS_ORIGINS", "https://*.example", "is no origin"),
        ("CORS_ORIGINS", "*,https://app.example", "stands alone"),
        ("CORS_ORIGINS", "https://user:pw@app.example", "is no origin"),  # pragma: allowlist secret
        ("ALLOWED_HOSTS", "https://asr.example", "no name of a host"),
        ("ALLOWED_HOSTS", "asr.example:5001", "no name of a host"),
        ("ALLOWED_HOSTS", "asr.*", "no name of a host"),
        ("TRUSTED_PROXIES", "nginx", "192.168.1.0/24"),
        ("TRUSTED_PROXIES", "*", "no address"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "no address"),
        ("DOCS_ACCESS", "maybe", "'closed'"),
        ("ROOT_PATH", "/a/../b", "a path as /asr"),
        ("ROOT_PATH", "/a?b", "a path as /asr"),
        ("API_KEYS", "two words", "key 1 cannot be sent"),
    ],
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, part: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refused:
        ServerSettings.read()
    assert variable in refused.value.message
    assert part in refused.value.message


def test_a_root_path_that_hides_the_api_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="API_V1_STR"):
        ServerSettings.read(root_path="/v1")
    assert ServerSettings.read(root_path="voice/asr/").public_prefix == "/voice/asr/v1"


def test_origins_are_spelt_as_browsers_do() -> None:
    origins = ServerSettings.read(
        cors_origins="HTTPS://App.Example:443/, http://10.0.0.1:8080,tauri://localhost"
    ).cors_origins
    assert origins == ["https://app.example", "http://10.0.0.1:8080", "tauri://localhost"]


@pytest.mark.parametrize(
    ("settings", "is_locked", "parts"),
    [
        ({}, False, []),
        ({"host": "::1"}, False, []),
        ({"host": "localhost"}, False, []),
        ({"host": "0.0.0.0", "port": 5001}, True, []),
        ({"host": "0.0.0.0", "port": 5001}, False, ["HOST=0.0.0.0 and no key", "port 5001", "voice-stack keys create"]),
        ({"host": "::"}, False, ["HOST=:: and no key"]),
        ({"cors_origins": ["*"]}, False, ["CORS_ORIGINS=*"]),
        ({"host": "0.0.0.0", "socket": "/run/asr.sock"}, False, []),
    ],
)
def test_what_is_left_open_is_told(settings: dict[str, object], is_locked: bool, parts: list[str]) -> None:
    told = " ".join(exposure_warnings(ServerSettings.read(**settings), is_locked))
    assert bool(told) == bool(parts)
    assert [part for part in parts if part not in told] == []
