"""How long `make run` takes to the first page, in a fresh copy of the tree and a second time.

    python -m benchmarks.startUp

Packages come from wherever pip finds them; for the figure that counts, its cache should hold them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.support.figures import describeMachine, tellTarget
from benchmarks.support.home import ROOT

LEFT_OUT = (".venv", ".git", ".env", "var", "__pycache__", ".*_cache", ".hypothesis", "build")
MOST_SECONDS = 60.0
LONGEST = 600.0


def timeRun(tree: Path, port: int) -> float:
    """Returns the seconds from `make run` to a page, and ends the server."""
    settings = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PM6_HOME", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    started = time.monotonic()
    errors = tree.parent / "errors.txt"
    with (
        errors.open("w") as out,
        subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=tree,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=out,
            start_new_session=True,
        ) as run,
    ):
        try:
            if waitForPage(run, f"http://127.0.0.1:{port}/"):
                return time.monotonic() - started
            raise SystemExit(f"`make run` gave no page.\n{errors.read_text()}")
        finally:
            # `make` and what it started; the group is this run's own.
            os.killpg(run.pid, signal.SIGTERM)


def waitForPage(run: subprocess.Popen[bytes], address: str) -> bool:
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and run.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10) as page:
                if page.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def findPort() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> bool:
    argparse.ArgumentParser(description="How long `make run` takes to the first page.").parse_args()
    with tempfile.TemporaryDirectory(prefix="pm6-bench-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "pm6"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        print(f"startUp: {describeMachine()}")
        first, second = timeRun(tree, findPort()), timeRun(tree, findPort())
    isQuick = tellTarget("first `make run`, seconds to the page", first, MOST_SECONDS)
    print(f"  second `make run`, seconds to the page: {second:.2f}")
    return isQuick


if __name__ == "__main__":
    sys.exit(not main())
