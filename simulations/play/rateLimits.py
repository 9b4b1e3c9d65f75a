"""How often a session, or a client without an account, may ask for something."""

from __future__ import annotations

import threading
import time
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from pm6.exceptions import RateLimitError

SWEEP_SECONDS = 10.0


class Sweeper(threading.Timer):
    """Forgets old entries now and then; the library's own timer is a new thread at nearly every message."""

    def run(self) -> None:
        while not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)


@cache
def getLimiter() -> FixedWindowRateLimiter:
    """Returns the limiter, which counts in Redis where there is one, else in this process."""
    storage = storage_from_string(settings.REDIS_URL or "memory://")
    if isinstance(storage, MemoryStorage):
        storage.timer = Sweeper(SWEEP_SECONDS, storage.timer.function)
        storage.timer.daemon = True
        storage.timer.start()
    return FixedWindowRateLimiter(storage)


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
