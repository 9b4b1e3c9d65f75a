"""The story of one interaction, on one screen: plan, ask, settle, notify."""

from __future__ import annotations

import asyncio
import logging
from copy import copy

from django.db import OperationalError

from pm6.exceptions import PM6Error
from simulations.engine.ask import askModels, stopAsking
from simulations.engine.database import inDatabase
from simulations.engine.notify import notify
from simulations.engine.outcomes import ReplyOutcome
from simulations.engine.plan import PlannedTurn, TurnRequest, planTurn
from simulations.engine.settle import TurnResult, settleTurn
from simulations.protocol import TurnStarted

logger = logging.getLogger("pm6.engine")
SETTLE_PAUSES = (0.1, 0.5, 2.0)
_running: set[asyncio.Task[TurnResult]] = set()


async def interact(request: TurnRequest) -> TurnResult:
    """Plays one turn, whoever listens.

    The turn belongs to the session: should the caller be cancelled, a socket's say, the turn
    goes on in a task of its own and is there when the player comes back.

    Args:
        request: The input; the same clientKey again gives the same turn and no second charge.

    Returns:
        The finished turn.

    Raises:
        PM6Error: The input was refused and nothing was written.
    """
    task = asyncio.create_task(_playTurn(request))
    _running.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


async def _playTurn(request: TurnRequest) -> TurnResult:
    planned = await inDatabase(planTurn, request)
    if isinstance(planned, PlannedTurn):
        await notify(request.sessionId, presentStart(planned))
        outcomes = await askModels(planned)
        result = await settle(planned, outcomes)
    else:
        result = planned
    if result.isNew:
        await notify(request.sessionId, result.message)
    return result


async def settle(planned: PlannedTurn, outcomes: list[ReplyOutcome]) -> TurnResult:
    """Records a turn; a database that is busy or was away for a moment is asked again.

    Raises:
        OperationalError: It stayed away; the turn's lease and reservations run out by themselves.
    """
    for pause in SETTLE_PAUSES:
        try:
            # A copy, since a try that fails half-way leaves its row changed in memory.
            turn = copy(planned.turn)
            return await inDatabase(settleTurn, planned.world, turn, planned.heard, outcomes)
        except OperationalError:
            logger.warning("turn %s could not be recorded and is tried again", planned.turn.pk)
            await asyncio.sleep(pause)
    return await inDatabase(settleTurn, planned.world, planned.turn, planned.heard, outcomes)


def _forget(task: asyncio.Task[TurnResult]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, PM6Error):
        # Whoever asked may be gone; the failure must not go with them.
        logger.error("a turn failed", exc_info=error)


async def drainTurns() -> None:
    """Ends this process's turns in an orderly way: calls are cut, what they used is recorded."""
    stopAsking()
    if _running:
        await asyncio.wait(set(_running))


def presentStart(planned: PlannedTurn) -> TurnStarted:
    return TurnStarted(
        clientKey=planned.turn.clientKey,
        number=planned.turn.number,
        inputText=planned.turn.inputText,
        agents=[route["agent"] for route in planned.turn.route if route["chosen"]],
    )
