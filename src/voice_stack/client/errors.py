"""Every error of the client, one tree, and what becomes one: HTTP answers, broken connections, time-outs.

VoiceStackClientError
├── ServerUnreachableError     no connection, or it broke before an answer came
├── RequestTimeoutError        connected, but nothing came within the time-out
├── IncompleteResponseError    the answer began and broke off
├── InvalidResponseError       an answer that is not in OpenAI's shape
└── ApiError                   the server said no
    ├── BadRequestError        400
    ├── AuthenticationError    401
    ├── NotFoundError          404
    ├── PayloadTooLargeError   413
    ├── RateLimitError         429
    └── ServerError            500 and above
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2


class VoiceStackClientError(Exception):
    """Base of the tree.

    Args:
        message: What happened.
        request_id: The server's `x-request-id`, or the one that was sent when no answer came.
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).__new__, (type(self), *self.args), self.__dict__


class ServerUnreachableError(VoiceStackClientError):
    """No connection to the server, or it broke before an answer came."""


class RequestTimeoutError(VoiceStackClientError):
    """The server was reached, but sent nothing for the length of the time-out."""


class IncompleteResponseError(VoiceStackClientError):
    """The answer began and broke off."""


class InvalidResponseError(VoiceStackClientError):
    """A successful answer that is not in the shape of OpenAI's API."""


@dataclass(frozen=True)
class ErrorDetails:
    """What an error body says; `type`, `param` and `code` are OpenAI's fields."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | None = None


class ApiError(VoiceStackClientError):
    """The server refused or failed; a status of 200 means that it failed in the middle of a stream.

    Args:
        status: HTTP status.
        details: What the body says.
        request_id: The server's `x-request-id`.
        retry_after_s: The wait that the server asks for, seconds.
        should_retry: The server's own word on whether a retry makes sense (`x-should-retry`), if it said one.
    """

    def __init__(
        self,
        status: int,
        details: ErrorDetails,
        *,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(f"{status}: {details.message}", request_id=request_id)
        self.status = status
        self.message = details.message
        self.type = details.type
        self.param = details.param
        self.code = details.code
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry


class BadRequestError(ApiError):
    """400: a field, or the audio itself, is wrong; `param` names the field."""


class AuthenticationError(ApiError):
    """401: no API key, or one that the server does not know."""


class NotFoundError(ApiError):
    """404: no such model or address."""


class PayloadTooLargeError(ApiError):
    """413: the file is larger than the server takes."""


class RateLimitError(ApiError):
    """429: too many requests; `retry_after_s` says when to come back."""


class ServerError(ApiError):
    """500 and above: the server, or a proxy before it, failed."""


def parse_retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The wait that the server asks for, seconds, 0 or more; None when it asks for none that can be read.

    Args:
        headers: Response headers, looked up in lower case.
        now: The time that a date in `Retry-After` counts from; the present when not given.
    """
    milliseconds = _parse_number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _parse_number(text)
    return seconds if seconds is not None else _parse_date_s(text, now or datetime.now(UTC))


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _parse_date_s(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # "-0000" says that the zone is unknown and gives a naive time; HTTP dates are UTC.
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


EXCERPT_LENGTH = 200

_CLASS_OF_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    404: NotFoundError,
    413: PayloadTooLargeError,
    429: RateLimitError,
}


def request_id_of(response: httpx2.Response) -> str | None:
    """The server's `x-request-id`, if it sent one."""
    value: str | None = response.headers.get("x-request-id")
    return value


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= EXCERPT_LENGTH else f"{flat[:EXCERPT_LENGTH]}..."


def parse_error_details(body: str, fallback: str) -> ErrorDetails:
    """Read OpenAI's `{"error": {...}}`, or make the best of what a proxy or another framework sent.

    Args:
        body: The error body as text, possibly empty or no JSON.
        fallback: The message when the body says nothing.
    """
    try:
        content: object = json.loads(body)
    except ValueError:
        return ErrorDetails(excerpt(body) or fallback)
    error = content.get("error", content) if isinstance(content, dict) else content
    if not isinstance(error, dict):
        return ErrorDetails(excerpt(error if isinstance(error, str) else body) or fallback)
    message = error.get("message")
    return ErrorDetails(
        message if isinstance(message, str) and message else excerpt(body),
        *(None if (value := error.get(key)) is None else str(value) for key in ("type", "param", "code")),
    )


def api_error(response: httpx2.Response) -> ApiError:
    """The exception for an answer whose body has been read and whose status is not 2xx."""
    status = response.status_code
    error_class = ServerError if status >= 500 else _CLASS_OF_STATUS.get(status, ApiError)
    return error_class(
        status,
        parse_error_details(response.text, fallback=response.reason_phrase or "no reason given"),
        request_id=request_id_of(response),
        retry_after_s=parse_retry_after_s(response.headers),
        should_retry={"true": True, "false": False}.get(response.headers.get("x-should-retry", "").strip().lower()),
    )


def _reason(error: httpx2.RequestError) -> str:
    # Some of them carry no text.
    return str(error) or type(error).__name__


@contextmanager
def sending(request: httpx2.Request) -> Iterator[None]:
    """Turn what goes wrong before an answer comes into this tree."""
    request_id = request.headers.get("x-request-id")
    server = f"{request.url.scheme}://{request.url.netloc.decode()}"
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
        message = f"no connection to {server} ({_reason(error)}); is the server running?"
        raise ServerUnreachableError(message, request_id=request_id) from error
    except httpx2.TimeoutException as error:
        message = f"{request.method} {request.url}: no answer in time ({_reason(error)}); give a larger timeout_s"
        raise RequestTimeoutError(message, request_id=request_id) from error
    except httpx2.RequestError as error:
        message = (
            f"{server} closed the connection without an answer ({_reason(error)}): it stopped, or refused the upload"
        )
        raise ServerUnreachableError(message, request_id=request_id) from error


@contextmanager
def receiving(response: httpx2.Response) -> Iterator[None]:
    """Turn what goes wrong while a body is read into this tree."""
    request_id = request_id_of(response)
    try:
        yield
    except httpx2.TimeoutException as error:
        message = f"{response.url}: the answer stopped and did not go on in time; give a larger timeout_s"
        raise RequestTimeoutError(message, request_id=request_id) from error
    except httpx2.RequestError as error:
        message = f"{response.url}: the answer broke off ({_reason(error)})"
        raise IncompleteResponseError(message, request_id=request_id) from error
