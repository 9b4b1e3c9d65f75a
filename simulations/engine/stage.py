"""A reply as it streams: shown piece by piece, and taken back where it breaks."""

from __future__ import annotations

import asyncio

from agents.llm.client import Finished, TextDelta
from agents.llm.rateLimiter import Withdrawn
from simulations.engine.notify import notify
from simulations.engine.plan import Ask, PlannedTurn
from simulations.engine.slots import SlotStream
from simulations.protocol import ReplyDelta, ReplyWithdrawn


class Stage:
    """Shows one reply as it streams, with slots filled, and takes it back where it breaks."""

    def __init__(self, planned: PlannedTurn, ask: Ask, withdrawn: list[str], begun: asyncio.Event | None):
        self.planned = planned
        self.agent = ask.task.profile.config.slug
        self.replyId = f"{planned.turn.pk}.{ask.task.position}"
        self.begun = begun
        self.shows = False
        self.withdrawn = withdrawn
        self._reset()

    def _reset(self) -> None:
        self.slots = SlotStream(self.planned.world, self.planned.state)
        self.raw = ""
        self.offset = 0

    async def play(self, event: TextDelta | Withdrawn | Finished) -> Finished | None:
        """Shows one event; returns it where it is the end."""
        if self.begun:
            self.begun.set()
        if isinstance(event, Finished):
            await self._show(self.slots.finish())
            return event
        if isinstance(event, Withdrawn):
            await self.withdraw()
        else:
            self.raw += event.text
            await self._show(self.slots.feed(event.text))
        return None

    async def _show(self, text: str) -> None:
        if not text or not self.shows:
            return
        delta = ReplyDelta(
            clientKey=self.planned.turn.clientKey,
            replyId=self.replyId,
            agent=self.agent,
            offset=self.offset,
            text=text,
        )
        self.offset += len(text)
        await notify(self.planned.turn.session_id, delta)

    async def withdraw(self) -> None:
        """Takes back what was shown; the text stays on record."""
        if self.raw:
            self.withdrawn.append(self.raw)
        if self.offset:
            message = ReplyWithdrawn(clientKey=self.planned.turn.clientKey, replyId=self.replyId)
            await notify(self.planned.turn.session_id, message)
        self._reset()
