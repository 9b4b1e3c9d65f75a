"""A player for the terminal: the same server, the same socket, the same messages as the browser."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import websockets
from websockets.typing import Origin

from pm6.exceptions import ConfigurationError, PM6Error
from simulations.play.actors import GUEST_COOKIE

TURN_SECONDS = 180
# A player that goes on after this many refusals in a row would go on for ever.
MOST_REFUSALS = 5


@dataclass
class TerminalGame:
    """One session as a client sees it.

    Attributes:
        server: Such as `http://127.0.0.1:8000`.
        show: Called with every message of the server, the initial `welcome` first.
    """

    server: str
    show: Callable[[dict[str, Any]], None]
    scene: dict[str, Any] = field(default_factory=dict)
    status: str = "running"
    cookie: str = ""
    sessionId: str = ""

    def start(self, simulation: str, mode: str = "") -> None:
        """Starts a session over the API as a guest.

        Raises:
            PM6Error: The server refused; its own words.
        """
        body = {"simulation": simulation} | ({"mode": mode} if mode else {})
        request = urllib.request.Request(  # noqa: S310  the address is the operator's own
            f"{self.server}/api/v1/sessions/",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                cookies = response.headers.get_all("Set-Cookie") or []
                self.sessionId = json.load(response)["session"]["id"]
        except urllib.error.HTTPError as error:
            raise readRefusal(error) from error
        except (urllib.error.URLError, OSError) as error:
            raise ConfigurationError(
                f"There is no server at {self.server}.", hint="Start one with `make run`."
            ) from error
        self.cookie = next((c.split(";")[0] for c in cookies if c.startswith(GUEST_COOKIE)), "")

    async def play(self, choose: Callable[[dict[str, Any]], dict[str, str] | None], turns: int) -> int:
        """Plays turns until the game ends, the player stops, or so many are played.

        Args:
            choose: From the scene to `{"option": …}` or `{"text": …}`; None stops.
            turns: At most so many; 0 is no limit.

        Returns:
            How many turns were played.
        """
        address = f"{self.server.replace('http', 'ws', 1)}/ws/play/{self.sessionId}/"
        played = refused = 0
        async with websockets.connect(
            address,
            origin=Origin(self.server),
            additional_headers={"Cookie": self.cookie},
        ) as socket:
            await socket.send(json.dumps({"type": "resume", "after": 0}))
            await self.readUntil(socket, {"welcome"})
            while self.status == "running" and (not turns or played < turns):
                wish = await asyncio.to_thread(choose, self.scene)
                if wish is None:
                    break
                await socket.send(json.dumps({"type": "say", "clientKey": secrets.token_hex(12), **wish}))
                if await self.readUntil(socket, {"turn", "error"}) == "turn":
                    played, refused = played + 1, 0
                else:
                    refused += 1
                if refused >= MOST_REFUSALS:
                    raise PM6Error("The server refuses every input.", hint="Its last answer says why.")
        return played

    async def readUntil(self, socket: Any, kinds: set[str]) -> str:
        """Shows messages until one of some kinds has come; returns its kind."""
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), TURN_SECONDS))
            self.scene = message.get("scene", self.scene)
            if message["type"] == "turn":
                self.status = message["status"]
            self.show(message)
            if message["type"] in kinds:
                return str(message["type"])


def readRefusal(error: urllib.error.HTTPError) -> PM6Error:
    """Returns a server's refusal in its own words."""
    try:
        told = json.load(error)["error"]
        return PM6Error(told["message"], hint=told["hint"], details=told["details"])
    except (ValueError, KeyError):
        return PM6Error(f"The server answered {error.code}.")


def chooseAtRandom(seed: int) -> Callable[[dict[str, Any]], dict[str, str] | None]:
    """Returns a player that picks any option offered."""
    dice = random.Random(seed)

    def choose(scene: dict[str, Any]) -> dict[str, str] | None:
        options = scene["options"]
        return {"option": dice.choice(options)["intent"]} if options else {"text": "What now?"}

    return choose
