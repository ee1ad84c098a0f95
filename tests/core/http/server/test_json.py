"""JSON bodies."""

import json

import pytest

from core.http.server.site import Site, error_of


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a": [1, "\\u00fc"]}', 200),
        (b"{", 400),
        (b"", 400),
        (b'"\xff"', 400),
        (b'"\\ud800"', 400),
        (b"NaN", 400),
        (b"[" * 1000, 400),
        (b'"' + b"x" * 1000 + b'"', 413),
    ],
)
def test_json_body(site: Site, body: bytes, status: int) -> None:
    reply = site.call("POST", "/v1/json", body)
    assert reply[0] == status
    if status == 200:
        assert json.loads(reply[2]) == {"a": [1, "ü"]}
    else:
        error_of(reply)


def test_deeply_nested_json_is_a_client_error(site: Site) -> None:
    reply = site.call("POST", "/v1/json?cap=1000000", b"[" * 100_000 + b"]" * 100_000)
    assert reply[0] == 400
    assert "nested too deeply" in str(error_of(reply)["message"])
