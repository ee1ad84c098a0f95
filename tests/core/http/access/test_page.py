"""The page for people: open where nothing else is, all of it from here; what it is told of the server and of a key."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.http.server.site import KEY, Site, error_of, serving

BEARER = {"authorization": f"Bearer {KEY}"}
FILES = Path(__file__).parents[4] / "src/voice_stack/page"
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    limits = {"requests_per_minute_per_client": 2, "project_name": "Ann & <Bob>", "api_v1_str": "/api"}
    with serving(tmp_path_factory.mktemp("spool"), api_keys=[KEY], **limits) as running:
        yield running


def test_the_page_needs_no_key_and_counts_for_nobody_s_limit(site: Site) -> None:
    status, headers, body = site.call("GET", "/try")
    named = re.findall(r'(?:src|href)="([^"]+)"', body.decode())
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'data-server="asr" data-prefix="/api" data-needs-key="true"' in body
    assert b"<h1>Ann &amp; &lt;Bob&gt;</h1>" in body
    assert [address for address in named if address.startswith(("/", "http"))] == []
    assert {site.call("GET", f"/{address}")[0] for address in named} == {200}
    assert site.call("GET", "/api/whoami", headers=BEARER)[0] == 200


def test_what_is_kept_is_asked_for_again_and_not_sent_again(site: Site) -> None:
    for path in ("/try", "/page/page.css"):
        _, headers, body = site.call("GET", path)
        assert headers["cache-control"] == "private, no-cache"
        for tag in (headers["etag"], f'"other", W/{headers["etag"]}'):
            assert site.call("GET", path, headers={"if-none-match": tag})[::2] == (304, b"")
        assert site.call("GET", path, headers={"if-none-match": '"older"'})[2] == body
        status, told, nothing = site.call("HEAD", path)
        assert (status, told["content-length"], nothing) == (200, str(len(body)), b"")


def test_a_browser_runs_the_page_s_files_and_nothing_else(site: Site) -> None:
    policy = site.call("GET", "/try")[1]["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(
        policy.split("; ")
    )
    assert "unsafe" not in policy
    assert not re.search("https?:", policy)
    assert sum(path.stat().st_size for path in FILES.iterdir()) < MOST_BYTES


@pytest.mark.parametrize(
    "name", ["index.html", "page.py", "..%2f..%2f__init__.py", "%2e%2e/__init__.py", "", "a" * 300]
)
def test_nothing_else_is_served_there(site: Site, name: str) -> None:
    reply = site.call("GET", f"/page/{name}")
    assert (reply[0], bool(error_of(reply)["message"])) == (404, True)


def test_the_page_is_told_where_it_is_and_what_its_key_may_do(site: Site) -> None:
    assert json.loads(site.call("GET", "/page/about.json")[2]).items() >= {"server": "asr", "features": {}}.items()
    assert site.call("GET", "/page/key.json")[0] == 401
    told = json.loads(site.call("GET", "/page/key.json", headers=BEARER)[2])
    assert told == {"is_needed": True, "name": "API_KEYS[1]", "scopes": ["asr", "admin"]}


@pytest.mark.parametrize(("access", "status"), [("closed", 404), ("key", 200)])
def test_it_goes_with_the_docs(spool_dir: Path, access: str, status: int) -> None:
    with serving(spool_dir, docs_access=access, api_keys=[KEY]) as running:
        for path in ("/try", "/page/page.js", "/page/about.json", "/page/key.json"):
            assert running.call("GET", path, headers=BEARER)[0] == status, path
