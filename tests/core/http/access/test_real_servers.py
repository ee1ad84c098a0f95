"""What only a whole server shows: Bazarr without a key, models in the hands of the operator."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import openai
import pytest

from e2e.sound import tone
from running_server import RunningServer
from voice_stack.core.http.keys import KeyFile, make_key

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false"}
FILM = {"audio_file": ("film.wav", tone(0.5))}


def test_bazarr_needs_no_key_in_its_network_alone(start_server: StartServer) -> None:
    networks = {"ASR_BAZARR_NETWORKS": "192.168.1.0/24, 10.0.0.5", "TRUSTED_PROXIES": "127.0.0.1"}
    with start_server("asr", **FAKE, **networks, API_KEYS="a-key-of-the-house") as server, server.http() as client:
        for address, status in (
            ("192.168.1.77", 200),
            ("10.0.0.5", 200),
            ("10.0.0.6", 401),
            ("1.1.1.1, 10.0.0.5", 200),
        ):
            via = {"x-forwarded-for": address}
            assert client.get("/status", headers=via).status_code == status, address
            assert client.post("/asr?output=srt", files=FILM, headers=via).status_code == status, address
            assert client.get("/v1/models", headers=via).status_code == 401, "more is open than Bazarr asks for"
            assert client.post("/v1/audio/transcriptions", files=FILM, headers=via).status_code == 401
        lie = {"x-forwarded-for": "10.0.0.5, 203.0.113.9"}
        assert client.post("/v1/bazarr/detect-language", files=FILM, headers=lie).status_code == 401
        # The proxy itself is in no network of Bazarr's.
        assert client.post("/asr", files=FILM).status_code == 401


def test_models_are_loaded_by_the_operator_and_used_by_others(start_server: StartServer, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    scopes = ("asr", "tts", "admin")
    keys: dict[str, str] = {}
    for scope in scopes:
        keys[scope], record = make_key(scope, [scope])
        file.add(record)
    with start_server("asr", **FAKE, API_KEYS_FILE=str(file.path)) as server:
        user, stranger, operator = (server.openai(keys[scope]) for scope in scopes)
        sound = ("a.wav", tone(1.0))
        with user, stranger, operator:
            assert user.audio.transcriptions.create(model="whisper-1", file=sound).text == "window 1.0 s."
            for client, scope in ((stranger, "asr"), (operator, "asr")):
                with pytest.raises(openai.PermissionDeniedError, match=f"Missing scopes: {scope}"):
                    client.audio.transcriptions.create(model="whisper-1", file=sound)
            with pytest.raises(openai.PermissionDeniedError, match="Missing scopes: admin") as refused:
                user.models.delete("fake")
            assert refused.value.code == "missing_scope"
            assert operator.models.delete("fake").deleted
