"""A server behind that does what no server of ours does on demand, and a Voice server of this process before it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from running_server import free_port
from voice_stack.chat.app import create_app
from voice_stack.chat.settings import ChatSettings
from voice_stack.core.http.connections import ConnectionBounds, bounded_by

MIB = 1 << 20
JSON_401 = b'{"error": {"message": "Not you.", "type": "invalid_request_error", "param": null, "code": "no"}}'


@dataclass
class OddServer:
    """What it heard; what it answers follows from the end of the path."""

    port: int
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    sent_bytes: int = 0
    lost: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def passed(self) -> list[str]:
        """The heads of what was passed on: the Voice server asks for models and voices in its own name, too."""
        return [head for head in list(self.heads) if "x-forwarded-for" in head]

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with connection, suppress(OSError), connection.makefile("rb") as reader:
            while self._answer(connection, reader.readline, reader.read):
                pass

    def _answer(self, connection: socket.socket, readline, read) -> bool:  # type: ignore[no-untyped-def]
        lines = iter(readline, b"\r\n")
        head = "".join(line.decode("latin-1") for line in iter(lambda: next(lines, b""), b""))
        if not head:
            return False
        self.heads.append(head)
        name = head.split()[1].partition("?")[0].rpartition("/")[2]
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
        if name == "early":
            connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: %d\r\n\r\n" % len(JSON_401) + JSON_401)
            time.sleep(1)
            return False
        if name == "silent":
            connection.settimeout(20)
            while connection.recv(1 << 16):
                pass
            self.lost.set()
            return False
        read(int(fields.get("content-length", "0")))
        if name == "short":
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegin")
        elif name == "unended":
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n")
        elif name.startswith("large-"):
            connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {name[6:]}\r\n\r\n".encode())
            while self.sent_bytes < int(name[6:]):
                connection.sendall(bytes(MIB))
                self.sent_bytes += MIB
            return True
        elif name == "quits":  # without a word, as llama.cpp does
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        else:
            told = b"x-end: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nConnection: x-hop, keep-alive\r\nx-hop: 1\r\n"
            connection.sendall(
                b"HTTP/1.1 203 Fine\r\n" + told + b"keep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nok"
            )
            return True
        return False


@contextmanager
def run_odd_server() -> Iterator[OddServer]:
    """The server while the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = OddServer(listening.getsockname()[1])

        def listen() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=server.serve, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)


@dataclass
class OddSockets:
    """A server of WebSockets, and how its clients left."""

    url: str
    ends: list[tuple[int, str]] = field(default_factory=list)


@contextmanager
def run_odd_sockets() -> Iterator[OddSockets]:
    """One that says what it hears, closes with the code that it is told, and breaks off when told 0."""
    odd = OddSockets("")

    def talk(websocket: ServerConnection) -> None:
        try:
            while True:
                message = websocket.recv()
                if message == "0":
                    websocket.socket.shutdown(socket.SHUT_RDWR)
                elif isinstance(message, str):
                    websocket.close(int(message), "because")
                else:
                    websocket.send(message)
        except ConnectionClosed as error:
            if error.rcvd and error.rcvd_then_sent:
                odd.ends.append((error.rcvd.code, error.rcvd.reason))

    with serve(talk, "127.0.0.1", 0) as server:
        odd.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield odd
        server.shutdown()


@contextmanager
def run_chat(folder: Path, **settings: object) -> Iterator[str]:
    """A Voice server in a thread of this process; its address."""
    folder.mkdir(exist_ok=True)
    known = {"api_keys_file": folder / "keys.json", "db": folder / "chat.db", "spool_dir": folder}
    read = ChatSettings(_env_file=None, **known, **settings)
    config = uvicorn.Config(
        create_app(read),
        "127.0.0.1",
        free_port(),
        http=bounded_by(ConnectionBounds(100, 20.0, 60.0)),
        ws="none",
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        thread.join(10)


def header(head: str, name: str) -> str | None:
    """The value of a field in the head of a request."""
    fields = [line.partition(": ") for line in head.splitlines()[1:]]
    return next((value for told, _, value in fields if told.lower() == name), None)
