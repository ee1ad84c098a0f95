"""Closing a connection so that the other side can still read what was said to it."""

import asyncio
from collections.abc import Callable

LINGER_S = 10.0
LINGER_BYTES = 16 * 1024 * 1024


class ClosingTransport(asyncio.Transport):
    """A transport whose `close` does not tear the connection down under the last answer, nor waits for ever.

    An answer that comes before the whole request was read would be lost: the system answers the bytes that nobody reads
    with a reset. So only the sending side is closed, and what comes is thrown away for a while (RFC 9112, section 9.6).

    Args:
        transport: The real one.
        is_request_open: Whether the rest of a request is still to come.
        flush_s: Longest time for the last bytes to be taken by the other side.
    """

    def __init__(self, transport: asyncio.Transport, is_request_open: Callable[[], bool], flush_s: float) -> None:
        super().__init__()
        self._transport, self._is_request_open, self._flush_s = transport, is_request_open, flush_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._discarded = 0
        self.lingers = False

    def close(self) -> None:
        if self._transport.is_closing():
            return
        if not self.lingers and self._is_request_open() and self._transport.can_write_eof():
            self.lingers = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._arm(LINGER_S, self.close)
            return
        self._transport.close()
        # What is still to be sent is waited for; not for ever, if nobody takes it.
        self._arm(self._flush_s, self._transport.abort)

    def discard(self, size: int) -> None:
        """Bytes have come that nobody wants any more."""
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.close()

    def lose(self) -> None:
        """The connection is gone: nothing is waited for, nothing kept."""
        self._stop_timer()
        self._is_request_open = bool

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def abort(self) -> None:
        self._transport.abort()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        self._transport.write_eof()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def _arm(self, delay_s: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(delay_s, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
