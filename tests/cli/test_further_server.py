"""A further server is a row of one table: every command knows it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from cli.commands import free_port

HOUSE = {
    "page/settings.py": """
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from voice_stack.core.settings import ServerSettings

class PageSettings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="PAGE_")
    port: int = Field(5009, description="Port to listen on.")
    colour: str = Field("red", description="Of the page.")
""",
    "page/app.py": """
from voice_stack.core.http.app import create_server

def create_app(settings):
    return create_server(
        settings, server="page", title="Page", routers=[], readiness=lambda: None, status=lambda: {}
    )
""",
    "house.py": """
from voice_stack.cli import voice_stack
from voice_stack.cli.servers import SERVERS, Server

SERVERS["page"] = Server(name="page", title="page server", package="page", settings="PageSettings", example="pages")
voice_stack()
""",
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """The command line of a house with one server more."""
    for name, text in HOUSE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "house.py"


def test_every_command_knows_a_further_server(house: Path, environment: dict[str, str]) -> None:
    port = free_port()
    variables = environment | {"PAGE_PORT": str(port), "PAGE_COLOR": "blue"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(house), *arguments]
        return subprocess.run(command, env=variables, cwd=house.parent, capture_output=True, text=True, check=False)

    assert {"asr", "tts", "page"} <= set(run("--help").stdout.split())
    assert "--colour" in run("page", "--help").stdout
    assert "# --- page server ---" in run("settings").stdout
    rows = {row["name"]: row for row in json.loads(run("doctor", "--json").stdout)}
    assert rows[f"PAGE_PORT={port}"]["status"] == "OK"
    assert "did you mean PAGE_COLOUR?" in rows["PAGE_* variables"]["detail"]
    assert "PAGE_MODEL" not in str(rows)
    assert json.loads(run("models", "list", "--json").stdout)
    server = subprocess.Popen([sys.executable, str(house), "page"], env=variables, cwd=house.parent)
    try:
        for _ in range(200):
            status = json.loads(run("status", "--json").stdout)
            if status["page"]["status"]:
                break
            time.sleep(0.1)
        assert (status["page"]["status"]["server"], status["page"]["status"]["engines"]) == ("page", [])
        assert status["asr"]["status"] is None
        key = json.loads(run("keys", "create", "reader", "--scope", "page,admin", "--json").stdout)
        assert key["scopes"] == ["page", "admin"]
        time.sleep(0.5)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert client.get("/v1/status").status_code == 401
            assert client.get("/v1/status", headers={"authorization": f"Bearer {key['key']}"}).status_code == 200
    finally:
        server.terminate()
        server.wait(20)
