"""The request rate of each token."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from sandboxer.errors import UsageError
from sandboxer.model.text import printable
from sandboxer.web.problems import HttpProblem, ProblemKind


class RateLimit:
    """Limit of the requests per token in a moving window; kept in this process alone."""

    def __init__(self, rate: RateLimitItem) -> None:
        self._rate = rate
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._policy = f'"token";q={rate.amount};w={rate.get_expiry()}'

    def take(self, name: str) -> dict[str, str]:
        """Count a request; return the headers with the remaining quota. Raise HttpProblem if there is none left."""
        taken = self._limiter.hit(self._rate, name)
        stats = self._limiter.get_window_stats(self._rate, name)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        headers = {"RateLimit-Policy": self._policy, "RateLimit": f'"token";r={stats.remaining};t={seconds}'}
        if not taken:
            detail = f"more than {self._rate.amount} requests in {self._rate.get_expiry()} s"
            raise HttpProblem(ProblemKind.RATE_LIMITED, detail, headers={**headers, "Retry-After": str(seconds)})
        return headers


def parse_rate(text: str) -> RateLimitItem:
    """Return the rate that ``--rate`` names, such as ``120/minute``. Raise UsageError if it is invalid."""
    try:
        rate = parse(text)
    except ValueError:
        rate = None
    if rate is None or rate.amount < 1 or rate.multiples < 1:
        raise UsageError(f"--rate {printable(text)}: not a rate", hint="write for example 120/minute or 10/second")
    return rate
