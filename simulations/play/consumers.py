"""The play socket: parses, calls a use case, presents. What it says is in `simulations.protocol`."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from pydantic import ValidationError

from costs.schemas import StrictModel
from pm6.exceptions import (
    InputTooLongError,
    InvalidInputError,
    PM6Error,
    SessionNotFoundError,
    TurnInProgressError,
)
from simulations.engine.database import inDatabase
from simulations.engine.interact import interact
from simulations.engine.notify import groupName
from simulations.engine.plan import TurnRequest
from simulations.engine.situation import PlayerInput
from simulations.play.actors import readScopeActor
from simulations.play.rateLimits import checkMessageRate
from simulations.protocol import ErrorMessage, Ping, Pong, Resume, Say, clientMessages
from simulations.sessions.readSession import findBranch, readWelcome

logger = logging.getLogger("pm6.play")
MAX_FRAME = 16_384
NOT_FOUND = 4404
FOREIGN_ORIGIN = 4403


class PlayConsumer(AsyncWebsocketConsumer):
    """One player's window into one session."""

    async def connect(self) -> None:
        self.sessionId: UUID = self.scope["url_route"]["kwargs"]["sessionId"]
        self.actor = readScopeActor(self.scope)
        self.answering: set[asyncio.Task[None]] = set()
        self.isClosed = False
        if not isOwnOrigin(self.scope):
            await self.close(FOREIGN_ORIGIN)
            return
        await self.accept()
        try:
            await inDatabase(findBranch, self.sessionId, self.actor)
        except SessionNotFoundError as error:
            await self.sendError(error)
            await self.close(NOT_FOUND)
            return
        await self.channel_layer.group_add(groupName(self.sessionId), self.channel_name)

    async def disconnect(self, code: int) -> None:
        self.isClosed = True
        await self.channel_layer.group_discard(groupName(self.sessionId), self.channel_name)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Hands a message to its method.

        Channels would first send a thread to close old connections; the engine's threads look
        after their own, and nothing here uses another.
        """
        await getattr(self, get_handler_name(message))(message)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        # A task of its own: Channels hands out one message at a time, and while a turn is played
        # its own stream has to come through.
        task = asyncio.create_task(self.answer(text_data))
        self.answering.add(task)
        task.add_done_callback(self.answering.discard)

    async def answer(self, text: str | None) -> None:
        """Answers one frame; every failure is told."""
        clientKey = ""
        try:
            await countMessage(str(self.sessionId))
            message = readMessage(text)
            clientKey = message.clientKey if isinstance(message, Say) else ""
            await self.handle(message)
        except TurnInProgressError as error:
            # The same input again while its turn runs: what it asked for is on its way.
            if error.details.get("clientKey") != clientKey:
                await self.sendError(error, clientKey)
        except PM6Error as error:
            await self.sendError(error, clientKey)
        except Exception:
            logger.exception("a message of session %s failed", self.sessionId)
            await self.sendError(PM6Error("Something went wrong on the server."), clientKey)

    async def handle(self, message: Say | Resume | Ping) -> None:
        """Answers one message."""
        if isinstance(message, Ping):
            await self.sendMessage(Pong())
        elif isinstance(message, Resume):
            await self.sendMessage(await inDatabase(readWelcome, self.sessionId, self.actor, message.after))
        else:
            given = PlayerInput(message.text, message.option)
            result = await interact(TurnRequest(self.sessionId, self.actor, given, message.clientKey))
            if not result.isNew:
                await self.sendMessage(result.message)

    async def sendError(self, error: PM6Error, clientKey: str = "") -> None:
        await self.sendMessage(ErrorMessage(**error.asDict(), clientKey=clientKey))

    async def sendMessage(self, message: StrictModel) -> None:
        if not self.isClosed:
            await self.send(text_data=message.model_dump_json())

    async def play_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


async def countMessage(sessionId: str) -> None:
    """Counts a message; where another server is asked for that, without holding up every socket."""
    if settings.REDIS_URL:
        await asyncio.to_thread(checkMessageRate, sessionId)
    else:
        checkMessageRate(sessionId)


def isOwnOrigin(scope: dict[str, Any]) -> bool:
    """Returns whether the page that opens a socket is this site's own, port included.

    Cookies are shared by all ports of a host, so the host's name alone is not enough.
    """
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    return urlsplit(origin).netloc == host or origin in settings.CSRF_TRUSTED_ORIGINS


def readMessage(text: str | None) -> Say | Resume | Ping:
    """Parses a frame.

    Raises:
        InvalidInputError: It is binary, no JSON, or no message of the protocol.
        InputTooLongError: It is larger than a message can be.
    """
    if text is None:
        raise InvalidInputError("The socket takes text, not bytes.", hint="Send JSON in UTF-8.")
    if len(text) > MAX_FRAME:
        raise InputTooLongError(f"A message may have {MAX_FRAME} characters.", details={"limit": MAX_FRAME})
    try:
        return clientMessages.validate_json(text)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]]
        raise InvalidInputError(
            "The message isn't one of the protocol's.",
            hint="See docs/protocol.md for what may be sent.",
            details={"problems": problems},
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("The message isn't valid JSON.") from error
