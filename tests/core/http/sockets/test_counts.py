"""What is told of WebSockets: one line in the log, metrics by route and outcome, the id of the request."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from core.http.server.site import Site, serving, wait_until
from core.http.server.test_metrics import count, scrape
from core.http.sockets.doors import ask_refusal, open_socket

LogLines = Callable[[str], list[dict[str, object]]]


def more(site: Site, before: dict[object, float], name: str, **labels: str) -> float:
    return count(scrape(site), name, **labels) - count(before, name, **labels)  # type: ignore[arg-type]


def test_sockets_are_counted_by_route_and_outcome(spool_dir: Path, log_lines: LogLines) -> None:
    with serving(spool_dir) as site:
        before: dict[object, float] = dict(scrape(site))
        open_now = count(scrape(site), "voice_stack_websockets_open")
        with open_socket(site.port, "/v1/echo?secret=1", {"x-request-id": "socket-1"}) as sock:
            sock.send("one")
            assert sock.recv() == "one"
            assert count(scrape(site), "voice_stack_websockets_open") == open_now + 1
            assert count(scrape(site), "voice_stack_http_requests_in_progress") == 1
        lost = open_socket(site.port, "/v1/echo")
        lost.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        lost.socket.shutdown(socket.SHUT_RD)  # or who reads holds it open
        lost.socket.close()  # with a reset
        with open_socket(site.port, "/v1/fail/known") as sock, suppress(ConnectionClosed):
            sock.send("go on")
            sock.recv(10)
        ask_refusal(site.port, "/v1/refuse/raise")
        sockets = "voice_stack_websockets_total"
        for route, outcome in (("/v1/echo", "closed"), ("/v1/echo", "lost"), ("/v1/fail/{how}", "failed")):
            wait_until(lambda r=route, o=outcome: more(site, before, sockets, route=r, outcome=o) == 1)  # type: ignore[misc]
        assert more(site, before, "voice_stack_websocket_duration_seconds_count", route="/v1/echo") == 2
        assert more(site, before, "voice_stack_errors_total", code="bad_thing") == 1
        requests = "voice_stack_http_requests_total"
        wait_until(lambda: more(site, before, requests, route="/v1/refuse/{how}", status="5xx") == 1)
        assert more(site, before, requests, route="/v1/echo") == 0
        assert count(scrape(site), "voice_stack_websockets_open") == open_now
    (line,) = [line for line in log_lines("request") if line.get("request_id") == "socket-1"]
    assert (line["method"], line["path"], line["status"], line["code"]) == ("GET", "/v1/echo", 101, 1000)
    assert "secret" not in str(line)
    assert float(str(line["duration_s"])) > 0
