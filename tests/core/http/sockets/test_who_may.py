"""Who may open a WebSocket: everything that a request has to pass is before a socket, too, and told instead of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from core.http.server.site import KEY, Site, error_of, serving, wait_until
from core.http.sockets.doors import ask_refusal, open_socket
from voice_stack.core.http.keys import KeyFile, make_key

EVIL = "https://evil.example"
FRIEND = "https://app.example"
LogLines = Callable[[str], list[dict[str, object]]]


def whoami(site: Site, headers: dict[str, str] | None = None, offered: tuple[str, ...] = ()) -> dict[str, object]:
    with open_socket(site.port, "/v1/whoami", headers, offered) as sock:
        seen: dict[str, object] = json.loads(sock.recv())
        return {**seen, "chosen": sock.subprotocol, "answered": str(sock.response and sock.response.headers)}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def offer(key: str) -> tuple[str, ...]:
    return ("realtime", f"openai-insecure-api-key.{key}", "openai-organization.x")


def test_a_key_comes_in_a_header_or_among_the_subprotocols(spool_dir: Path, log_lines: LogLines) -> None:
    with serving(spool_dir, api_keys=[KEY]) as site:
        for headers, offered in ((bearer(KEY), ()), ({}, offer(KEY)), (bearer(KEY), offer("another"))):
            seen = whoami(site, headers, offered)
            assert seen["key"] == "API_KEYS[1]"
            assert seen["chosen"] == ("realtime" if offered else None)
            assert "insecure" not in str({**seen, "headers": {**dict(seen["headers"]), "authorization": ""}})  # type: ignore[call-overload]
            assert offered == () or seen["offered"] == ["realtime", "openai-organization.x"]
        for headers, offered in (
            ({}, ()), ({}, ("realtime",)), (bearer("wrong-key-123456"), ()), ({}, offer("wrong-key-123456")),
            (bearer("wrong-key-123456"), offer(KEY)), ({"authorization": f"Basic {KEY}"}, ()), ({}, offer("")),
        ):  # fmt: skip
            status, answered, told = ask_refusal(site.port, "/v1/whoami", headers, offered)
            assert (status, told["code"], answered["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
            assert "wrong-key-123456" not in str(told)
        wait_until(lambda: len(log_lines("request")) >= 10)
    told = str(log_lines("request"))
    assert KEY not in told
    assert "wrong-key" not in told


def test_a_key_needs_the_scope_and_its_time(spool_dir: Path, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    (tts, tts_key), (old, old_key), (asr, asr_key) = (
        make_key("speaker", ["tts"]), make_key("old", ["asr"], expires_at=1), make_key("listener", ["asr"]),
    )  # fmt: skip
    for key in (tts_key, old_key, asr_key):
        file.add(key)
    with serving(spool_dir, api_keys_file=file.path) as site:
        for headers, offered in ((bearer(tts), ()), ({}, offer(tts))):
            status, _, told = ask_refusal(site.port, "/v1/whoami", headers, offered)
            assert (status, told["code"]) == (403, "missing_scope")
        assert ask_refusal(site.port, "/v1/whoami", {}, offer(old))[2]["code"] == "expired_api_key"
        assert whoami(site, {}, offer(asr))["key"] == "listener"


def test_a_key_that_nobody_needs_is_not_echoed_either(spool_dir: Path) -> None:
    with serving(spool_dir) as site:
        seen = whoami(site, {}, offer("unused"))
        assert (seen["key"], seen["chosen"]) == (None, "realtime")
        assert "unused" not in str(seen)
        assert whoami(site, {}, ("other",))["chosen"] is None


def test_a_page_of_another_origin_opens_nothing_without_a_key(spool_dir: Path) -> None:
    with serving(spool_dir, cors_origins=[FRIEND]) as site:
        for headers in (
            {"origin": EVIL}, {"origin": "null"}, {"origin": "http://localhost:3000"},
            {"origin": EVIL, "sec-fetch-site": "cross-site", "sec-fetch-mode": "websocket"},
            {"origin": f"http://127.0.0.1:{site.port}", "sec-fetch-site": "cross-site"},
        ):  # fmt: skip
            status, _, told = ask_refusal(site.port, "/v1/whoami", headers)
            assert (status, told["code"]) == (403, "origin_not_allowed"), headers
        for headers in ({}, {"origin": FRIEND}, {"origin": f"http://127.0.0.1:{site.port}"}):
            assert whoami(site, headers)["key"] is None
    with serving(spool_dir, api_keys=[KEY]) as site:
        assert whoami(site, {"origin": EVIL}, offer(KEY))["key"] == "API_KEYS[1]"


def test_names_paths_and_proxies(spool_dir: Path) -> None:
    with serving(spool_dir) as site:
        assert ask_refusal(site.port, "/v1/whoami", {"host": "evil.example"})[2]["code"] == "host_not_allowed"
        for path in ("/v1/nothing", "/health", "/v1/upload", "/", "/docs", "/v1/whoami/"):
            status, _, told = ask_refusal(site.port, path)
            assert (status, told["type"]) == (404, "invalid_request_error"), path
            assert path in str(told["message"])
    settings = {"trusted_proxies": ["127.0.0.1"], "root_path": "/asr", "allowed_hosts": ["asr.example"]}
    with serving(spool_dir, **settings) as site:
        forwarded = {"x-forwarded-for": "198.51.100.7", "x-forwarded-host": "asr.example"}
        for proto in ("https", "wss"):
            seen = whoami(site, {**forwarded, "x-forwarded-proto": proto})
            assert (seen["client"], seen["url"]) == ("198.51.100.7", "wss://asr.example/asr/v1/whoami")
        with open_socket(site.port, "/asr/v1/number?value=7", forwarded) as sock:
            assert sock.recv() == "7"
        assert ask_refusal(site.port, "/asr/v1/nothing", forwarded)[0] == 404
        assert ask_refusal(site.port, "/v1/whoami", {**forwarded, "x-forwarded-host": "evil.example"})[0] == 400


def test_a_request_that_opens_no_socket_is_told_how(spool_dir: Path) -> None:
    with serving(spool_dir) as site:
        old = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "8"}
        for headers in ({}, {**old, "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}, {**old, "upgrade": "h2c"}):
            reply = site.call("GET", "/v1/echo", headers=headers)
            assert (reply[0], reply[1]["upgrade"], reply[1]["sec-websocket-version"]) == (426, "websocket", "13")
            assert "GET /v1/echo" in str(error_of(reply)["message"])
        assert site.call("POST", "/v1/echo", b"x")[0] == 426


def test_who_asks_too_often_or_holds_too_many(spool_dir: Path) -> None:
    with (
        serving(spool_dir, requests_at_once_per_client=2) as site,
        open_socket(site.port, "/v1/echo") as first,
        open_socket(site.port, "/v1/echo"),
    ):
        status, answered, told = ask_refusal(site.port, "/v1/echo")
        assert (status, told["code"]) == (429, "too_many_open_requests")
        assert int(answered["retry-after"]) >= 1
        assert site.call("GET", "/v1/whoami")[0] == 429, "a socket counts like a request"
        first.close()
        wait_until(lambda: site.call("GET", "/v1/whoami")[0] == 200)
    with serving(spool_dir, requests_per_minute_per_client=2) as site:
        for left in ("1", "0"):
            with open_socket(site.port, "/v1/echo") as sock:
                assert sock.response is not None
                assert sock.response.headers["x-ratelimit-remaining-requests"] == left
        status, answered, told = ask_refusal(site.port, "/v1/echo")
        assert (status, told["type"], told["code"]) == (429, "requests", "rate_limit_exceeded")
        assert int(answered["retry-after"]) >= 1


def test_a_route_refuses_in_its_own_words(spool_dir: Path, log_lines: LogLines) -> None:
    with serving(spool_dir) as site:
        for how in ("call", "raise"):
            status, answered, told = ask_refusal(site.port, f"/v1/refuse/{how}")
            assert (status, told["code"], answered["retry-after"]) == (503, "overloaded", "1")
        status, _, told = ask_refusal(site.port, "/v1/refuse/close")
        assert (status, told["message"]) == (403, "Not you.")
        status, answered, told = ask_refusal(site.port, "/v1/refuse/bug")
        assert (status, "secret" in str(told)) == (500, False)
        assert answered["x-request-id"] in str(told["message"])
        assert ask_refusal(site.port, "/v1/number?value=x")[0] == 400
        assert ask_refusal(site.port, "/v1/number")[0] == 400
        for how, code, reason in (
            ("known", 1008, "bad_thing"), ("busy", 1013, "overloaded"), ("bug", 1011, "server_error")
        ):  # fmt: skip
            with open_socket(site.port, f"/v1/fail/{how}", {"x-request-id": f"fail-{how}"}) as sock:
                assert sock.response is not None
                assert sock.response.headers["x-request-id"] == f"fail-{how}"
                sock.send("go on")
                with pytest.raises(ConnectionClosed) as caught:
                    sock.recv()
                assert caught.value.rcvd is not None
                assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)
        wait_until(lambda: any(line.get("request_id") == "fail-bug" for line in log_lines("request")))
    ended = {line["request_id"]: line for line in log_lines("request") if "fail-" in str(line["request_id"])}
    assert {line["code"] for line in ended.values()} == {1008, 1011, 1013}
    assert all((line["status"], line["path"]) == (101, f"/v1/{id_.replace('-', '/')}") for id_, line in ended.items())
