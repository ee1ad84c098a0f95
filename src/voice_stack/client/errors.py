"""Every error of the client: one tree.

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

from dataclasses import dataclass


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
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[VoiceStackClientError], args: tuple[object, ...], state: dict[str, object]
) -> VoiceStackClientError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


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
