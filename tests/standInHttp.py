"""The stand-in's HTTP: one request on its connection, and whether its client is still there."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.standInProtocol import buildChunk


class ClientLeft(Exception):
    pass


class Broken(Exception):
    """We end the connection on purpose."""

    def __init__(self, reset: bool = False):
        super().__init__()
        self.reset = reset


@dataclass
class RequestRecord:
    """One request as it came, and the status that it got."""

    requestId: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int = 0


@dataclass
class Call:
    """One request on its connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    requestId: str = ""
    record: RequestRecord | None = None
    gone: asyncio.Task[bytes] | None = field(default=None, repr=False)

    def watch(self) -> None:
        """Watches for the client's leaving; a client that waits sends nothing."""
        self.gone = asyncio.create_task(self.reader.read(1))

    async def unwatch(self) -> None:
        watching, self.gone = self.gone, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def waitFor(self, event: asyncio.Event) -> None:
        """Waits for an event, or raises when the client leaves first."""
        assert self.gone is not None
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, self.gone}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self.checkThere()

    def checkThere(self) -> None:
        if self.gone is not None and self.gone.done():
            raise ClientLeft

    async def send(self, data: bytes) -> None:
        self.checkThere()
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        kinds = {"content-type": "application/json", "content-length": str(len(content))}
        self.writer.write(self.buildHead(status, kinds | (headers or {})) + content)
        await self.writer.drain()

    def buildHead(self, status: int, headers: dict[str, str]) -> bytes:
        if self.record is not None:
            self.record.status = status
        lines = [f"HTTP/1.1 {status} Status", f"request-id: {self.requestId}"]
        return "\r\n".join(lines + [f"{n}: {v}" for n, v in headers.items()]).encode() + b"\r\n\r\n"


async def readCall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call | None:
    """Returns the next request of a connection; None when there is none."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(":", 1) for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Call(reader, writer, method, path, headers, raw)


async def sendEvent(call: Call, name: str, data: dict[str, Any]) -> None:
    await call.send(buildChunk(name, data))
    # Lets the loop see a client that has left in the meantime.
    await asyncio.sleep(0)
