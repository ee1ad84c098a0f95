"""Keys with names: made and revoked while a server runs, good for what their scopes say and as long as they last."""

import json
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from core.http.server.site import Reply, Site, error_of, serving, wait_until
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.http.keys import KeyFile, LastUse, make_key

PLAIN = "a-key-of-the-environment"


def add(file: KeyFile, name: str, scopes: Sequence[str] = ("asr",), expires_at: int | None = None) -> str:
    key, record = make_key(name, scopes, expires_at=expires_at, requests_per_minute=30, jobs_at_once=2)
    file.add(record)
    return key


def ask(site: Site, key: str | None, path: str = "/v1/whoami", method: str = "GET") -> Reply:
    return site.call(method, path, headers={"authorization": f"Bearer {key}"} if key else {})


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "config" / "keys.json")


def test_keys_come_and_go_while_the_server_runs(spool_dir: Path, file: KeyFile) -> None:
    with serving(spool_dir, api_keys_file=file.path) as site:
        assert json.loads(ask(site, None)[2])["key"] is None
        bob, eve = add(file, "bob"), add(file, "eve")
        wait_until(lambda: ask(site, None)[0] == 401)
        assert json.loads(ask(site, bob)[2])["key"] == ["bob", 30, 2]
        assert ask(site, eve)[0] == 200
        file.remove("eve")
        wait_until(lambda: ask(site, eve)[0] == 401)
        assert ask(site, bob)[0] == 200
        file.remove("bob")
        wait_until(lambda: ask(site, bob)[0] == 401)
        assert ask(site, None)[0] == 401, "the last key is gone, and the door is open"


def test_a_deleted_or_damaged_file_opens_nothing(
    spool_dir: Path, file: KeyFile, log_lines: Callable[[str], list[dict[str, object]]]
) -> None:
    bob = add(file, "bob")
    with serving(spool_dir, api_keys_file=file.path) as site:
        file.path.write_text('{"keys": "none"}')
        wait_until(lambda: ask(site, bob)[0] == 200 and bool(log_lines("the keys stay as they were")))
        assert ask(site, None)[0] == 401
        file.path.unlink()
        wait_until(lambda: ask(site, bob)[0] == 401)
        assert ask(site, None)[0] == 401
    assert log_lines("keys read again")


def test_the_last_use_is_known(spool_dir: Path, file: KeyFile) -> None:
    used, unused = add(file, "used"), add(file, "unused")
    last_use = LastUse(file.path)
    with serving(spool_dir, api_keys_file=file.path, api_keys=[PLAIN]) as site:
        assert {ask(site, key)[0] for key in (used, PLAIN, unused[:-1])} == {200, 401}
        ids = {key.name: key.id for key in file.read() or ()}
        wait_until(lambda: last_use.read(ids["used"]) is not None)
    assert abs(int(str(last_use.read(ids["used"]))) - time.time()) < 600
    assert last_use.read(ids["unused"]) is None
    assert [path.name for path in file.path.with_name("keys.json.used").iterdir()] == [ids["used"]]


def test_plain_keys_may_do_everything_beside_the_named(spool_dir: Path, file: KeyFile) -> None:
    bob = add(file, "bob")
    with serving(spool_dir, api_keys_file=file.path, api_keys=[PLAIN]) as site:
        assert {ask(site, PLAIN, path)[0] for path in ("/v1/whoami", "/status")} == {200}
        assert ask(site, bob)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("GET", "/v1/whoami", {"asr"}),
        ("GET", "/status", {"admin"}),
        ("GET", "/status/", {"admin"}),
        ("GET", "/v1/status", {"admin"}),
        ("GET", "/metrics", {"admin"}),
        ("POST", "/v1/models/base", {"admin"}),
        ("DELETE", "/v1/models/org/base", {"admin"}),
        ("GET", "/v1/models/base", {"asr", "tts", "admin"}),
        ("GET", "/v1/models", {"asr", "tts", "admin"}),
        ("GET", "/", {"asr", "tts", "admin"}),
        ("GET", "/health", {"asr", "tts", "admin", None}),
        ("GET", "/docs", {"asr", "tts", "admin", None}),
        ("GET", "/unknown", {"asr"}),
    ],
)
def test_scopes(scoped: tuple[Site, dict[str, str]], method: str, path: str, scopes: set[str | None]) -> None:
    site, keys = scoped
    for scope, key in keys.items():
        reply = ask(site, key, path, method)
        if scope in scopes:
            assert reply[0] not in {401, 403}, (scope, reply)
        else:
            error = error_of(reply)
            assert (reply[0], error["type"], error["code"]) == (403, "invalid_request_error", "missing_scope")
            assert scope in str(error["message"])
            assert f"Missing scopes: {'asr' if scopes == {'asr'} else 'admin'}." in str(error["message"])
    assert (ask(site, None, path, method)[0] == 401) == (None not in scopes)


@pytest.fixture(scope="module")
def scoped(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("scoped")
    file = KeyFile(folder / "keys.json")
    scopes = ("asr", "tts", "admin")
    keys = {scope: add(file, f"for-{scope}", [scope]) for scope in scopes}
    with serving(tmp_path_factory.mktemp("spool"), api_keys_file=file.path) as site:
        yield site, keys


def test_an_expired_key_says_so(spool_dir: Path, file: KeyFile) -> None:
    old = add(file, "old", expires_at=int(time.time()) - 1)
    young = add(file, "young", expires_at=int(time.time()) + 3600)
    with serving(spool_dir, api_keys_file=file.path) as site:
        reply = ask(site, old)
        error = error_of(reply)
        assert (reply[0], reply[1]["www-authenticate"], error["code"]) == (401, "Bearer", "expired_api_key")
        assert "'old'" in str(error["message"])
        assert "has expired" in str(error["message"])
        assert ask(site, young)[0] == 200


def test_a_key_is_nowhere_to_be_read(
    spool_dir: Path, file: KeyFile, log_lines: Callable[[str], list[dict[str, object]]]
) -> None:
    key = add(file, "bob")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    with serving(spool_dir, api_keys_file=file.path) as site:
        ask(site, key)
        wait_until(lambda: bool(log_lines("request")))
    (line,) = log_lines("request")
    assert line["key"] == "bob"
    kept = [path.read_text() for path in file.path.parent.rglob("*") if path.is_file()]
    assert any('"bob"' in text for text in kept)
    assert [text for text in [*kept, str(line)] if key.removeprefix("vs-") in text] == []


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", '{"keys": [{"name": "x"}]}', '{"keys": [], "version": 2}', '{"keys": [], "kyes": []}',
        '{"keys": [{"id": "../x", "name": "x", "hint": "", "sha256": "", "scopes": [], "created_at": 0}]}'
    ],
)  # fmt: skip
def test_no_server_starts_with_a_damaged_file(spool_dir: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"API_KEYS_FILE=.*keys\.json"), serving(spool_dir, api_keys_file=path):
        pass
