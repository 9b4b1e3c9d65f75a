"""Things that belong to one event loop: connections, queues, locks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopLocal(Generic[T]):
    """Builds one `T` per running event loop.

    A process has more than one loop: the server's, and a short one for every command or
    synchronous call. A connection or a lock of one is broken in another.

    Args:
        build: Makes the thing when a loop asks for it first.
    """

    def __init__(self, build: Callable[[], T]):
        self._build = build
        self._items: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = threading.Lock()

    def get(self) -> T:
        """Returns the running loop's own."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._items:
                self._forgetClosed()
                self._items[loop] = self._build()
            return self._items[loop]

    def pop(self) -> T | None:
        """Takes the running loop's own out, so that it can be closed."""
        with self._lock:
            return self._items.pop(asyncio.get_running_loop(), None)

    def _forgetClosed(self) -> None:
        for loop in [loop for loop in self._items if loop.is_closed()]:
            del self._items[loop]
