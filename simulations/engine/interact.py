"""The story of one interaction, on one screen: plan, ask, settle, notify."""

from __future__ import annotations

import asyncio

from simulations.engine.ask import askModels
from simulations.engine.database import inDatabase
from simulations.engine.notify import notify
from simulations.engine.plan import PlannedTurn, TurnRequest, planTurn
from simulations.engine.settle import TurnResult, settleTurn
from simulations.protocol import TurnStarted

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
    task.add_done_callback(_running.discard)
    return await asyncio.shield(task)


async def _playTurn(request: TurnRequest) -> TurnResult:
    planned = await inDatabase(planTurn, request)
    if isinstance(planned, PlannedTurn):
        await notify(request.sessionId, presentStart(planned))
        outcomes = await askModels(planned)
        result = await inDatabase(settleTurn, planned.world, planned.turn, planned.heard, outcomes)
    else:
        result = planned
    if result.isNew:
        await notify(request.sessionId, result.message)
    return result


def presentStart(planned: PlannedTurn) -> TurnStarted:
    return TurnStarted(
        clientKey=planned.turn.clientKey,
        number=planned.turn.number,
        inputText=planned.turn.inputText,
        agents=[route["agent"] for route in planned.turn.route if route["chosen"]],
    )
