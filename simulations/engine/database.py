"""The engine's own threads for database work.

One on SQLite, which has one writer, and several on PostgreSQL. They keep their connections;
Channels' default would run every socket of a process on one shared thread and Django's would
open a connection per call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")
POSTGRES_THREADS = 8


@cache
def getExecutor() -> ThreadPoolExecutor:
    """Returns the pool, made at first use."""
    threads = 1 if connections["default"].vendor == "sqlite" else POSTGRES_THREADS
    return ThreadPoolExecutor(threads, thread_name_prefix="pm6-engine")


async def inDatabase(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a synchronous use case on an engine thread: one hop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(getExecutor(), lambda: _runWithConnection(function, *args, **kwargs))


def _runWithConnection(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
    return function(*args, **kwargs)


def _closeOwn(together: Barrier) -> None:
    together.wait(timeout=30)
    connections.close_all()


def closeConnections() -> None:
    """Ends the threads and closes what they hold; for the end of a process or a test run."""
    if getExecutor.cache_info().currsize == 0:
        return
    executor = getExecutor()
    # Each waits for the others, so every thread closes the connection that is its own.
    together = Barrier(executor._max_workers)
    for closing in [executor.submit(_closeOwn, together) for _ in range(executor._max_workers)]:
        closing.result()
    executor.shutdown()
    getExecutor.cache_clear()
    for connection in connections.all(initialized_only=True):
        # PostgreSQL's pool is the process's and outlives its connections.
        if hasattr(connection, "close_pool"):
            connection.close()
            connection.close_pool()
