"""Clients that no library would be: slow, deaf, half-finished."""

import http.client
import json
import socket
import time

Answer = tuple[int, dict[str, str], dict[str, str | None]]


def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    """A connection to a server of this machine; with a small buffer, little is taken that nobody reads."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", port))
    return sock


def send_slowly(sock: socket.socket, data: bytes, pause_s: float, limit_s: float = 60.0) -> int:
    """Send byte by byte until the other side has something to say; returns how many went out."""
    sock.setblocking(False)
    started, sent = time.monotonic(), 0
    while sent < len(data) and time.monotonic() - started < limit_s:
        try:
            if sock.recv(1, socket.MSG_PEEK) is not None:
                break
        except BlockingIOError:
            sent += sock.send(data[sent : sent + 1])
        time.sleep(pause_s)
    sock.settimeout(60)
    return sent


def ask_health(sock: socket.socket) -> int:
    """Ask whether the server lives and take the whole answer, so that the next request can follow; its status."""
    sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    answer.read()
    return answer.status


def read_error(sock: socket.socket) -> Answer:
    """The whole answer, which must be an error of OpenAI's shape and the last word of the connection."""
    data = b""
    while part := sock.recv(65_536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    error: dict[str, str | None] = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(status.split()[1]), headers, error
