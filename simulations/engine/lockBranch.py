"""The first queries of every turn: where its session stands, locked, and what runs there."""

from __future__ import annotations

from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import F, OuterRef, Q, Subquery

from costs.preparedSql import PreparedQuery, Slot
from simulations.models import Branch, Session, Simulation, Turn
from simulations.sessions.access import Actor, checkOwner

BRANCH_COLUMNS = [field.attname for field in Branch._meta.concrete_fields]
SESSION_COLUMNS = [field.attname for field in Session._meta.concrete_fields]


def lockBranch(sessionId: UUID, actor: Actor) -> Branch:
    """Locks the timeline a session stands on and returns it with its session.

    Raises:
        SessionNotFoundError: There is none for this actor.
    """
    row = next(LOCKED_BRANCH.fetch(session=sessionId), None)
    branch = buildBranch(row) if row else None
    checkOwner(branch.session if branch else None, actor, sessionId)
    assert branch is not None
    return branch


def buildBranch(row: tuple) -> Branch:
    """Returns the rows that one row of `LOCKED_BRANCH` holds; of the simulation only its revision."""
    ofSession = row[len(BRANCH_COLUMNS) : -1]
    branch = Branch.from_db(DEFAULT_DB_ALIAS, BRANCH_COLUMNS, row[: len(BRANCH_COLUMNS)])
    branch.session = Session.from_db(DEFAULT_DB_ALIAS, SESSION_COLUMNS, ofSession)
    known = (branch.session.simulation_id, row[-1])
    branch.session.simulation = Simulation.from_db(DEFAULT_DB_ALIAS, ["id", "revision"], known)
    return branch


def selectBranch() -> models.QuerySet:
    # The simulation isn't joined: its row would be locked too, and its sessions would wait for each other.
    simulation = Simulation.objects.filter(pk=OuterRef("session__simulation_id"))
    return (
        Branch.objects.filter(session_id=Slot("session", models.UUIDField()), session__activeBranch=F("pk"))
        .order_by()
        .values_list(
            *BRANCH_COLUMNS,
            *(f"session__{name}" for name in SESSION_COLUMNS),
            Subquery(simulation.values("revision")),
        )
        .select_for_update()
    )


def selectEarlier() -> models.QuerySet:
    # Each side of the "or" is one look into an index of its own, however long the story is.
    branch = Q(branch_id=Slot("branch", models.BigIntegerField()))
    isSame = Q(clientKey=Slot("clientKey", models.CharField())) & ~Q(status=Turn.Status.INTERRUPTED)
    isOpen = Q(status=Turn.Status.OPEN)
    return Turn.objects.filter((branch & isSame) | (branch & isOpen)).order_by().values_list("pk")


LOCKED_BRANCH = PreparedQuery(selectBranch)
EARLIER_TURNS = PreparedQuery(selectEarlier)
