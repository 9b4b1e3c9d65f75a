"""What follows from the state: rules in the author's order, and the events they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cel

from costs.expressions import buildContext, evaluate
from pm6.exceptions import ForbiddenActionError
from simulations.engine.world import EventSpec, RuleSpec, World
from simulations.engine.worldState import CausedEffect, State, applyEffects
from simulations.schemas import AppliedEffect, TurnNote


@dataclass(frozen=True, slots=True)
class Moment:
    """What conditions can see besides the state."""

    turn: int
    situation: str
    intent: str

    def context(self, state: State) -> cel.Context:
        """Returns what conditions see; one for all that look at the same state."""
        return buildContext(
            {"state": dict(state), "turn": self.turn, "situation": self.situation, "intent": self.intent}
        )


@dataclass(frozen=True, slots=True)
class Consequences:
    """What rules and events made of a turn.

    Attributes:
        nextSituation: Where they move the story; empty where they don't.
        status: `running`, `won`, `lost` or `ended`.
        firedRules: Rule to the turn it last fired in.
    """

    state: dict[str, bool | float | str]
    applied: list[AppliedEffect]
    notes: list[TurnNote] = field(default_factory=list)
    nextSituation: str = ""
    status: str = "running"
    outcome: str = ""
    firedRules: dict[str, int] = field(default_factory=dict)


def checkAllowed(world: World, state: State, moment: Moment) -> None:
    """Raises ForbiddenActionError where a rule forbids the intent now."""
    context = moment.context(state)
    for rule in world.rules:
        if rule.kind == "forbid" and evaluate(rule.condition, context):
            raise ForbiddenActionError(
                rule.message or f"{rule.title}: this isn't possible now.", details={"rule": rule.slug}
            )


def applyRules(world: World, state: State, moment: Moment, fired: Mapping[str, int]) -> Consequences:
    """Applies the rules in order, each to the state that the ones before left.

    The first `win` or `lose` ends the session and the walk.
    """
    result = Consequences(state=dict(state), applied=[], firedRules=dict(fired))
    status, outcome, situation = "running", "", ""
    context = moment.context(state)
    for rule in world.rules:
        if rule.kind == "forbid" or not _isDue(rule, moment.turn, fired):
            continue
        if not evaluate(rule.condition, context):
            continue
        result.firedRules[rule.slug] = moment.turn
        situation = _fire(world, rule, result) or situation
        context = moment.context(result.state)
        if rule.kind in ("win", "lose"):
            status, outcome = ("won" if rule.kind == "win" else "lost"), rule.message or rule.title
            break
    if status == "running" and world.turnLimit and moment.turn >= world.turnLimit:
        status, outcome = "ended", "The time is over."
    return Consequences(
        result.state, result.applied, result.notes, situation, status, outcome, result.firedRules
    )


def _isDue(rule: RuleSpec, turn: int, fired: Mapping[str, int]) -> bool:
    last = fired.get(rule.slug)
    return last is None or not (rule.once or turn - last <= rule.cooldown)


def _fire(world: World, rule: RuleSpec, result: Consequences) -> str:
    """Carries out one rule; returns the situation it moves to, if any."""
    _change(world, result, rule.effects, f"rule:{rule.slug}")
    if rule.message:
        kind = rule.kind if rule.kind in ("win", "lose", "move") else "rule"
        result.notes.append(TurnNote(kind=kind, slug=rule.slug, title=rule.title, text=rule.message))
    situation = rule.situation
    for event in _followChain(world, rule.event):
        _change(world, result, event.effects, f"event:{event.slug}")
        result.notes.append(TurnNote(kind="event", slug=event.slug, title=event.title, text=event.text))
        situation = event.situation or situation
    return situation


def _change(world: World, result: Consequences, effects, source: str) -> None:
    after, applied = applyEffects(world, result.state, (CausedEffect(e, source) for e in effects))
    result.state.update(after)
    result.applied.extend(applied)


def _followChain(world: World, slug: str) -> list[EventSpec]:
    chain: list[EventSpec] = []
    while slug in world.events and world.events[slug] not in chain:
        chain.append(world.events[slug])
        slug = chain[-1].then
    return chain
