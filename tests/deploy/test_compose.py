"""docker-compose.yml, read by Docker Compose itself, and the Dockerfile, read by hadolint."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voice_stack.asr.settings import AsrSettings
from voice_stack.chat.settings import ChatSettings
from voice_stack.tts.settings import TtsSettings

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
FILES = {"cpu": ["docker-compose.yml"], "gpu": ["docker-compose.yml", "docker-compose.gpu.yml"]}


def _config(kind: str, **environment: str) -> dict[str, dict[str, dict[str, object]]]:
    flags = [part for name in FILES[kind] for part in ("--file", str(ROOT / name))]
    command = [str(TOOLS / "docker-compose"), *flags, "config", "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    config: dict[str, dict[str, dict[str, object]]] = json.loads(result.stdout)
    return config


@pytest.mark.parametrize("kind", FILES)
def test_servers_are_locked_in_and_reached_through_nginx_alone(kind: str) -> None:
    services = _config(kind)["services"]
    assert set(services) == {"asr", "tts", "chat", "nginx"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
    assert not [server for server in ("asr", "tts", "chat") if "ports" in services[server]]
    (published,) = services["nginx"]["ports"]  # type: ignore[misc]
    assert published["host_ip"] == "127.0.0.1"  # type: ignore[index]


def test_what_users_change_is_heeded() -> None:
    services = _config("cpu", PUBLISH="0.0.0.0:80", ASR_MEMORY="1g", ALLOWED_HOSTS="voice.example.com")["services"]
    (published,) = services["nginx"]["ports"]  # type: ignore[misc]
    assert (published["host_ip"], published["published"]) == ("0.0.0.0", "80")  # type: ignore[index]
    assert services["asr"]["mem_limit"] == str(1 << 30)
    # Names of the operator's do not lock the Voice server out of its sisters.
    assert services["tts"]["environment"]["ALLOWED_HOSTS"] == "voice.example.com,asr,tts"  # type: ignore[index]


@pytest.mark.parametrize("kind", FILES)
def test_settings_exist(kind: str) -> None:
    services = _config(kind)["services"]
    for server, settings in (("asr", AsrSettings), ("tts", TtsSettings), ("chat", ChatSettings)):
        known = {settings.env_name(field) for field in settings.model_fields}
        assert set(services[server]["environment"]) <= known  # type: ignore[call-overload]


def test_gpus_are_asked_for_and_used() -> None:
    services = _config("gpu")["services"]
    for server in ("asr", "tts"):
        assert services[server]["environment"][f"{server.upper()}_DEVICE"] == "cuda"  # type: ignore[index]
        assert services[server]["build"]["args"] == {"CUDA": "1"}  # type: ignore[index]
        assert "nvidia" in json.dumps(services[server]["deploy"])


def test_what_is_mounted_is_there() -> None:
    volumes = _config("cpu")["services"]["nginx"]["volumes"]
    assert isinstance(volumes, list)
    assert len(volumes) == 2
    for volume in volumes:
        assert Path(volume["source"]).is_file()
        assert volume["read_only"] is True


def test_hadolint_finds_nothing() -> None:
    command = [str(TOOLS / "hadolint"), str(ROOT / "deploy" / "docker" / "Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "")
