"""Large uploads on their way around Ray's memory: blocks in a folder that proxies and replicas share.

A proxy of Ray Serve takes a body as fast as the client sends it, and holds what the replica has not read; the replica
does the same again. Here the proxy writes a body to `SHARED_SPOOL_DIR` from its 256th KiB on, and sends the sizes of
the blocks in its place; the replica reads each block when it is told of it, and removes it.

Each block is a file of its own, written and closed before it is told of: that is when another machine sees all of a
file on NFS.

SHARED_SPOOL_DIR/voice-stack-....spool/            of one proxy, see `core.http.spool`
SHARED_SPOOL_DIR/voice-stack-....spool/ID.0        the first block of an upload
"""

import asyncio
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import InvalidRequestError, StorageFullError, VoiceStackError
from voice_stack.core.http.context import Layer, answer_error
from voice_stack.core.http.spool import own_folder, prepare_folder

VARIABLE = "SHARED_SPOOL_DIR"
HEADER = "x-voice-stack-blocks"
"""From the proxy to the replica: folder and id of the upload. One from a client is thrown away."""
SMALL_BYTES = 256 << 10
"""So much of a body goes through Ray: the fields of most forms, by which a replica may refuse the rest."""
BLOCK_BYTES = 2 << 20
BLOCK_S = 2.0
"""A slow upload is passed on so often, so that its replica sees that it is alive."""
_FULL = b"full"
_NAME = re.compile(r"voice-stack-\w+\.spool/[0-9a-f]{32}")


def shared_folder() -> Path | None:
    """`SHARED_SPOOL_DIR`; None where it is not set, and uploads go through Ray's memory."""
    folder = os.environ.get(VARIABLE, "").strip()
    return Path(folder).expanduser() if folder else None


def around_memory() -> list[Middleware]:
    """What Ray's proxies call for `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`."""
    folder = shared_folder()
    if folder is None:
        return []
    prepare_folder(folder)
    return [Middleware(BlockWriter, folder=folder)]


class BlockWriter:
    """In the proxy: bodies that may be large go to the folder while they arrive.

    No `Layer`: uvicorn takes its outermost application for ASGI 3 by `async` alone.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self.app, self.folder = app, folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        del headers[HEADER]
        if scope["type"] != "http" or not _may_be_large(headers):
            await self.app(scope, receive, send)
            return
        try:
            folder = await asyncio.to_thread(own_folder, self.folder)
        except OSError:
            folder = self.folder / "voice-stack-none.spool"  # where the first block fails, and that is told
        body = _LeavingBody(receive, folder / secrets.token_hex(16))
        headers[HEADER] = f"{folder.name}/{body.place.name}"
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.remove()


def _may_be_large(headers: Headers) -> bool:
    size = headers.get("content-length", "")
    return "transfer-encoding" in headers or (size.isdecimal() and int(size) > SMALL_BYTES)


def _block_path(place: Path, number: int) -> Path:
    return place.with_name(f"{place.name}.{number}")


class _LeavingBody:
    """One body on its way out of the proxy."""

    def __init__(self, receive: Receive, place: Path) -> None:
        self.place = place
        self._receive = receive
        self._small_left = SMALL_BYTES
        self._pending: list[bytes] = []
        self._pending_bytes = self._blocks = 0
        self._has_more, self._is_end = True, False

    async def receive(self) -> Message:
        """The first bytes as they come, then for each block its size."""
        if not self._has_more:
            return await self._receive()
        if self._small_left:
            message = await self._receive()
            return self._split(message) if message["type"] == "http.request" else message
        return await self._write_block()

    def _split(self, message: Message) -> Message:
        body, has_more = message.get("body", b""), message.get("more_body", False)
        here, rest = body[: self._small_left], body[self._small_left :]
        self._small_left -= len(here)
        self._add(rest)
        self._has_more = has_more or bool(rest)
        self._is_end = not has_more
        return {"type": "http.request", "body": here, "more_body": self._has_more}

    def _add(self, data: bytes) -> None:
        if data:
            self._pending.append(data)
            self._pending_bytes += len(data)

    async def _write_block(self) -> Message:
        started = time.monotonic()
        while not self._is_end and self._pending_bytes < BLOCK_BYTES:
            if self._pending and time.monotonic() - started > BLOCK_S:
                break
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._add(message.get("body", b""))
            self._is_end = not message.get("more_body", False)
        self._has_more = not self._is_end
        size = self._pending_bytes
        try:
            await asyncio.to_thread(self._write)
        except OSError:
            self._has_more = False
            return {"type": "http.request", "body": _FULL, "more_body": False}
        body = str(size).encode() if size else b""
        return {"type": "http.request", "body": body, "more_body": self._has_more}

    def _write(self) -> None:
        if self._pending:
            path = _block_path(self.place, self._blocks)
            self._blocks += 1
            with path.open("xb") as file:
                file.writelines(self._pending)
            self._pending, self._pending_bytes = [], 0

    def remove(self) -> None:
        """Remove the blocks that nobody has read."""
        for number in range(self._blocks):
            with suppress(OSError):
                _block_path(self.place, number).unlink(missing_ok=True)


class BlockReader(Layer):
    """In the replica: gives the application a body as the client sent it."""

    def __init__(self, app: ASGIApp, folder: Path | None) -> None:
        super().__init__(app)
        self.folder = folder

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = MutableHeaders(scope=scope)
        name = headers.get(HEADER)
        if name is None:
            await self.app(scope, receive, send)
            return
        del headers[HEADER]
        if self.folder is None or not _NAME.fullmatch(name):
            await answer_error(_explain(self.folder), scope)(scope, receive, send)
            return
        await self.app(scope, _ArrivingBody(receive, self.folder / name).receive, send)


def _explain(folder: Path | None) -> VoiceStackError:
    if folder is not None:
        return InvalidRequestError(f"The header {HEADER} is for Ray's proxies: do not send it.")
    return StorageFullError(
        f"This replica does not know where Ray's proxies keep uploads: set {VARIABLE} for it, too.",
        code="storage_unavailable",
    )


class _ArrivingBody:
    """One body on its way into the replica."""

    def __init__(self, receive: Receive, place: Path) -> None:
        self._receive, self._place = receive, place
        self._small_left = SMALL_BYTES
        self._blocks = 0

    async def receive(self) -> Message:
        """The next message.

        Raises:
            StorageFullError: The proxy could not write a block, or it is not here.
        """
        message = await self._receive()
        body = message.get("body", b"") if message["type"] == "http.request" else b""
        if not body:
            return message
        if self._small_left:
            self._small_left -= len(body)
            return message
        if body == _FULL:
            raise StorageFullError("There is no room for this upload in the folder that Ray's proxies keep uploads in.")
        return {**message, "body": await asyncio.to_thread(self._take, int(body))}

    def _take(self, size: int) -> bytes:
        path = _block_path(self._place, self._blocks)
        self._blocks += 1
        try:
            data = path.read_bytes()
            path.unlink()
        except OSError as error:
            data, reason = b"", error.strerror
        else:
            reason = f"{len(data)} bytes of {size}"
        if len(data) != size:
            raise StorageFullError(f"A part of this upload was lost: {reason}.", code="storage_unavailable")
        return data
