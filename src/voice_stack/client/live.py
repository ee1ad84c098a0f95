"""What goes both ways at once, over a WebSocket: the package `websockets` is needed for it."""

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import httpx2

from voice_stack.client.errors import IncompleteResponseError, RequestTimeoutError, ServerUnreachableError, api_error
from voice_stack.client.events import missing_end, parse_event

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection as AsyncConnection
    from websockets.sync.client import ClientConnection

PieceT = TypeVar("PieceT")
ItemT = TypeVar("ItemT")
ConnectionT = TypeVar("ConnectionT")
Pieces: TypeAlias = Iterable[PieceT]
"""A text or sound, cut anywhere."""
AsyncPieces: TypeAlias = AsyncIterable[PieceT] | Iterable[PieceT]
"""The same for asyncio; the pieces of a plain iterable should be there already: nothing else runs while it waits."""


class Talk(ABC, Generic[PieceT, ItemT]):
    """What is said and heard, whichever socket it goes through.

    Args:
        request: Where to, and with which headers.
        path: Below that.

    Attributes:
        beginning: Messages to send first; `ending` those for the end.
        failure: What the pieces ended with if they did not end well, or what the server said.
        is_over: The last message was read.
    """

    beginning: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()

    def __init__(self, request: httpx2.Request, path: str = "") -> None:
        self.answer = httpx2.Response(200, request=request)
        self.url = f"{request.url.copy_with(scheme=request.url.scheme.replace('http', 'ws'))}{path}"
        kept = {"authorization", "user-agent", "x-request-id"}
        self._headers = {name: value for name, value in request.headers.items() if name in kept}
        self._timeout_s: float | None = request.extensions["timeout"]["connect"]
        self.failure: BaseException | None = None
        self.is_over = False

    def open(self, connect: Callable[..., ConnectionT]) -> ConnectionT:
        """The connection; sound is taken as slowly as it is played, and the answer to a ping comes behind it."""
        headers, timeout_s = self._headers, self._timeout_s
        return connect(self.url, additional_headers=headers, open_timeout=timeout_s, max_size=None, ping_timeout=None)

    @abstractmethod
    def messages(self, piece: PieceT) -> Iterator[str]:
        """A piece as messages."""

    @abstractmethod
    def read(self, message: str | bytes) -> Iterator[ItemT]:
        """What there is in a message; raises `VoiceStackClientError`."""

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turn what goes wrong with the connection into the tree of errors; what the pieces end with, stays."""
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

        request = self.answer.request
        request_id = request.headers.get("x-request-id")
        try:
            yield
        except InvalidStatus as error:
            said = error.response
            headers = list(said.headers.raw_items())
            answer = httpx2.Response(
                said.status_code, headers=headers, content=bytes(said.body or b""), request=request
            )
            raise api_error(answer) from error
        except (OSError, InvalidHandshake) as error:
            if error is self.failure:
                raise
            if isinstance(error, TimeoutError):
                raise RequestTimeoutError(f"{self.url}: no answer in time", request_id=request_id) from error
            message = f"no connection to {self.url} ({error}); is the server running?"
            raise ServerUnreachableError(message, request_id=request_id) from error
        except ConnectionClosed as error:
            message = f"{self.url}: the connection broke off ({error})"
            raise self.failure or IncompleteResponseError(message, request_id=request_id) from error

    def why_ended(self) -> BaseException:
        """Why the connection was closed before the last message."""
        return self.failure or missing_end(self.answer, "the end of the session")


class SpeechTalk(Talk[str, bytes]):
    """A text that is still being written; `request` is the one for a text that is complete."""

    ending = (json.dumps({"type": "end"}),)

    def __init__(self, request: httpx2.Request) -> None:
        super().__init__(request, "/stream")
        self.beginning = (json.dumps({"type": "start", **json.loads(request.content), "input": None}),)

    def messages(self, piece: str) -> Iterator[str]:
        """A piece of the text."""
        yield json.dumps({"type": "text", "delta": piece})

    def read(self, message: str | bytes) -> Iterator[bytes]:
        """The sound in a message.

        Raises:
            ApiError: The server says that it failed.
            InvalidResponseError: It is no JSON object.
        """
        if isinstance(message, bytes):
            yield message
        else:
            self.is_over = parse_event(message, self.answer).get("type") == "done"


class AsyncSocket(Generic[PieceT, ItemT]):
    """For asyncio."""

    def __init__(self, talk: Talk[PieceT, ItemT]) -> None:
        self._talk = talk

    async def items(self, pieces: AsyncPieces[PieceT]) -> AsyncGenerator[ItemT, None]:
        """Send the pieces; yield what comes meanwhile, and after them."""
        from websockets.asyncio.client import connect

        talk = self._talk
        with talk.failing():
            async with talk.open(connect) as socket:
                feeding = asyncio.create_task(self._feed(socket, pieces))
                try:
                    async for message in socket:
                        for item in talk.read(message):
                            yield item
                        if talk.is_over:
                            return
                    raise talk.why_ended()
                finally:
                    feeding.cancel()
                    await socket.close()

    async def _feed(self, socket: "AsyncConnection", pieces: AsyncPieces[PieceT]) -> None:
        from websockets.exceptions import ConnectionClosed

        talk = self._talk
        try:
            for message in talk.beginning:
                await socket.send(message)
            if isinstance(pieces, AsyncIterable):
                async for piece in pieces:
                    for message in talk.messages(piece):
                        await socket.send(message)
            else:
                for message in chain.from_iterable(map(talk.messages, pieces)):
                    await socket.send(message)
                    await asyncio.sleep(0)  # what comes meanwhile is read
            for message in talk.ending:
                await socket.send(message)
        except ConnectionClosed:
            pass  # whoever reads is told why
        except Exception as error:  # noqa: BLE001 - whatever the pieces end with is the reader's
            talk.failure = error
            await socket.close()


class Socket(Generic[PieceT, ItemT]):
    """For blocking code; the pieces are read in a thread of their own."""

    def __init__(self, talk: Talk[PieceT, ItemT]) -> None:
        self._talk = talk

    def items(self, pieces: Pieces[PieceT]) -> Generator[ItemT, None, None]:
        """Send the pieces; yield what comes meanwhile, and after them."""
        from websockets.sync.client import connect

        talk = self._talk
        with talk.failing(), talk.open(connect) as socket:
            threading.Thread(target=self._feed, args=(socket, pieces), daemon=True).start()
            try:
                for message in socket:
                    yield from talk.read(message)
                    if talk.is_over:
                        return
                raise talk.why_ended()
            finally:
                socket.close()

    def _feed(self, socket: "ClientConnection", pieces: Pieces[PieceT]) -> None:
        from websockets.exceptions import ConnectionClosed

        talk = self._talk
        try:
            for message in chain(talk.beginning, chain.from_iterable(map(talk.messages, pieces)), talk.ending):
                socket.send(message)
        except ConnectionClosed:
            pass  # whoever reads is told why
        except Exception as error:  # noqa: BLE001 - whatever the pieces end with is the reader's
            talk.failure = error
            socket.close()
