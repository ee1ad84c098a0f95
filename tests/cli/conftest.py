"""Where the commands run: free ports, a model folder of their own, no hub."""

import os
from pathlib import Path

import pytest

from cli.commands import free_port


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli-models")


@pytest.fixture
def environment(tmp_path: Path, model_dir: Path) -> dict[str, str]:
    """The variables of whoever runs the tests without those of the servers; free ports; no hub."""
    prefixes = ("ASR_", "TTS_", "CHAT_", "VOICE_PORTS", "DEBUGPY_", "LOG_", "API_", "SPOOL_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    ports = {f"{server}_PORT": str(free_port()) for server in ("ASR", "TTS", "CHAT")}
    lazy = {"ASR_PRELOAD": "false", "TTS_PRELOAD": "false"}
    return (
        kept | ports | lazy | {"MODEL_DIR": str(model_dir), "OFFLINE": "true", "COLUMNS": "300", "HOME": str(tmp_path)}
    )
