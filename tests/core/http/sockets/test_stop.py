"""A server that stops: no new sockets, open ones told with 1001, and no wait for those that do not hear."""

import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from core.http.limits.raw_client import connect
from core.http.sockets.doors import ask_refusal, open_socket, serving_doors
from core.http.sockets.test_wire import HANDSHAKE, raw
from running_server import RunningServer, wait_until

SOON_S = 8.0
"""Two seconds on a machine that does nothing else; the grace for running work is ten."""


def expect_end(server: RunningServer, started: float) -> None:
    assert server.process.wait(20) == 0
    took_s = time.monotonic() - started
    log = server.log.read_text()
    print(f"stopped in {took_s:.1f} s")
    assert took_s < SOON_S, log
    assert "Traceback" not in log
    assert "Exception" not in log


def closed_with(sock: ClientConnection) -> tuple[list[str | bytes], int | None]:
    """What it still hears, and how it ends."""
    heard: list[str | bytes] = []
    try:
        while True:
            heard.append(sock.recv(10))
    except ConnectionClosed as closed:
        return heard, closed.rcvd and closed.rcvd.code


def test_open_sockets_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving_doors(tmp_path) as server, ExitStack() as stack:
        sockets = {
            path: stack.enter_context(open_socket(server.port, f"/v1/{path}"))
            for path in ("polite", "polite?2", "echo", "deaf")
        }
        stack.enter_context(raw(server.port, b"echo"))  # of a client that does not answer
        stack.enter_context(raw(server.port, b"flood", receive_buffer=4096))
        started = time.monotonic()
        server.process.terminate()
        heard = {path: closed_with(sock) for path, sock in sockets.items()}
        assert heard == {
            "polite": (["good bye"], 1001), "polite?2": (["good bye"], 1001), "echo": ([], 1001), "deaf": ([], 1001)
        }  # fmt: skip
        expect_end(server, started)
        told = [line for line in server.log.read_text().splitlines() if "path=/v1/polite" in line]
        assert all("status=101" in line and "code=1001" in line for line in told), told


def test_a_client_that_goes_on_sending_hears_the_end(tmp_path: Path) -> None:
    with serving_doors(tmp_path) as server, open_socket(server.port, "/v1/deaf") as sock:
        sock.send(b"x" * (1 << 20))
        server.process.terminate()
        with suppress(ConnectionClosed):
            while True:
                sock.send(b"x" * 4800)
                time.sleep(0.02)
        assert closed_with(sock) == ([], 1001)


def test_no_socket_is_opened_while_the_server_stops(tmp_path: Path) -> None:
    with serving_doors(tmp_path, shutdown_grace_s=0.5) as server, server.http() as client:
        # A socket on its way is work: its upgrade is answered when the grace is over.
        with connect(server.port) as late:
            late.sendall(HANDSHAKE % b"echo?wait_s=60")
            server.process.terminate()
            wait_until(lambda: client.get("/ready").status_code == 503, 5, "the stop has begun")
            wait_until(lambda: _refuses(server), 5, "nothing new is taken")
            status, answered, told = ask_refusal(server.port, "/v1/echo")
            assert (status, told["code"]) == (503, "shutting_down")
            assert int(answered["retry-after"]) >= 1
            assert answered["connection"] == "close"
            late.settimeout(10)
            assert b"HTTP/1.1 503 " in late.recv(100)
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.log.read_text()


def _refuses(server: RunningServer) -> bool:
    try:
        open_socket(server.port, "/v1/whoami").close()
    except InvalidStatus:
        return True
    return False


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with serving_doors(tmp_path, shutdown_delay_s=600) as server, open_socket(server.port, "/v1/echo") as sock:
        server.process.terminate()
        time.sleep(0.3)
        sock.send("still")
        assert sock.recv(5) == "still", "while others look for another server"
        server.process.send_signal(signal.SIGINT)
        server.process.wait(20)
