"""A token bucket: so many requests a minute on average, all of them at once if none came before."""

from dataclasses import dataclass

MINUTE_S = 60.0


@dataclass(slots=True)
class TokenBucket:
    """One caller's requests of the last minute. Times are seconds on any steady clock, the same for all calls.

    Attributes:
        limit: Requests a minute, above 0.
        tokens: Requests that may come at once, as of `filled_at`.
        filled_at: When that was.
    """

    limit: int
    tokens: float
    filled_at: float

    def take(self, now: float) -> bool:
        """Take a token; false if there is none."""
        self._fill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait_s(self, now: float) -> float:
        """Seconds until there is a token."""
        self._fill(now)
        return max(0.0, 1 - self.tokens) * MINUTE_S / self.limit

    def reset_s(self, now: float) -> float:
        """Seconds until the bucket is full."""
        self._fill(now)
        return (self.limit - self.tokens) * MINUTE_S / self.limit

    def _fill(self, now: float) -> None:
        self.tokens = min(float(self.limit), self.tokens + (now - self.filled_at) * self.limit / MINUTE_S)
        self.filled_at = now
