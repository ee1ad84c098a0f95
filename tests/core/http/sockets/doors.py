"""Small WebSocket routes, and a server process that has them: `python -m core.http.sockets.doors PORT SETTINGS`."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fastapi import APIRouter, WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from running_server import RunningServer, free_port, wait_until
from voice_stack.core.errors import InvalidRequestError, OverloadedError
from voice_stack.core.http.app import create_server
from voice_stack.core.http.context import add_log_fields
from voice_stack.core.http.serving import build_server
from voice_stack.core.http.sockets import refuse
from voice_stack.core.logging import configure_logging
from voice_stack.core.settings import ServerSettings

TESTS = Path(__file__).parents[3]


def socket_routes() -> APIRouter:  # noqa: C901 - a list of small endpoints
    router = APIRouter()

    @router.websocket("/echo")
    async def echo(websocket: WebSocket, wait_s: float = 0) -> None:
        await asyncio.sleep(wait_s)
        await websocket.accept()
        async for message in _messages(websocket):
            await websocket.send({**message, "type": "websocket.send"})

    @router.websocket("/whoami")
    async def whoami(websocket: WebSocket) -> None:
        key = getattr(websocket.state, "api_key", None)
        await websocket.accept()
        add_log_fields(websocket, note="seen")
        seen = {"key": key.name if key else None, "client": websocket.client and websocket.client.host}
        offered = websocket.scope["subprotocols"]
        await websocket.send_json(
            {**seen, "url": str(websocket.url), "offered": offered, "headers": dict(websocket.headers)}
        )

    @router.websocket("/polite")
    async def polite(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.app.state.stopping.wait()
        await websocket.send_text("good bye")
        await websocket.close(1001)

    @router.websocket("/deaf")
    async def deaf(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(3600)

    @router.websocket("/flood")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_bytes(bytes(1 << 16))

    @router.websocket("/dismiss")
    async def dismiss(websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await websocket.send_bytes(bytes(1 << 16))
        await websocket.close(1008)

    @router.websocket("/refuse/{how}")
    async def refused(websocket: WebSocket, how: str) -> None:
        error = OverloadedError("Not now.")
        if how == "call":
            await refuse(websocket.scope, websocket.receive, websocket._send, error)
        elif how == "raise":
            raise error
        elif how == "bug":
            raise ZeroDivisionError("secret detail")
        else:
            await websocket.close(1008, "Not you.")

    @router.websocket("/fail/{how}")
    async def fail(websocket: WebSocket, how: str) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise {
            "known": InvalidRequestError("bad", code="bad_thing"),
            "busy": OverloadedError("busy"),
            "bug": ZeroDivisionError("secret detail"),
        }[how]

    @router.websocket("/number")
    async def number(websocket: WebSocket, value: int) -> None:
        await websocket.accept()
        await websocket.send_text(str(value))

    return router


async def _messages(websocket: WebSocket):  # type: ignore[no-untyped-def]
    while (message := await websocket.receive())["type"] == "websocket.receive":
        yield message


Refusal = tuple[int, dict[str, str], dict[str, str | None]]


def open_socket(
    port: int, path: str, headers: Mapping[str, str] | None = None, offered: tuple[str, ...] = (), **options: object
) -> ClientConnection:
    """A client's socket."""
    subprotocols = [Subprotocol(name) for name in offered]
    return connect(
        f"ws://127.0.0.1:{port}{path}",
        additional_headers=dict(headers or {}),
        subprotocols=subprotocols or None,
        proxy=None,
        max_size=None,
        **options,  # type: ignore[arg-type]
    )


def ask_refusal(
    port: int, path: str, headers: Mapping[str, str] | None = None, offered: tuple[str, ...] = ()
) -> Refusal:
    """Status, headers and error of an upgrade that is refused in OpenAI's form."""
    try:
        with open_socket(port, path, headers, offered):
            raise AssertionError(f"{path} is open")
    except InvalidStatus as error:
        response = error.response
    answered = {name.lower(): value for name, value in response.headers.raw_items()}
    assert answered["content-type"] == "application/json", answered
    assert answered["x-request-id"]
    assert answered["x-content-type-options"] == "nosniff"
    told: dict[str, str | None] = json.loads(response.body or b"")["error"]
    assert set(told) == {"message", "type", "param", "code"}
    return response.status_code, answered, told


@contextmanager
def serving_doors(folder: Path, **settings: object) -> Iterator[RunningServer]:
    """A server process with these routes, and nothing else, as `voice-stack asr` would run it."""
    port, log, spool_dir = free_port(), folder / "doors.log", folder / "spool"
    spool_dir.mkdir()
    known = {"spool_dir": str(spool_dir), "api_keys_file": str(folder / "keys.json"), **settings}
    command = [sys.executable, "-m", "core.http.sockets.doors", str(port), json.dumps(known)]
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    server = RunningServer(port, process, log, spool_dir)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), 30, "start")
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    port, settings = int(sys.argv[1]), ServerSettings(_env_file=None, **json.loads(sys.argv[2]))
    configure_logging("INFO", "text", "asr")
    app = create_server(
        settings, server="asr", title="Doors", routers=[socket_routes()], readiness=lambda: None, status=dict
    )
    running = build_server(app, app.state.stopping, settings)
    app.state.count_connections = lambda: len(running.server_state.connections)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # which uvicorn raises again at its end
    running.run(sockets=[socket.create_server(("127.0.0.1", port))])


if __name__ == "__main__":
    main()
