"""Runs measurements one after the other: `python -m benchmarks [hitPath growth balance startUp]`."""

from __future__ import annotations

import subprocess
import sys

QUICK = ("hitPath", "growth")
ALL = (*QUICK, "balance", "startUp")


def main() -> bool:
    """Runs what was named, else those that take a minute; returns whether every target was reached."""
    names = sys.argv[1:] or QUICK
    if unknown := set(names) - set(ALL):
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; choose among {', '.join(ALL)}.")
    # A process each: they keep their data in different places.
    ends = [subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False) for name in names]
    return not any(end.returncode for end in ends)


if __name__ == "__main__":
    sys.exit(not main())
