"""What operators ask: health, readiness, status, docs; and browsers' questions before a request."""

import json
import re

import pytest

from core.http.server.site import PREFLIGHT, Site, error_of


@pytest.mark.parametrize("path", ["/health", "/healthz", "/healthcheck"])
def test_health_answers_get_and_head(site: Site, path: str) -> None:
    status, _, body = site.call("GET", path)
    assert status == 200
    assert json.loads(body).items() >= {"status": "ok", "server": "asr"}.items()
    assert site.call("HEAD", path)[::2] == (200, b"")


def test_ready_gives_the_reason(site: Site) -> None:
    assert site.call("GET", "/ready")[0] == 200
    site.reason = "model base is loading"
    try:
        reply = site.call("GET", "/ready")
    finally:
        site.reason = None
    assert (reply[0], error_of(reply)["message"]) == (503, "model base is loading")


def test_status_and_index(site: Site) -> None:
    assert json.loads(site.call("GET", "/status")[2])["jobs"] == 3
    assert json.loads(site.call("GET", "/")[2])["docs"] == "/docs"


def test_docs_load_nothing_from_elsewhere(site: Site) -> None:
    for path in ("/docs", "/redoc"):
        status, _, body = site.call("GET", path)
        assert status == 200
        assets = re.findall(r'(?:src|href)="([^"]+)"', body.decode())
        assert assets
        assert [asset for asset in assets if "//" in asset] == []
        assert {site.call("GET", asset)[0] for asset in assets} == {200}


def test_cors_preflight_and_exposed_request_id(site: Site) -> None:
    origin = {"origin": "https://app.example"}
    status, headers, _ = site.call("OPTIONS", "/v1/upload", headers={**origin, **PREFLIGHT})
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert "x-stainless-os" in headers["access-control-allow-headers"]
    headers = site.call("GET", "/status", headers=origin)[1]
    exposed = set(headers["access-control-expose-headers"].split(", "))
    assert {"x-request-id", "x-ignored-fields", "x-fallback", "x-fallback-model", "x-cache", "etag"} <= exposed
    assert {"x-captions", "x-queue-wait-s"} <= exposed
    assert headers["access-control-allow-credentials"] == "true"
    stranger = site.call("GET", "/status", headers={"origin": "https://evil.example"})[1]
    assert "access-control-allow-origin" not in stranger
