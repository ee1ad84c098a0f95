"""What went wrong, turned into the error tree: HTTP answers, broken connections, time-outs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx2

from voice_stack.client.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ErrorDetails,
    IncompleteResponseError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServerUnreachableError,
)
from voice_stack.client.retry_headers import parse_retry_after_s, parse_should_retry

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
        should_retry=parse_should_retry(response.headers),
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
