"""What answers tell browsers and caches, errors too."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.http.server.site import KEY, PREFLIGHT, Site, serving

API = "default-src 'none'; frame-ancestors 'none'"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("spool"), docs_access="open") as running:
        yield running


def expect_safe(headers: dict[str, str]) -> None:
    expected = {
        "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
    }  # fmt: skip
    assert headers.items() >= expected.items()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/health", {}), ("/v1/whoami", {}), ("/nowhere", {}), ("/v1/explode", {}), ("/v1/known/stop", {}),
        ("/status", {"host": "evil.example"}), ("/status", {"origin": "https://evil.example"}),
    ],
)  # fmt: skip
def test_no_answer_is_a_page_or_kept(site: Site, path: str, headers: dict[str, str]) -> None:
    answered = site.call("GET", path, headers=headers)[1]
    expect_safe(answered)
    assert (answered["content-security-policy"], answered["cache-control"]) == (API, "no-store")
    assert answered["x-request-id"]


def test_a_refused_key_has_them_too(spool_dir: Path) -> None:
    with serving(spool_dir, api_keys=[KEY]) as site:
        status, answered, _ = site.call("GET", "/status")
        assert (status, answered["www-authenticate"], answered["cache-control"]) == (401, "Bearer", "no-store")
        expect_safe(answered)


def test_the_docs_run_their_own_scripts_and_nobody_else_s(site: Site) -> None:
    for path in ("/docs", "/redoc"):
        _, answered, body = site.call("GET", path)
        expect_safe(answered)
        policy = dict(part.strip().split(" ", 1) for part in answered["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == "'self' 'unsafe-inline'"
        assert (b"<script>" in body) <= ("'unsafe-inline'" in policy["script-src"])
        assert not any("http" in value or "*" in value for value in policy.values())


def test_allowed_origins_may_use_what_they_load(spool_dir: Path) -> None:
    origin = "https://app.example"
    with serving(spool_dir, cors_origins=[origin]) as site:
        answered = site.call("GET", "/v1/whoami", headers={"origin": origin})[1]
        assert answered["cross-origin-resource-policy"] == "cross-origin"
        preflight = site.call("OPTIONS", "/v1/whoami", headers={"origin": origin, **PREFLIGHT})[1]
        assert preflight["x-content-type-options"] == "nosniff"
        assert json.loads(site.call("GET", "/health")[2])["status"] == "ok"
