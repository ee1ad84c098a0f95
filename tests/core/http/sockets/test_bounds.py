"""Sockets and the bounds of connections: they count, they are not dropped to make room, who reads nothing is."""

import select
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.http.limits.raw_client import connect, read_error
from core.http.sockets.doors import open_socket, serving_doors
from core.http.sockets.test_wire import HANDSHAKE, count_connections, raw, read_all
from running_server import wait_until


def test_bounds_of_connections(tmp_path: Path) -> None:
    # A reader has five times as long as an upload, a head a third of it.
    with serving_doors(tmp_path, max_connections=8, upload_timeout_s=1) as server, ExitStack() as stack:
        sockets = [stack.enter_context(open_socket(server.port, "/v1/echo")) for _ in range(5)]
        for _ in range(12):  # more than there is room for: the idle ones make it
            stack.enter_context(connect(server.port))
        sockets += [stack.enter_context(open_socket(server.port, "/v1/echo")) for _ in range(3)]
        with connect(server.port) as sock:
            sock.sendall(HANDSHAKE % b"echo")
            status, _, told = read_error(sock)
            assert (status, told["code"]) == (503, "overloaded")
        for number, one in enumerate(sockets):
            one.send(str(number))
            assert one.recv(5) == str(number)
        for one in sockets:
            one.close()
        with connect(server.port) as half:
            half.sendall((HANDSHAKE % b"echo")[:60])
            half.settimeout(5)
            assert read_all(half).startswith(b"HTTP/1.1 408 ")
        stack.close()
        with raw(server.port, b"flood", receive_buffer=4096):
            wait_until(lambda: count_connections(server) == 1, 15, "who reads nothing is cut off")


def test_who_is_sent_away_for_not_reading_is_cut_off_at_once(tmp_path: Path) -> None:
    with serving_doors(tmp_path) as server, raw(server.port, b"dismiss", receive_buffer=4096):
        wait_until(lambda: count_connections(server) == 2, 5, "it is there")
        wait_until(lambda: count_connections(server) == 1, 5, "it is gone")


@pytest.mark.alone
def test_half_messages_are_held_within_bounds(tmp_path: Path) -> None:
    with serving_doors(tmp_path) as server, ExitStack() as stack:
        sockets = [stack.enter_context(raw(server.port, b"deaf")) for _ in range(16)]
        for sock in sockets:
            sock.sendall(b"\x82\xff" + (20 << 20).to_bytes(8) + bytes(4) + bytes(19 << 20))
        ended, _, _ = select.select(sockets, [], [], 5)
        assert 0 < len(ended) < 8
        assert {int.from_bytes(sock.recv(4)[2:]) for sock in ended} == {1013}
        with open_socket(server.port, "/v1/echo") as small:
            small.send("small")
            assert small.recv(5) == "small"


def test_who_hangs_up_is_forgotten(tmp_path: Path) -> None:
    with serving_doors(tmp_path) as server:
        for path, how in ((b"echo", socket.SHUT_WR), (b"echo", socket.SHUT_RDWR), (b"flood", socket.SHUT_RDWR)):
            with raw(server.port, path) as sock:
                sock.shutdown(how)
                wait_until(lambda: count_connections(server) == 1, 5, "it is gone")
