"""Docs, metrics and the operator's routes: open, for holders of a key, or gone."""

from pathlib import Path

import pytest

from core.http.server.site import KEY, Site, error_of, serving

DOCS = ("/docs", "/redoc", "/openapi.json", "/static-offline-docs/swagger-ui.css")
ADMIN = (("GET", "/status"), ("GET", "/v1/status"), ("POST", "/v1/models/base"), ("DELETE", "/v1/models/base"))
BEARER = {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("keys", [[], [KEY]])
def test_closed_is_404_even_with_a_key(spool_dir: Path, keys: list[str]) -> None:
    closed = {"docs_access": "closed", "metrics_access": "closed", "admin_access": "closed"}
    with serving(spool_dir, api_keys=keys, **closed) as site:
        for method, path in (*ADMIN, *(("GET", path) for path in (*DOCS, "/metrics"))):
            reply = site.call(method, path, headers=BEARER)
            assert reply[0] == 404, path
            assert f"{method} {path}" in str(error_of(reply)["message"])
        assert site.call("GET", "/health")[0] == 200
        assert site.call("GET", "/v1/whoami", headers=BEARER)[0] == 200


def test_docs_may_need_a_key_and_metrics_none(spool_dir: Path) -> None:
    with serving(spool_dir, api_keys=[KEY], docs_access="key", metrics_access="open") as site:
        for path in DOCS:
            assert (site.call("GET", path)[0], site.call("GET", path, headers=BEARER)[0]) == (401, 200)
        assert site.call("GET", "/metrics")[0] != 401
        assert site.call("GET", "/status")[0] == 401


def test_without_keys_all_of_it_is_there(spool_dir: Path) -> None:
    with serving(spool_dir) as site:
        assert {_status(site, path) for path in (*DOCS, "/status")} == {200}


def _status(site: Site, path: str) -> int:
    return site.call("GET", path)[0]
