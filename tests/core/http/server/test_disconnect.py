"""Clients that go away."""

import time
from collections.abc import Callable

from core.http.server.forms import part
from core.http.server.site import MIB, Site, spool_is_empty, wait_until


def test_disconnect_in_mid_upload_removes_the_file(
    site: Site, log_lines: Callable[[str], list[dict[str, object]]]
) -> None:
    sock = site.connect(
        "POST /v1/upload HTTP/1.1\nHost: x\nContent-Type: multipart/form-data; boundary=BB\nContent-Length: 8000000\n\n"
    )
    sock.sendall(part("file", b"x" * 3 * MIB, filename="a.wav"))
    wait_until(lambda: not spool_is_empty(site))
    sock.close()
    wait_until(lambda: spool_is_empty(site) and bool(log_lines("request")))
    (line,) = log_lines("request")
    assert line["aborted"] is True
    assert log_lines("request failed") == []


def test_disconnect_cancels_the_work(site: Site, log_lines: Callable[[str], list[dict[str, object]]]) -> None:
    sock = site.connect("GET /v1/slow HTTP/1.1\nHost: x\n\n")
    time.sleep(0.2)
    assert not site.cancelled.is_set()
    sock.close()
    assert site.cancelled.wait(5)
    wait_until(lambda: bool(log_lines("request")))
    assert log_lines("request")[0]["aborted"] is True
    assert site.call("GET", "/v1/slow?seconds=0.01")[::2] == (200, b'{"result":"done"}')
