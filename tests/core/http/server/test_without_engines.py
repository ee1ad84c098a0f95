"""A server that has no engines is a server like the others: its name is its scope, its settings are fewer."""

import json
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from core.http.server.site import serving
from voice_stack.core.http.keys import KeyFile, make_key
from voice_stack.core.settings import EngineSettings, ServerSettings, unknown_variables


class PageSettings(ServerSettings):
    """Settings of a server that only shows pages."""

    model_config = SettingsConfigDict(env_prefix="PAGE_")
    port: int = Field(0, description="Port to listen on.")


def test_it_is_healthy_tells_its_status_and_asks_for_keys_of_its_scope(tmp_path: Path) -> None:
    file, keys = KeyFile(tmp_path / "keys.json"), {}
    for scope in ("page", "asr", "admin"):
        keys[scope], record = make_key(scope, [scope])
        file.add(record)
    with serving(tmp_path, server="page", kind=PageSettings, api_keys=["every-scope"], api_keys_file=file.path) as site:

        def ask(path: str, key: str) -> tuple[int, dict[str, object]]:
            status, _, body = site.call("GET", path, headers={"authorization": f"Bearer {key}"})
            return status, json.loads(body)

        assert json.loads(site.call("GET", "/health")[2])["server"] == "page"
        assert site.call("GET", "/ready")[0] == 200
        code, status = ask("/v1/status", keys["admin"])
        assert (code, status["server"], status["engines"], status["queue"]) == (
            200, "page", [], {"jobs_running": 0, "jobs_waiting": 0, "seconds": None},
        )  # fmt: skip
        assert not (EngineSettings.model_fields.keys() - ServerSettings.model_fields.keys()) & set(
            dict(status["limits"])
        )  # type: ignore[call-overload]
        assert ask("/metrics", keys["page"])[0] == 403
        assert [ask("/v1/whoami", key)[0] for key in (keys["page"], "every-scope", keys["asr"])] == [200, 200, 403]
        assert "Missing scopes: page" in str(ask("/v1/whoami", keys["asr"])[1])


def test_a_setting_of_an_engine_is_none_of_its() -> None:
    assert unknown_variables(PageSettings, {"PAGE_PORT": "1", "PAGE_MODEL": "base", "ASR_MODEL": "base"}) == [
        "unknown setting PAGE_MODEL: `voice-stack page --help` lists all"
    ]
