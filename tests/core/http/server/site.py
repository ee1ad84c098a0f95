"""A running server with small endpoints, and what the tests ask of it and its answers."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from core.http.sockets.doors import socket_routes
from running_server import list_uploads
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError, ShuttingDownError
from voice_stack.core.http.app import create_server
from voice_stack.core.http.connections import ConnectionBounds, bounded_by
from voice_stack.core.http.context import add_log_fields
from voice_stack.core.http.streaming import finish_unless_disconnected
from voice_stack.core.http.uploads import receive_form, receive_json
from voice_stack.core.settings import ServerSettings

MIB = 1 << 20
CAP = 8 * MIB
KEY = "sk-voice-stack-secret-key"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """A running server and what its endpoints saw."""

    port: int
    spool_dir: Path
    reason: str | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    modes: list[int] = field(default_factory=list)

    def call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})  # type: ignore[arg-type]
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def connect(self, head: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        sock.sendall(head.replace("\n", "\r\n").encode())
        return sock


class Point(BaseModel):
    x: int


def routes(site: Site) -> APIRouter:  # noqa: C901 - a list of small endpoints
    router = APIRouter()

    @router.post("/upload")
    async def upload(request: Request, fail: bool = False, cap: int = CAP) -> dict[str, object]:
        async with receive_form(request, file_field="file", max_bytes=cap, spool_dir=site.spool_dir) as form:
            if fail:
                raise ModelNotFoundError("no such model")
            file = form.file
            if file is None:
                return {"fields": form.fields, "file": None}
            site.modes.append(file.path.stat().st_mode & 0o777)
            head = file.path.open("rb").read(20).decode("latin-1")
            size = file.path.stat().st_size
            add_log_fields(request, audio_s=1.5, note="two\nlines")
            return {"fields": form.fields, "file": [file.filename, file.content_type, file.size, size, head]}

    @router.post("/json")
    async def echo(request: Request, cap: int = 1000) -> object:
        return await receive_json(request, max_bytes=cap)

    @router.post("/point")
    async def point(value: Point) -> Point:
        return value

    @router.get("/whoami")
    async def whoami(request: Request) -> dict[str, object]:
        key = getattr(request.state, "api_key", None)
        limits = [key.name, key.requests_per_minute, key.jobs_at_once] if key else None
        client = request.client.host if request.client else None
        return {"client": client, "url": str(request.url), "key": limits}

    @router.get("/explode")
    async def explode() -> None:
        raise ZeroDivisionError("secret detail")

    @router.get("/known/{name}")
    async def known(name: str) -> None:
        raise {"load": ModelLoadError("broken weights"), "stop": ShuttingDownError("stopping")}[name]

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.sleep(0.05)
            raise ZeroDivisionError("in the middle")

        return StreamingResponse(parts())

    @router.get("/slow")
    async def slow(request: Request, seconds: float = 60) -> dict[str, str]:
        async def work() -> str:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                site.cancelled.set()
                raise
            return "done"

        return {"result": await finish_unless_disconnected(request, work())}

    return router


@contextmanager
def serving(
    spool_dir: Path, *, server: str = "asr", kind: type[ServerSettings] = ServerSettings, **settings: object
) -> Iterator[Site]:
    site = Site(0, spool_dir)
    keys_file = {"api_keys_file": spool_dir.with_suffix(".json")}
    app = create_server(
        kind(_env_file=None, **{**keys_file, **settings}),  # type: ignore[arg-type]
        server=server,
        title="Test",
        routers=[routes(site), socket_routes()],
        readiness=lambda: site.reason,
        status=lambda: {"jobs": 3, "background_jobs": {"queued": 0, "running": 0}},
    )
    running = uvicorn.Server(
        uvicorn.Config(
            app,
            http=bounded_by(ConnectionBounds(1000, 30.0, 30.0)),
            port=0,
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    wait_until(lambda: running.started)
    site.port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        running.should_exit = True
        thread.join(20)


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}


def error_of(reply: Reply) -> dict[str, str | None]:
    """The error of an answer, after checking that it has OpenAI's shape."""
    _, headers, body = reply
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    parsed = json.loads(body)
    assert set(parsed) == {"error"}
    assert set(parsed["error"]) == {"message", "type", "param", "code"}
    error: dict[str, str | None] = parsed["error"]
    return error


def spool_is_empty(site: Site) -> bool:
    return not list_uploads(site.spool_dir)
