"""What a server says about trying again: `x-should-retry`, `retry-after-ms`, `Retry-After`."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_should_retry(headers: Mapping[str, str]) -> bool | None:
    """The server's own word on whether a retry makes sense; None when it said nothing.

    Args:
        headers: Response headers, looked up in lower case.
    """
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


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
