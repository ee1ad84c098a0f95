"""The errors of limits: a branch of the tree in `voice_stack.core.errors`."""

from voice_stack.core.errors import VoiceStackError


class RequestTimeoutError(VoiceStackError):
    """The request came too slowly, or stopped in the middle."""

    status = 408
    type = "invalid_request_error"
    default_code = "request_timeout"


class TargetTooLongError(VoiceStackError):
    """The URL in the first line of the request is too long."""

    status = 414
    type = "invalid_request_error"


class HeadTooLargeError(VoiceStackError):
    """The head of the request, or what follows a chunked body, has too many header fields or too large ones."""

    status = 431
    type = "invalid_request_error"


class TooManyRequestsError(VoiceStackError):
    """This key or this client asks too often, or too much at once.

    Args:
        message: For the user.
        retry_after_s: When the same request may be taken.
        code: As in `VoiceStackError`.
    """

    status = 429
    type = "requests"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_429, (type(self), self.message, self.retry_after_s, self.code)


def _rebuild_429(
    cls: type[TooManyRequestsError], message: str, retry_after_s: float, code: str | None
) -> TooManyRequestsError:
    return cls(message, retry_after_s=retry_after_s, code=code)


class QueueFullError(TooManyRequestsError):
    """What is waiting already would hold this request up for longer than the operator allows."""

    type = "rate_limit_error"
    default_code = "queue_full"


class OverloadedError(VoiceStackError):
    """More clients are connected than the server can serve."""

    status = 503
    default_code = "overloaded"
    retry_after_s = 1.0


class WorkTimeoutError(VoiceStackError):
    """The operator's limit for a whole request has passed; the same request would take as long again."""

    status = 504
    default_code = "request_timeout"
    retryable = False
