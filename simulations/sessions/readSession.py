"""What a client that comes (back) to a session is told."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import F

from costs.pricing import getPrices
from pm6.exceptions import UnknownPriceError
from simulations.engine.modelCalls import findClientKind
from simulations.engine.world import World, getWorld
from simulations.models import Branch, Session, Turn
from simulations.presenters import (
    presentAgents,
    presentMoney,
    presentScene,
    presentSession,
    presentTurn,
    presentVariables,
)
from simulations.protocol import TurnView, Welcome
from simulations.sessions.access import Actor, checkOwner
from simulations.sessions.recovery import recoverSession

MOST_TURNS = 200


def findBranch(sessionId: UUID, actor: Actor) -> tuple[World, Branch]:
    """Returns the timeline a session stands on, with its world.

    Raises:
        SessionNotFoundError: There is none for this actor.
    """
    branch = (
        Branch.objects.filter(session_id=sessionId, session__activeBranch=F("pk"))
        .select_related("session__simulation")
        .first()
    )
    checkOwner(branch.session if branch else None, actor, sessionId)
    assert branch is not None
    return getWorld(branch.session.simulation_id, branch.session.simulation.revision), branch


def readWelcome(sessionId: UUID, actor: Actor, after: int) -> Welcome:
    """Returns where a session stands, with the turns that changed after a sequence.

    A turn whose process died is cleared away on the way, so that the player can go on.

    Raises:
        SessionNotFoundError: There is none for this actor.
    """
    recoverSession(sessionId, actor)
    world, branch = findBranch(sessionId, actor)
    turns, more = listTurns(world, branch, after)
    return Welcome(
        sequence=branch.session.sequence,
        session=presentSession(world, branch.session),
        agents=presentAgents(world),
        variables=presentVariables(world),
        scene=presentScene(world, branch),
        turns=turns,
        more=more,
        openTurn=findOpenKey(branch),
        money=presentMoney(world, branch.session),
        modelNote=describeModel(world, branch.session),
    )


def listTurns(world: World, branch: Branch, after: int) -> tuple[list[TurnView], bool]:
    """Returns the turns of a timeline that changed after a sequence, the oldest first."""
    rows = list(
        Turn.objects.filter(branch=branch, sequence__gt=after)
        .exclude(status=Turn.Status.OPEN)
        .prefetch_related("replies")
        .order_by("-number", "-id")[: MOST_TURNS + 1]
    )
    shown = rows[:MOST_TURNS][::-1]
    return [presentTurn(world, turn, turn.replies.all()) for turn in shown], len(rows) > MOST_TURNS


def findOpenKey(branch: Branch) -> str:
    keys = Turn.objects.filter(branch=branch, status=Turn.Status.OPEN).values_list("clientKey", flat=True)
    return keys.first() or ""


def describeModel(world: World, session: Session) -> str:
    """Returns in words what answers when nothing is stored."""
    kind = findClientKind(world, session.mode, session.player_id is None and bool(session.guestKey))
    if kind is None:
        return "Only stored replies are played."
    if kind == "scripted":
        return "A scripted stand-in answers what isn't stored; it costs nothing."
    if kind == "local":
        return "A small embedded model answers what isn't stored; it costs nothing."
    model = world.model or settings.PM6_MODEL
    try:
        getPrices(model, kind)
    except UnknownPriceError:
        return f"{model} has no known price, so only stored replies are played."
    return f"{model} answers what isn't stored."
