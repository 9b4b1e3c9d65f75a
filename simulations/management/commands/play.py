"""Plays a game in the terminal."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.text import Text

from costs.budgets import formatNano
from simulations.play.serverChild import runServer
from simulations.play.terminal import TerminalGame, chooseAtRandom


class Command(BaseCommand):
    help = "Plays a game in the terminal, over the same socket as the browser. Example: play --auto 5"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("simulation", nargs="?", default="primeMinister", help="Slug of the simulation.")
        parser.add_argument("--auto", type=int, default=0, metavar="N", help="Play N turns by itself.")
        parser.add_argument("--server", default="", help="A running server; one is started when left out.")
        parser.add_argument(
            "--mode",
            default="",
            choices=["", "live", "test", "sealed"],
            help="Mode; live where a model can answer.",
        )
        parser.add_argument("--seed", type=int, default=None, help="Seed of the choices of --auto.")

    def handle(self, *args: object, **options: Any) -> None:
        console = Console(highlight=False)
        seed = options["seed"] if options["seed"] is not None else secrets.randbits(32)
        choose = chooseAtRandom(seed) if options["auto"] else askPlayer(console)
        with findServer(options["server"]) as server:
            game = TerminalGame(server, Printer(console).show)
            game.start(options["simulation"], options["mode"])
            played = asyncio.run(game.play(choose, options["auto"]))
        console.print(f"\n{played} turns played, the game is {game.status}.")


@contextmanager
def findServer(given: str) -> Iterator[str]:
    """Gives the address of a server: the one that was named, or one of its own for a while."""
    if given:
        yield given.rstrip("/")
        return
    # Asked to end, this process takes its server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with runServer("pm6site.asgi:application") as host:
        yield f"http://{host}"


def askPlayer(console: Console) -> Any:
    """Returns a player that asks the person at the keyboard."""

    def choose(scene: dict[str, Any]) -> dict[str, str] | None:
        options = scene["options"]
        for number, option in enumerate(options, 1):
            console.print(f"  [bold]{number}[/bold] {option['label']}")
        try:
            said = console.input("[bold]> [/bold]").strip()
        except (EOFError, KeyboardInterrupt):
            return None
        if said in ("", "quit", "exit"):
            return None if said else choose(scene)
        if said.isdigit() and 1 <= int(said) <= len(options):
            return {"option": options[int(said) - 1]["intent"]}
        return {"text": said}

    return choose


class Printer:
    """Prints the server's messages as a person would like to read them."""

    def __init__(self, console: Console):
        self.console = console
        self.names: dict[str, str] = {}
        self.titles: dict[str, str] = {}

    def show(self, message: dict[str, Any]) -> None:
        if printer := getattr(self, f"show{message['type'].capitalize()}", None):
            printer(message)

    def print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style))

    def showWelcome(self, message: dict[str, Any]) -> None:
        self.names = {agent["slug"]: agent["name"] for agent in message["agents"]}
        self.titles = {variable["slug"]: variable["title"] for variable in message["variables"]}
        self.print(message["session"]["title"], "bold")
        self.print(message["session"]["opening"].strip())
        self.print(message["modelNote"], "dim")
        self.showScene(message["scene"])

    def showScene(self, scene: dict[str, Any]) -> None:
        self.print(f"\n— {scene['title']}", "bold cyan")

    def showTurn(self, message: dict[str, Any]) -> None:
        turn = message["turn"]
        self.print(f"\n{turn['number']}. You: {turn['inputText']}", "bold")
        for reply in turn["replies"]:
            if reply["status"] == "done":
                self.print(f"{self.names.get(reply['agent'], reply['agent'])}: {reply['text']}")
                self.print(f"   {describeReply(reply)}", "dim")
        for note in turn["notes"]:
            self.print(f"* {note['title']}: {note['text'].strip()}", "yellow")
        merged: dict[str, list[Any]] = {}
        for change in turn["changes"]:
            merged.setdefault(change["variable"], [change["before"], None])[1] = change["after"]
        changes = [f"{self.titles.get(name, name)} {b} → {a}" for name, (b, a) in merged.items() if a != b]
        if changes:
            self.print("   " + ", ".join(changes), "green")
        money = message["money"]
        self.print(
            f"   spent {formatNano(money['spentNano'])}, saved {formatNano(money['savedNano'])}", "dim"
        )
        if message["status"] == "running":
            self.showScene(message["scene"])
        else:
            self.print(f"\n{message['status'].upper()}: {message['outcome']}", "bold")

    def showError(self, message: dict[str, Any]) -> None:
        self.print(f"{message['message']} [{message['code']}] {message['hint']}", "red")


def describeReply(reply: dict[str, Any]) -> str:
    """Returns where a reply came from and what it cost, in a line."""
    sources = {
        "hit": f"from the database, saved {formatNano(reply['savedNano'])}",
        "shared": "shared with an equal question",
        "model": f"{reply['model']} ({reply['clientKind']}), {reply['tokens']} tokens, "
        f"{formatNano(reply['costNano'])}, {reply['totalMs']:.0f} ms",
        "line": "the author's line",
    }
    return f"[{sources[reply['source']]}]"
