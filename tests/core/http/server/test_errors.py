"""Every failure is an answer in OpenAI's shape."""

import http.client
import re
from collections.abc import Callable

import pytest

from core.http.server.site import Site, error_of


@pytest.mark.parametrize("path", ["/nowhere", "/v1/json/", "/health/"])
def test_unknown_url(site: Site, path: str) -> None:
    reply = site.call("GET", path)
    error = error_of(reply)
    assert (reply[0], error["type"]) == (404, "invalid_request_error")
    assert f"GET {path}." in str(error["message"])


def test_wrong_method_names_the_right_one(site: Site) -> None:
    reply = site.call("GET", "/v1/json")
    assert (reply[0], reply[1]["allow"]) == (405, "POST")
    assert "POST" in str(error_of(reply)["message"])


def test_validation_names_field_and_value(site: Site) -> None:
    reply = site.call("POST", "/v1/point", '{"x": "seven"}', {"content-type": "application/json"})
    error = error_of(reply)
    assert (reply[0], error["param"]) == (400, "x")
    assert "seven" in str(error["message"])
    missing = site.call("POST", "/v1/point", "{}", {"content-type": "application/json"})
    assert (missing[0], error_of(missing)["param"]) == (400, "x")
    broken = site.call("POST", "/v1/point", "{", {"content-type": "application/json"})
    assert (broken[0], error_of(broken)["param"]) == (400, None)


def test_known_errors_keep_status_code_and_headers(site: Site) -> None:
    load = site.call("GET", "/v1/known/load")
    assert (load[0], load[1]["x-should-retry"], error_of(load)["code"]) == (500, "false", "model_load_failed")
    stop = site.call("GET", "/v1/known/stop")
    assert (stop[0], error_of(stop)["code"]) == (503, "shutting_down")


def test_unexpected_failure_is_an_envelope_without_details(
    site: Site, log_lines: Callable[[str], list[dict[str, object]]]
) -> None:
    reply = site.call("GET", "/v1/explode", headers={"x-request-id": "find-me"})
    error = error_of(reply)
    assert (reply[0], reply[1]["x-request-id"], error["type"]) == (500, "find-me", "server_error")
    assert "secret detail" not in str(error)
    assert "find-me" in str(error["message"])
    (failure,) = log_lines("request failed")
    assert "secret detail" in str(failure["exception"])
    assert failure["request_id"] == "find-me"


def test_failure_in_mid_stream_breaks_the_connection(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("GET", "/v1/stream")
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert caught.value.partial == b"first"
    connection.close()


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "id;drop", "\xe9"])
def test_hostile_request_id_is_replaced(site: Site, bad: str) -> None:
    given = site.call("GET", "/health", headers={"x-request-id": bad})[1]["x-request-id"]
    assert re.fullmatch("req_[0-9a-f]{32}", given)
