"""Web pages: those of others may not drive a server without keys; the server's own and allowed ones may."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.http.server.forms import FILE, MULTIPART, form
from core.http.server.site import KEY, PREFLIGHT, Site, error_of, serving

EVIL = "https://evil.example"
FRIEND = "https://app.example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("spool"), cors_origins=[FRIEND]) as running:
        yield running


def send(site: Site, headers: dict[str, str]) -> int:
    """The form with a file that every page may send without asking."""
    return site.call("POST", "/v1/upload", form(FILE), {**MULTIPART, **headers})[0]


def test_a_page_of_another_origin_cannot_send_a_form(site: Site) -> None:
    for origin in (EVIL, "null", "http://localhost:3000", "http://127.0.0.1", "https://app.example.evil.example"):
        reply = site.call("POST", "/v1/upload", form(FILE), {**MULTIPART, "origin": origin})
        error = error_of(reply)
        assert (reply[0], error["code"]) == (403, "origin_not_allowed"), origin
        assert origin in str(error["message"])
        assert "CORS_ORIGINS" in str(error["message"])
    assert send(site, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}) == 403
    assert (
        send(site, {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "origin": "http://localhost:3000"}) == 403
    )


def test_an_upgrade_to_websocket_that_is_refused_is_told_why(site: Site) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    upgrade["sec-websocket-key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    reply = site.call("GET", "/v1/upload", headers={**upgrade, "origin": EVIL})
    assert (reply[0], error_of(reply)["code"]) == (403, "origin_not_allowed")
    assert site.call("GET", "/v1/upload", headers=upgrade)[0] == 404
    assert site.call("GET", "/health", headers=upgrade)[0] == 404


def test_programs_and_own_and_allowed_pages_can(site: Site) -> None:
    assert send(site, {}) == 200
    assert send(site, {"origin": f"http://127.0.0.1:{site.port}"}) == 200
    assert send(site, {"origin": FRIEND, "sec-fetch-site": "cross-site"}) == 200
    # A proxy in front may tell the server another name than the browser knows.
    assert send(site, {"origin": "https://asr.home.example", "sec-fetch-site": "same-origin"}) == 200
    assert send(site, {"origin": "http://127.0.0.1:8080", "host": "127.0.0.1"}) == 200


@pytest.mark.parametrize(
    ("site_header", "mode", "dest", "status"),
    [
        ("cross-site", "navigate", "document", 200),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "no-cors", "audio", 403),
        ("same-site", "no-cors", "audio", 200),
        ("none", "navigate", "document", 200),
    ],
)
def test_what_a_page_may_show(site: Site, site_header: str, mode: str, dest: str, status: int) -> None:
    headers = {"sec-fetch-site": site_header, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    assert site.call("GET", "/status", headers=headers)[0] == status
    assert site.call("GET", "/health", headers=headers)[0] == 200


def test_a_key_is_as_good_as_an_origin(spool_dir: Path) -> None:
    with serving(spool_dir, api_keys=[KEY]) as site:
        assert send(site, {"origin": EVIL}) == 401
        assert send(site, {"origin": EVIL, "authorization": f"Bearer {KEY}"}) == 200


def test_any_origin_if_the_operator_says_so_but_never_with_credentials(spool_dir: Path) -> None:
    with serving(spool_dir, cors_origins=["*"]) as site:
        assert send(site, {"origin": EVIL}) == 200
        for headers in (PREFLIGHT, {"cookie": "a=b"}):
            method = "OPTIONS" if headers is PREFLIGHT else "GET"
            status, answered, _ = site.call(method, "/v1/whoami", headers={"origin": EVIL, **headers})
            assert (status, answered["access-control-allow-origin"]) == (200, "*")
            assert "access-control-allow-credentials" not in answered
