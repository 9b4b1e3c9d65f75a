"""A turn served from the database, over a real socket to a real daphne, against bare echoes.

    python -m benchmarks.hitPath [--rounds 2000] [--pack villageInn]

One client, one message at a time. Each round does one echo, one echo with a small transaction and
one turn, so that whatever else the machine does hits all three alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import websockets

from benchmarks.support.endlessPack import SLUG, writeEndlessPack
from benchmarks.support.figures import describeMachine, median, percentile, tellTarget
from benchmarks.support.home import findPack, makeHome
from simulations.play.serverChild import runServer

WARM_ROUNDS = 100
WINDOW = 200
MOST_P50 = 6.0
MOST_P99 = 4.0


class Player:
    """Plays the endless session by options; every turn of it has to be a hit."""

    def __init__(self, connection: Any):
        self.connection = connection
        self.dice = random.Random(1)
        self.count = self.others = 0
        self.scene: dict[str, Any] = {}

    async def begin(self) -> None:
        await self.connection.send(json.dumps({"type": "resume", "after": 0}))
        self.scene = json.loads(await self.connection.recv())["scene"]

    async def play(self) -> float:
        """Plays a turn and returns how long it took from the click to the finished turn."""
        self.count += 1
        option = self.dice.choice(self.scene["options"])["intent"]
        words = json.dumps({"type": "say", "clientKey": f"bench-{self.count:08d}", "option": option})
        started = time.perf_counter()
        await self.connection.send(words)
        answer = await self.connection.recv()
        elapsed = time.perf_counter() - started
        message = json.loads(answer)
        if message["type"] == "turnStarted":
            raise SystemExit(f"The option {option} was no hit.")
        if message["type"] != "turn":
            raise SystemExit(f"The server refused a turn: {answer}")
        self.scene = message["scene"]
        self.others += any(reply["source"] != "hit" for reply in message["turn"]["replies"])
        return elapsed


async def measureEcho(connection: Any, words: str) -> float:
    started = time.perf_counter()
    await connection.send(words)
    await connection.recv()
    return time.perf_counter() - started


async def measure(server: str, rounds: int) -> dict[str, list[float]]:
    """Returns the times of each kind, in seconds, warm-up left out."""
    # Imported late: it needs Django.
    from simulations.play.terminal import TerminalGame

    game = TerminalGame(f"http://{server}", lambda message: None)
    await asyncio.to_thread(game.start, SLUG)
    words = json.dumps({"type": "say", "clientKey": "bench-00000000", "option": "pourRound"})
    times: dict[str, list[float]] = {"echo": [], "echo+orm": [], "hit": []}
    async with AsyncExitStack() as stack:
        echo, orm, play = [
            await stack.enter_async_context(
                websockets.connect(
                    f"ws://{server}{path}",
                    origin=f"http://{server}",  # type: ignore[arg-type]
                    additional_headers={"Cookie": game.cookie},
                )
            )
            for path in ("/ws/echo/", "/ws/ormEcho/", f"/ws/play/{game.sessionId}/")
        ]
        player = Player(play)
        await player.begin()
        for _ in range(WARM_ROUNDS + rounds):
            times["echo"].append(await measureEcho(echo, words))
            times["echo+orm"].append(await measureEcho(orm, words))
            times["hit"].append(await player.play())
    if player.others:
        raise SystemExit(f"{player.others} turns were no hits.")
    return {kind: values[WARM_ROUNDS:] for kind, values in times.items()}


def report(times: dict[str, list[float]]) -> bool:
    """Prints the figures; returns whether both targets are reached."""
    print(f"hitPath: {len(times['hit'])} rounds, {describeMachine()}")
    half = {kind: percentile(values, 0.5) for kind, values in times.items()}
    tail = {kind: percentile(values, 0.99) for kind, values in times.items()}
    for kind in times:
        print(
            f"  {kind:9} p50 {half[kind] * 1000:6.2f} ms ({half[kind] / half['echo']:.2f} echoes)"
            f"   p99 {tail[kind] * 1000:6.2f} ms ({tail[kind] / half[kind]:.2f} of its p50)"
        )
    windows = [
        median(times["hit"][at : at + WINDOW]) / median(times["echo"][at : at + WINDOW])
        for at in range(0, len(times["hit"]), WINDOW)
    ]
    print(f"  windows of {WINDOW}: hit/echo from {min(windows):.2f} to {max(windows):.2f}")
    return all(
        [
            tellTarget("hit p50 / echo p50", half["hit"] / half["echo"], MOST_P50),
            tellTarget("hit p99 / hit p50", tail["hit"] / half["hit"], MOST_P99),
        ]
    )


def main() -> bool:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--rounds", type=int, default=2000)
    words.add_argument("--pack", default="villageInn", help="a pack's name or folder")
    given = words.parse_args()
    with makeHome() as home:
        home.manage("migrate")
        home.manage("loadPack", str(writeEndlessPack(findPack(given.pack), home.folder / "pack")))
        home.enter()
        with runServer("benchmarks.echoAsgi:application", home.environment) as server:
            return report(asyncio.run(measure(server, given.rounds)))


if __name__ == "__main__":
    sys.exit(not main())
