"""What a dead process left behind: open turns, money set aside, flights."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from costs.sweeps import sweepMoney
from simulations.engine.plan import interruptTurn, isExpired, lockBranch
from simulations.models import Turn
from simulations.sessions.access import Actor


def recoverSession(sessionId: UUID, actor: Actor) -> None:
    """Interrupts an open turn of a session whose lease has run out, so that the player can go on.

    Raises:
        SessionNotFoundError: There is none for this actor.
    """
    if not findExpired().filter(session_id=sessionId).exists():
        return
    with transaction.atomic():
        branch = lockBranch(sessionId, actor)
        for turn in Turn.objects.filter(session_id=sessionId, status=Turn.Status.OPEN):
            if isExpired(turn, timezone.now()):
                interruptTurn(branch.session, turn)


def sweepLeftovers() -> int:
    """Clears away everything whose lease has run out; returns how many turns were interrupted.

    Run when a server starts; a lease that another process still renews is left alone.
    """
    sessions = list(findExpired().values_list("session_id", flat=True).distinct())
    for sessionId in sessions:
        recoverSession(sessionId, Actor(isTrusted=True))
    sweepMoney()
    return len(sessions)


def findExpired():
    return Turn.objects.filter(status=Turn.Status.OPEN, leaseUntil__lt=timezone.now())
