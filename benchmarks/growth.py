"""Whether a turn costs the same late in a story, and among many stored replies.

    python -m benchmarks.growth [--quick]

In this process, through `planTurn`, on fresh SQLite files. The two sides of each comparison take
turns, so that whatever else the machine does hits both alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.support.endlessPack import SLUG, writeEndlessPack
from benchmarks.support.figures import describeMachine, median, tellTarget
from benchmarks.support.home import findPack, makeHome

EARLY, LATE = 20, 2000
FEW, MANY = 1_000, 100_000
BATCH = 5_000
WINDOW = 20
MOST_TURN = 1.2
MOST_LOOKUP = 1.3


def compare(
    first: Callable[[], Any], second: Callable[[], Any], samples: int, before: Callable[[], Any] = int
) -> float:
    """Returns how many times longer the second takes: the median over windows of medians.

    Args:
        first: What is compared with.
        second: What is compared.
        samples: How often each is done, in turns.
        before: Done before each pair, not timed.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(samples):
        before()
        for side, act in enumerate((first, second)):
            started = time.perf_counter()
            act()
            times[side].append(time.perf_counter() - started)
    windows = [slice(at, at + WINDOW) for at in range(0, samples, WINDOW)]
    return median([median(times[1][part]) / median(times[0][part]) for part in windows])


class YoungPlays:
    """Sessions of about twenty turns, a new one whenever one grows older."""

    def __init__(self) -> None:
        self.makeYoung()

    def makeYoung(self) -> None:
        from benchmarks.support.plays import Play

        self.play = Play.start(SLUG, seed=EARLY)
        for _ in range(EARLY - WINDOW // 4):
            self.play.playAny()

    def keepYoung(self) -> None:
        if self.play.count >= EARLY + WINDOW // 4:
            self.makeYoung()

    def playAny(self) -> None:
        self.play.playAny()


def measureTurns(samples: int) -> float:
    """Returns what turn 2,000 costs in turns 20."""
    from benchmarks.support.plays import Play

    story, young = Play.start(SLUG, seed=EARLY), YoungPlays()
    for _ in range(LATE - samples // 2):
        story.playAny()
    return compare(young.playAny, story.playAny, samples, before=young.keepYoung)


def fillSignatures(first: int, last: int) -> None:
    """Adds signatures with a variant each to the endless pack's world, in bulk."""
    from costs.models import ResponseSignature, ResponseVariant
    from costs.schemas import SignatureComponents
    from costs.signatureCompute import computeDigest

    pattern = ResponseSignature.objects.select_related("simulation", "agent").filter(mask="").first()
    pattern = pattern or ResponseSignature.objects.order_by("pk")[0]
    base = SignatureComponents.model_validate(pattern.components)
    for start in range(first, last, BATCH):
        keys = [
            base.model_copy(update={"intent": f"intent{i}"}) for i in range(start, min(start + BATCH, last))
        ]
        rows = ResponseSignature.objects.bulk_create(
            ResponseSignature(
                simulation_id=pattern.simulation_id,
                agent_id=pattern.agent_id,
                digest=computeDigest(key),
                situationType=pattern.situationType,
                components=key.model_dump(),
            )
            for key in keys
        )
        ResponseVariant.objects.bulk_create(
            ResponseVariant(signature=row, text="Said once.", status="approved") for row in rows
        )


def measureLookups(samples: int) -> float:
    """Returns what a turn among 100,000 signatures costs in turns among 1,000.

    Both databases are files of their own, open at once: the second under the engine's usual name,
    the first swapped in for its turns.
    """
    from django.db import connections

    from benchmarks.support.plays import Play

    fillSignatures(0, FEW)
    few, fewPlay = connections["default"], Play.start(SLUG, seed=1)
    few.ensure_connection()
    few.cursor().execute("VACUUM INTO %s", [few.settings_dict["NAME"] + ".many"])
    many = few.copy()
    many.settings_dict = few.settings_dict | {"NAME": few.settings_dict["NAME"] + ".many"}
    connections["default"] = many
    manyPlay = Play.start(SLUG, seed=1)
    fillSignatures(FEW, MANY)

    def playIn(connection: Any, play: Play) -> Callable[[], Any]:
        def act() -> None:
            connections["default"] = connection
            play.playAny()

        return act

    try:
        return compare(playIn(few, fewPlay), playIn(many, manyPlay), samples)
    finally:
        many.close()
        connections["default"] = few


def main() -> bool:
    words = argparse.ArgumentParser(description="Whether a turn's cost grows.")
    words.add_argument("--quick", action="store_true", help="fewer samples")
    samples = 100 if words.parse_args().quick else 400
    with makeHome() as home:
        home.enter()
        from simulations.packs.loadPack import loadPack

        loadPack(writeEndlessPack(findPack("villageInn"), home.folder / "pack"))
        print(f"growth: {samples} samples of each side, {describeMachine()}")
        return all(
            [
                tellTarget(f"turn {LATE:,} / turn {EARLY}", measureTurns(samples), MOST_TURN),
                tellTarget(
                    f"among {MANY:,} / among {FEW:,} signatures", measureLookups(samples), MOST_LOOKUP
                ),
            ]
        )


if __name__ == "__main__":
    sys.exit(not main())
