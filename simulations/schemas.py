"""The JSON that this app keeps in columns, as pydantic models."""

from __future__ import annotations

from typing import Literal

from costs.schemas import Effect, SignatureComponents, StrictModel
from simulations.packs.packFormat import OptionPart, Visibility

__all__ = ["AppliedEffect", "Effect", "OptionPart", "RouteDecision", "TurnNote", "Visibility", "Why"]

Rung = Literal[
    "variant", "model", "cheaperModel", "heardVariant", "doubtfulVariant", "nearestVariant", "line"
]


class AppliedEffect(StrictModel):
    """A change of a variable that happened, and what caused it.

    Attributes:
        source: `intent`, `rule:<slug>`, `event:<slug>` or the slug of the agent that answered.
    """

    variable: str
    before: bool | float | str
    after: bool | float | str
    source: str


class RouteDecision(StrictModel):
    """Why an agent answers a turn, or doesn't."""

    agent: str
    chosen: bool
    reason: Literal["named", "intent", "keyword", "situation", "fallback", "notNeeded"]


class TurnNote(StrictModel):
    """Something the player reads besides replies: an event, a rule that fired, an ending."""

    kind: Literal["event", "rule", "win", "lose", "move", "system"]
    slug: str
    title: str
    text: str


class Candidate(StrictModel):
    """A variant that was considered, and what ruled it out, if anything."""

    variant: int
    heard: int
    specificity: int
    weight: float
    ruledOut: str = ""


class Why(StrictModel):
    """Why a reply is what it is.

    Attributes:
        rung: The step of the ladder that gave it.
        reason: Why the ladder was walked, empty for a plain hit or a plain call.
        candidates: At most twenty.
    """

    components: SignatureComponents
    digest: str
    rung: Rung
    reason: str = ""
    candidates: list[Candidate] = []
    draw: float = 0.0
