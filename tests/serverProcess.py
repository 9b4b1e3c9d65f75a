"""Real servers as child processes on the test's own database, a provider for them, and players."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import websockets

from simulations.play.actors import GUEST_COOKIE
from simulations.play.serverChild import findFreePort

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
TURN_SECONDS = 90


def buildUrl() -> str:
    """Returns the address of the database that this test runs on."""
    from django.db import connection

    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    login = quote(given["USER"]) + (f":{quote(given['PASSWORD'])}" if given["PASSWORD"] else "")
    return f"postgres://{login}@{given['HOST']}:{given['PORT'] or 5432}/{given['NAME']}"


class ChildProcess:
    """A program that says one line on its standard output when it is ready."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path):
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        if not self.greeting:
            self.end(signal.SIGKILL)
            raise RuntimeError(f"{command[:4]} didn't start:\n{log.read_text()[-3000:]}")

    def end(self, how: signal.Signals) -> None:
        """Ends it and waits until it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()


class StandInProcess:
    """The stand-in as a process of its own, told what to do over HTTP."""

    def __init__(self, folder: Path):
        self.child = ChildProcess([sys.executable, "-m", "tests.standIn"], {}, folder / "standIn.log")
        self.url = json.loads(self.child.greeting)["url"]

    def behave(self, *what: dict[str, Any]) -> None:
        self._ask("/_behave", list(what))

    def release(self, gate: str) -> None:
        self._ask("/_release", {"gate": gate})

    def reset(self) -> None:
        self._ask("/_reset", {})

    def readBill(self) -> list[dict[str, Any]]:
        return self._ask("/_bill")

    def countRequests(self) -> int:
        return len(self._ask("/_requests"))

    def stop(self) -> None:
        self.child.end(signal.SIGTERM)

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=20) as answer:
            return json.load(answer)


class ServerProcess:
    """A pm6 server that can be killed and started again on its port and database.

    Args:
        folder: For its log and whatever it writes.
        env: Its settings.
    """

    def __init__(self, folder: Path, env: dict[str, str]):
        self.port = findFreePort()
        self.log = folder / f"server-{self.port}.log"
        self.env = {
            "PM6_HOME": str(folder),
            "DATABASE_URL": buildUrl(),
            "REDIS_URL": "",
            "SECRET_KEY": "only-for-proofs-0123456789abcdefghijklmnopqrstuvwxyz",
            "PM6_BLOCK_REAL_CALLS": "1",
            "PM6_MESSAGES_PER_MINUTE": "6000",
            **env,
        }
        self.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port)]
        self.child = ChildProcess(command, self.env, self.log)

    def kill(self) -> None:
        """Ends it as a crash does: nothing is finished, nothing is said."""
        self.child.end(signal.SIGKILL)

    def stop(self) -> None:
        self.child.end(signal.SIGTERM)


@dataclass
class SocketPlayer:
    """A guest's socket into one session, that can be cut and opened again.

    Attributes:
        seen: The last sequence the player saw.
        messages: Everything that came over the socket that is open now.
    """

    server: ServerProcess
    sessionId: uuid.UUID
    token: str
    seen: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    socket: Any = None

    async def open(self) -> dict[str, Any]:
        """Connects, resumes after what was seen, and returns the welcome."""
        self.messages.clear()
        self.socket = await websockets.connect(
            f"{self.server.origin.replace('http', 'ws', 1)}/ws/play/{self.sessionId}/",
            origin=self.server.origin,  # type: ignore[arg-type]
            additional_headers={"Cookie": f"{GUEST_COOKIE}={self.token}"},
            open_timeout=TURN_SECONDS,
        )
        return await self.resume()

    async def resume(self) -> dict[str, Any]:
        await self.send({"type": "resume", "after": self.seen})
        return await self.until("welcome")

    async def send(self, message: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message))

    async def say(self, clientKey: str, text: str = "", option: str = "") -> None:
        await self.send({"type": "say", "clientKey": clientKey, "text": text, "option": option})

    async def read(self) -> dict[str, Any]:
        message = json.loads(await asyncio.wait_for(self.socket.recv(), TURN_SECONDS))
        self.messages.append(message)
        if message["type"] in ("turn", "welcome"):
            self.seen = max(self.seen, message["sequence"])
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        """Returns the next message of a kind; an error that wasn't waited for fails the test."""
        while True:
            message = await self.read()
            if message["type"] == kind:
                return message
            assert message["type"] != "error", message

    async def play(self, clientKey: str, text: str = "", option: str = "") -> dict[str, Any]:
        """Plays one turn and returns it."""
        await self.say(clientKey, text, option)
        while (message := await self.until("turn"))["turn"]["clientKey"] != clientKey:
            continue
        return message

    def cut(self) -> None:
        """Breaks the connection without a word."""
        self.socket.transport.abort()

    async def close(self) -> None:
        if self.socket is not None:
            with suppress(Exception):
                await self.socket.close()
