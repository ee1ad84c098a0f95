"""Who is let in, and that no key is ever shown."""

import re
from collections.abc import Callable

from core.http.server.forms import MULTIPART, form, part
from core.http.server.site import CAP, KEY, PREFLIGHT, Site, error_of


def test_missing_key(locked: Site) -> None:
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer "}):
        reply = locked.call("GET", "/v1/explode", headers=headers)
        assert reply[0] == 401
        assert str(error_of(reply)["message"]).startswith("You didn't provide an API key.")


def test_wrong_key_is_never_shown(locked: Site, log_lines: Callable[[str], list[dict[str, object]]]) -> None:
    wrong = "sk-not-the-right-one-xyz"
    reply = locked.call("GET", "/status", headers={"authorization": f"Bearer {wrong}"})
    error = error_of(reply)
    assert (reply[0], error["code"]) == (401, "invalid_api_key")
    assert str(error["message"]).startswith("Incorrect API key provided: sk-***xyz.")
    assert wrong not in str(error)
    assert wrong not in str(log_lines("request"))
    short = error_of(locked.call("GET", "/status", headers={"authorization": "Bearer topsecret"}))
    assert not {"top", "ret"} & set(re.findall(r"\w+", str(short["message"])))


def test_refused_key_is_read_after_a_large_upload(locked: Site) -> None:
    reply = locked.call("POST", "/v1/upload", form(part("file", b"x" * CAP, filename="a.wav")), MULTIPART)
    assert reply[0] == 401


def test_right_key_and_open_paths(locked: Site) -> None:
    assert locked.call("GET", "/status", headers={"authorization": f"Bearer {KEY}"})[0] == 200
    assert {locked.call("GET", path)[0] for path in ("/health", "/ready", "/docs", "/openapi.json")} == {200}
    status, headers, _ = locked.call("OPTIONS", "/v1/upload", headers={"origin": "https://x.example", **PREFLIGHT})
    assert status == 200
    assert "access-control-allow-credentials" not in headers
