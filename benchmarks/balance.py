"""Whether a pack is a game: bots play it, sealed, from many seeds.

    python -m benchmarks.balance [--pack primeMinister] [--sessions 500]

In two processes without sockets, each on a SQLite file of its own. Nothing here is a time, so the
figures are the same on every machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.support.figures import describeMachine, tellTarget
from benchmarks.support.home import findPack, makeHome

BOTS = ("random", "greedy", "worst")
PROCESSES = 2
CHUNK = 25
MOST_TURNS = 100


@dataclass
class Tally:
    """What some sessions of one bot came to.

    Attributes:
        ends: Sessions by status.
        outcomes: Sessions by the words they ended with.
        rungs: Replies by the step of the ladder that gave them; `variant` needed no model.
        offered: How often each option, "situation/intent", was there to choose.
    """

    bot: str
    sessions: int = 0
    turns: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    offered: Counter[str] = field(default_factory=Counter)
    chosen: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.sessions += other.sessions
        self.turns += other.turns
        for name in ("ends", "outcomes", "rungs", "offered", "chosen"):
            getattr(self, name).update(getattr(other, name))

    def share(self, end: str) -> float:
        return self.ends[end] / self.sessions

    def hitShare(self) -> float:
        return self.rungs["variant"] / sum(self.rungs.values())


def enterWorker(folder: Path) -> None:
    """Prepares a worker process: a home of its own with the pack loaded."""
    # The context is left when the process ends.
    global _home
    _home = ExitStack()
    _home.enter_context(makeHome()).enter()
    from simulations.packs.loadPack import loadPack

    loadPack(folder)


def playChunk(slug: str, bot: str, seeds: range) -> Tally:
    """Plays one session for each seed."""
    from benchmarks.support.bots import buildChooser
    from simulations.engine.world import findWorld

    choose = buildChooser(findWorld(slug), bot)
    tally = Tally(bot)
    for seed in seeds:
        playSession(slug, seed, choose, tally)
    return tally


def playSession(slug: str, seed: int, choose: Any, tally: Tally) -> None:
    from benchmarks.support.plays import Play
    from simulations.models import Branch

    play = Play.start(slug, seed)
    while play.status == "running" and play.count < MOST_TURNS:
        situation, options = play.scene.situation, [option.intent for option in play.scene.options]
        if not options:
            break
        state = Branch.objects.values_list("state", flat=True).get(pk=play.session.activeBranch_id)
        intent = choose(options, state, play.count + 1, situation, play.dice)
        tally.offered.update(f"{situation}/{option}" for option in options)
        tally.chosen[f"{situation}/{intent}"] += 1
        message = play.choose(intent).message
        tally.rungs.update(reply.rung for reply in message.turn.replies)
    tally.sessions += 1
    tally.turns += play.count
    tally.ends[play.status] += 1
    tally.outcomes[message.outcome[:60] or play.status] += 1


def playAll(folder: Path, slug: str, sessions: int) -> dict[str, Tally]:
    """Plays all sessions of all bots, and returns a tally for each."""
    tallies = {bot: Tally(bot) for bot in BOTS}
    chunks = [range(at, min(at + CHUNK, sessions)) for at in range(0, sessions, CHUNK)]
    with ProcessPoolExecutor(
        PROCESSES, multiprocessing.get_context("spawn"), initializer=enterWorker, initargs=(folder,)
    ) as pool:
        running = [pool.submit(playChunk, slug, bot, chunk) for chunk in chunks for bot in BOTS]
        for future in running:
            tally = future.result()
            tallies[tally.bot].add(tally)
    return tallies


def listOptions(folder: Path) -> set[str]:
    """Returns every option of a pack as "situation/intent"."""
    from simulations.packs.readPack import readPack

    situations = readPack(folder).simulation.situationTypes
    return {f"{slug}/{option.intent}" for slug, part in situations.items() for option in part.options}


def report(tallies: dict[str, Tally], options: set[str]) -> bool:
    """Prints the figures; returns whether every target is reached."""
    for bot, tally in tallies.items():
        ends = ", ".join(f"{end} {count / tally.sessions:.1%}" for end, count in tally.ends.most_common())
        rungs = ", ".join(f"{rung} {count}" for rung, count in tally.rungs.most_common())
        length = tally.turns / tally.sessions
        print(f"  {bot:7} {ends}; {length:.1f} turns; hits {tally.hitShare():.1%} ({rungs})")
        for outcome, count in tally.outcomes.most_common(6):
            print(f"            {count / tally.sessions:6.1%}  {outcome}")
    offered = set().union(*(tally.offered for tally in tallies.values()))
    chosen = set().union(*(tally.chosen for tally in tallies.values()))
    print(f"  options offered: {len(offered & options)} of {len(options)}")
    for name, missing in (("offered", options - offered), ("chosen", options - chosen)):
        if missing:
            print(f"  never {name}: {', '.join(sorted(missing))}")
    byRandom, greedy, worst = (tallies[bot] for bot in BOTS)
    return all(
        [
            tellTarget("random wins, share", byRandom.share("won"), 0.10, least=True),
            tellTarget("random wins, share", byRandom.share("won"), 0.40),
            tellTarget("greedy wins, share", greedy.share("won"), 0.70, least=True),
            tellTarget("worst wins, share", worst.share("won"), 0.02),
            tellTarget("random served from the database, share", byRandom.hitShare(), 0.90, least=True),
            tellTarget("options never chosen", len(options - chosen), 0),
        ]
    )


def main() -> bool:
    words = argparse.ArgumentParser(description="Whether a pack is a game.")
    words.add_argument("--pack", default="primeMinister", help="a pack's name or folder")
    words.add_argument("--sessions", type=int, default=500, help="of each bot")
    given = words.parse_args()
    started = time.monotonic()
    folder = findPack(given.pack)
    with makeHome() as home:
        home.enter()
        options, slug = listOptions(folder), folder.name
        print(f"balance of {slug}: {given.sessions} sessions of each bot, {describeMachine()}")
        tallies = playAll(folder, slug, given.sessions)
    isGame = report(tallies, options)
    print(f"  took {time.monotonic() - started:.0f} s")
    return isGame


if __name__ == "__main__":
    sys.exit(not main())
