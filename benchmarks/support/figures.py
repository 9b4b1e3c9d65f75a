"""Figures: medians, percentiles, and the machine they were measured on."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from datetime import date
from pathlib import Path


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the value that a share of the values doesn't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def describeMachine() -> str:
    """Returns date, processor, cores and load: what a reader needs to judge a figure."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{date.today()}, {model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def tellTarget(name: str, value: float, target: float, *, least: bool = False) -> bool:
    """Prints a figure beside its target; returns whether it is reached."""
    isReached = value >= target if least else value <= target
    limit = "at least" if least else "at most"
    print(f"  {name}: {value:.2f} ({limit} {target:g}) {'reached' if isReached else 'MISSED'}")
    return isReached
