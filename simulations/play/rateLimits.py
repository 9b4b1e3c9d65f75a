"""How often a session, or a client without an account, may ask for something."""

from __future__ import annotations

import time
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from pm6.exceptions import RateLimitError


@cache
def getLimiter() -> MovingWindowRateLimiter:
    """Returns the limiter, which counts in Redis where there is one, else in this process."""
    return MovingWindowRateLimiter(storage_from_string(settings.REDIS_URL or "memory://"))


def checkRate(item: RateLimitItem, *names: str) -> None:
    """Counts one use.

    Raises:
        RateLimitError: There were too many; `details` says when to come back.
    """
    limiter = getLimiter()
    if limiter.hit(item, *names):
        return
    seconds = max(1, round(limiter.get_window_stats(item, *names).reset_time - time.time()))
    raise RateLimitError(
        f"That is too much at once; go on in {seconds} seconds.", details={"retryAfterSeconds": seconds}
    )


def checkMessageRate(sessionId: str) -> None:
    """Counts one message of a session's sockets together."""
    checkRate(RateLimitItemPerMinute(settings.PM6_MESSAGES_PER_MINUTE), "messages", sessionId)


def checkGuestRate(request: HttpRequest) -> None:
    """Counts one session that a client without an account starts."""
    address = request.META.get("REMOTE_ADDR", "unknown")
    checkRate(RateLimitItemPerHour(settings.PM6_GUEST_SESSIONS_PER_HOUR), "guests", address)
