"""Whether to send a request again, and after how long: a pure decision."""

from voice_stack.client.errors import ApiError, IncompleteResponseError, ServerUnreachableError, VoiceStackClientError

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
JITTER = 0.25
MAX_RETRY_AFTER_S = 120.0
"""A server that asks for a longer wait is not waited for: the caller is told instead."""

_RETRIED_STATUSES = frozenset({408, 409, 429})


def is_retryable(error: VoiceStackClientError) -> bool:
    """Whether the same request may succeed a moment later.

    A time-out is not retried: the server was still at work, and would start the same work anew.
    """
    if not isinstance(error, ApiError):
        return isinstance(error, ServerUnreachableError | IncompleteResponseError)
    if error.should_retry is not None:
        return error.should_retry
    return error.status in _RETRIED_STATUSES or error.status >= 500


def retry_delay_s(error: VoiceStackClientError, attempt: int, *, max_retries: int, random_share: float) -> float | None:
    """The wait before the next attempt, seconds; None when there is to be none.

    Args:
        error: What the last attempt ended with.
        attempt: Its number, from 0.
        max_retries: How many attempts may follow the first.
        random_share: Uniform in 0..1; spreads out clients that failed together.
    """
    if attempt >= max_retries or not is_retryable(error):
        return None
    asked_s = error.retry_after_s if isinstance(error, ApiError) else None
    if asked_s is not None:
        return asked_s if asked_s <= MAX_RETRY_AFTER_S else None
    # 2 to the 5th passes the cap already; a larger exponent would only overflow.
    backoff_s = min(FIRST_BACKOFF_S * 2.0 ** min(attempt, 5), MAX_BACKOFF_S)
    return backoff_s * (1 - JITTER * random_share)
