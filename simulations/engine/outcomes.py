"""What became of one agent's task: the reply, its source, and everything it used on the way."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agents.llm.rateLimiter import AttemptRecord
from costs.responseCache import StoredVariant
from costs.schemas import Effect
from costs.singleFlight import Seat
from costs.variantChoice import Choice
from simulations.engine.candidates import AgentTask


@dataclass(frozen=True, slots=True)
class Payment:
    """The model calls made for a reply, whether they gave its text or not.

    Attributes:
        clientKind: The kind of client that was called.
        reservation: Token of the money to settle.
    """

    attempts: tuple[AttemptRecord, ...] = ()
    clientKind: str = ""
    reservation: UUID | None = None
    reservedNano: int = 0


@dataclass(frozen=True, slots=True)
class ReplyOutcome:
    """A reply before it is recorded.

    Attributes:
        text: As stored, with slots.
        rung: The step of the ladder that gave it; see `simulations.schemas.Rung`.
        reason: Why the ladder was walked.
        paid: What was called for it, and with which money.
        withdrawn: Texts that were seen in part and then replaced.
        seat: The flight that this outcome lands.
        isNew: Whether it becomes a variant.
        checkResult: What the automatic checks found; such a variant isn't served unreviewed.
        savedNano: What it would have cost otherwise.
    """

    task: AgentTask
    text: str
    source: str
    rung: str
    reason: str = ""
    choice: Choice | None = None
    variantId: int | None = None
    effects: tuple[Effect, ...] = ()
    model: str = ""
    clientKind: str = ""
    paid: Payment = Payment()
    withdrawn: tuple[str, ...] = ()
    seat: Seat | None = None
    isNew: bool = False
    savedNano: int = 0
    checkResult: str = ""
    totalMs: float = 0.0


def serveStored(
    task: AgentTask,
    variant: StoredVariant,
    choice: Choice | None,
    *,
    rung: str,
    savedNano: int,
    reason: str = "",
) -> ReplyOutcome:
    """Returns the outcome of a reply from the database."""
    return ReplyOutcome(
        task=task,
        text=variant.text,
        source="hit",
        rung=rung,
        reason=reason,
        choice=choice,
        variantId=variant.id,
        effects=variant.effects,
        model=variant.model,
        savedNano=variant.costNano or savedNano,
    )
