"""Addresses, keys, settings, and what an import costs."""

import json
import subprocess
import sys

import pytest

import voice_stack
from client.conftest import Connect
from client.protocol_server import AUDIO, ProtocolServer
from voice_stack.client import VoiceStackClient


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_address_may_end_like_openais_base_url(connect: Connect, server: ProtocolServer, suffix: str) -> None:
    client = connect(tts_url=server.url + suffix, api_key="secret")
    assert client.synthesize("Hello") == AUDIO
    assert client.health()["tts"].is_up
    assert {received.headers["authorization"] for received in server.received} == {"Bearer secret"}


def test_without_a_key_no_authorization_is_sent(client: VoiceStackClient, server: ProtocolServer) -> None:
    client.voices()
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize(
    "options",
    [
        {"timeout_s": 0},
        {"max_retries": -1},
        {"asr_url": "localhost:5001"},
        {"tts_url": "http://"},
        {"tts_url": "http://host:port"},
        {"api_key": "a\nb"},
    ],
)
def test_bad_settings_are_told_at_once(connect: Connect, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        connect(**options)


def test_a_request_id_that_no_header_can_carry_is_told(client: VoiceStackClient, server: ProtocolServer) -> None:
    with pytest.raises(ValueError, match="request_id"):
        client.voices(request_id="a\r\nb: c")
    assert server.received == []


def test_the_client_needs_httpx2_alone() -> None:
    script = "import json, sys; import voice_stack.client; print(json.dumps(sorted(sys.modules)))"
    modules = json.loads(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout)
    assert not {"fastapi", "pydantic", "numpy", "starlette", "voice_stack.core"} & set(modules)
    assert "httpx2" in modules
    ours = {name for name in modules if name.startswith("voice_stack.")}
    assert all(name.startswith("voice_stack.client") for name in ours)


def test_the_package_offers_the_clients_and_loads_them_when_asked() -> None:
    script = (
        "import sys, voice_stack; assert 'httpx2' not in sys.modules; print(voice_stack.VoiceStackClient.__module__)"
    )
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout.startswith("voice_stack.client")
    assert voice_stack.VoiceStackClient is VoiceStackClient
    assert {"AsyncVoiceStackClient", "VoiceStackClient", "__version__"} <= set(dir(voice_stack))
    with pytest.raises(AttributeError, match="Client2"):
        _ = voice_stack.Client2
