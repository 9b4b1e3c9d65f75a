"""Starts a session of a simulation."""

from __future__ import annotations

import secrets

from django.db import transaction

from agents.llm.clients import resolveClientKind
from costs.budgets import ensureBudget
from pm6.exceptions import AccessError, InvalidInputError
from simulations.engine.world import findWorld
from simulations.models import Branch, Session
from simulations.models.session import MODES
from simulations.sessions.access import Actor

SEED_BITS = 62


def startSession(
    slug: str, actor: Actor, *, mode: str = "", seed: int | None = None, language: str = ""
) -> Session:
    """Starts a play of a simulation, with its first timeline and its budget.

    Args:
        slug: The simulation.
        actor: Whose session it becomes.
        mode: `live`, `test` or `sealed`; live where a real model can answer, else test.
        seed: Decides every draw of the session; random when left out.
        language: BCP 47 tag; the simulation's when left out.

    Raises:
        SimulationNotFoundError: There is none of that name.
        AccessError: The actor is a guest and the simulation takes none.
    """
    world = findWorld(slug)
    isGuest = actor.userId is None and not actor.isTrusted
    if isGuest and not (world.allowGuests and actor.guestKey):
        raise AccessError(f"{world.title} is not open to guests.", hint="Sign in to play it.")
    session = Session(
        simulation_id=world.id,
        player_id=actor.userId,
        guestKey="" if actor.userId else actor.guestKey,
        mode=findMode(mode),
        language=language or world.language,
        seed=secrets.randbits(SEED_BITS) if seed is None else seed,
    )
    with transaction.atomic():
        session.save(force_insert=True)
        branch = Branch.objects.create(
            session=session, situation=world.openingSituation, state=world.initialState()
        )
        session.activeBranch = branch
        session.save(update_fields=["activeBranch"])
        ensureBudget("session", world.sessionBudgetNano, session=session)
    return session


def findMode(wanted: str) -> str:
    """Returns the mode of a new session; scripted models make every unsealed one a test.

    Raises:
        InvalidInputError: There is no such mode.
    """
    if wanted and wanted not in dict(MODES):
        raise InvalidInputError(f"There is no mode {wanted}.", hint="Choose live, test or sealed.")
    if wanted in ("sealed", "test"):
        return wanted
    return "test" if resolveClientKind() == "scripted" else "live"
