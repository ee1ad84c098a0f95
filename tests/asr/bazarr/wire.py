"""Bazarr's requests, byte for byte as its Whisper provider sends them, over plain sockets."""

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

BOUNDARY = "4eddeb5bb058f002137f243b0e5c0362"
PART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="audio_file"\r\n\r\n'.encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()
TIMEOUT_S = 60.0


@dataclass
class Answer:
    """What came back: the status, headers in lower case, the body, and whether it was ended or broken off."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = False
    pieces: list[bytes] = field(default_factory=list)


def request_head(port: int, target: str, size: int) -> bytes:
    """The head of a request, its headers in Bazarr's order; `size` is the film's, in bytes."""
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "User-Agent: Subliminal/2.1",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        f"Content-Length: {len(PART) + size + len(END)}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextmanager
def sent(port: int, target: str, film: bytes | Iterable[bytes], size: int | None = None) -> Iterator[socket.socket]:
    """A connection on which a film has been sent; closed at the end, whether the answer has come or not."""
    parts = [film] if isinstance(film, bytes) else film
    length = len(film) if isinstance(film, bytes) else size
    assert length is not None
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as sock:
        sock.sendall(request_head(port, target, length) + PART)
        for part in parts:
            sock.sendall(part)
        sock.sendall(END)
        yield sock


def post(port: int, target: str, film: bytes) -> Answer:
    """Send a film and read the whole answer."""
    with sent(port, target, film) as sock:
        return read_answer(sock)


def upload_s(port: int, target: str, size: int, block: bytes, then: float = 0.0) -> float:
    """Seconds it takes to hand over a film of `size` bytes made of equal blocks; the answer is not waited for."""
    started = time.monotonic()
    with sent(port, target, (block for _ in range(size // len(block))), size):
        taken = time.monotonic() - started
        time.sleep(then)
    return taken


def read_answer(sock: socket.socket) -> Answer:
    """Read an answer to its end, or to where the connection was closed."""
    stream: BinaryIO = sock.makefile("rb")
    answer = read_head(stream)
    if answer.headers.get("transfer-encoding") == "chunked":
        while (piece := read_chunk(stream)) is not None:
            if not piece:
                answer.is_complete = True
                break
            answer.pieces.append(piece)
        answer.body = b"".join(answer.pieces)
    else:
        length = int(answer.headers["content-length"])
        answer.body = stream.read(length)
        answer.is_complete = len(answer.body) == length
    return answer


def read_head(stream: BinaryIO) -> Answer:
    """Status line and headers."""
    line = stream.readline()
    answer = Answer(status=int(line.split()[1]))
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        answer.headers[name.lower()] = value.strip()
    return answer


def read_chunk(stream: BinaryIO) -> bytes | None:
    """The next chunk; empty for the final one, None where the connection ended without it."""
    line = stream.readline()
    if not line:
        return None
    size = int(line, 16)
    chunk: bytes = stream.read(size)
    stream.read(2)
    return chunk if len(chunk) == size else None
