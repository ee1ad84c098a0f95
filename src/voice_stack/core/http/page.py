"""The page for people: its files, what stands behind it, what a key may do. Open to all; what it calls is not."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, JsonValue
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from voice_stack.core.errors import NotFoundError
from voice_stack.core.http.context import KEY_PATH, PAGE_FILES, PAGE_PATH, Layer
from voice_stack.core.http.keys import KeyRing, NamedKey
from voice_stack.core.settings import ServerSettings

FOLDER = Path(__file__).parents[2] / "page"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
"""The page is its files and nothing else: no script or style in the HTML, nothing of another origin."""
_MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_INDEX = "index.html"
GLANCE_AGE_S = 2.0
Features = Callable[[], Awaitable[Mapping[str, JsonValue]]]
"""What a server can do that not every server of its kind can: names that the page knows -> values."""


class About(BaseModel):
    """What the page stands on."""

    name: str = Field(description="`PROJECT_NAME`.")
    server: str = Field(description="`asr`, `tts` or `chat`.")
    version: str
    features: dict[str, JsonValue] = Field(description="What not every server of its kind can do.")


class KeyFacts(BaseModel):
    """What a caller may do."""

    is_needed: bool = Field(description="Whether this server wants a key.")
    name: str | None = Field(None, description="Of the key that was sent.")
    scopes: tuple[str, ...] | None = Field(None, description="What it may do; null where no key is needed.")


@dataclass(frozen=True, slots=True)
class _PageFile:
    """A file as it is served; it is small and stays in memory."""

    content: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "_PageFile":
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, f"{_MEDIA_TYPES[Path(name).suffix]}; charset=utf-8", tag)

    def answer(self, headers: Headers) -> Response:
        """The whole file, or 304 for who has it; a proxy that compresses makes the tag a weak one."""
        known = (given.strip().removeprefix("W/") for given in headers.get("if-none-match", "").split(","))
        told = {"etag": self.tag, "content-security-policy": PAGE_POLICY}
        if self.tag in known:
            return Response(status_code=304, headers=told)
        return Response(self.content, headers=told, media_type=self.media_type)


@dataclass(slots=True)
class _Glance:
    """What a server can do, as it was some seconds ago at most: however many ask, servers behind are asked once."""

    ask: Features
    asked: asyncio.Future[Mapping[str, JsonValue]] | None = None
    asked_at_s: float = 0.0

    async def look(self) -> Mapping[str, JsonValue]:
        if self.asked is None or (self.asked.done() and time.monotonic() - self.asked_at_s > GLANCE_AGE_S):
            self.asked_at_s, self.asked = time.monotonic(), asyncio.ensure_future(self.ask())
        return await asyncio.shield(self.asked)


def create_page_router(
    settings: ServerSettings, *, server: str, version: str, ring: KeyRing, features: Features
) -> APIRouter:
    """The routes of the page.

    Args:
        settings: Of the server.
        server: Its name; the page shows the parts that this server has.
        version: Of Voice Stack.
        ring: The server's keys.
        features: What else this server can do.
    """
    router = APIRouter(include_in_schema=False)
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}
    index = Template(files.pop(_INDEX).decode())
    around = {"server": server, "prefix": settings.api_v1_str, "name": settings.project_name, "version": version}
    shown = {key: escape(value) for key, value in around.items()}
    pages = {
        needs_key: _PageFile.of(_INDEX, index.substitute(shown, needs_key=str(needs_key).lower()).encode())
        for needs_key in (False, True)
    }
    glance = _Glance(features)
    served = {name: _PageFile.of(name, content) for name, content in files.items()}

    async def show_page(request: Request) -> Response:
        await ring.refresh()
        return pages[ring.is_needed].answer(request.headers)

    async def show_about() -> About:
        return About(name=settings.project_name, server=server, version=version, features=dict(await glance.look()))

    async def show_key(request: Request) -> KeyFacts:
        key: NamedKey | None = request.scope["state"].get("api_key")
        if key is None:
            return KeyFacts(is_needed=ring.is_needed)
        return KeyFacts(is_needed=True, name=key.name, scopes=key.scopes)

    async def show_file(request: Request, name: str) -> Response:
        if name not in served:
            raise NotFoundError(f"The page has no file {name[:100]!r}.")
        return served[name].answer(request.headers)

    router.add_api_route(PAGE_PATH, show_page, methods=["GET", "HEAD"])
    router.add_api_route(KEY_PATH, show_key, methods=["GET"])
    router.add_api_route(f"{PAGE_FILES}about.json", show_about, methods=["GET"])
    router.add_api_route(f"{PAGE_FILES}{{name}}", show_file, methods=["GET", "HEAD"])
    return router


class PageAtRoot(Layer):
    """At `/` who asks for HTML gets the page; programs ask for none, and get what they always got there."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in {"GET", "HEAD"}:
            await self.app(scope, receive, send)
            return

        async def send_varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
            await send(message)

        if "text/html" in Headers(scope=scope).get("accept", "").lower():
            scope["path"] = PAGE_PATH
        await self.app(scope, receive, send_varied)
