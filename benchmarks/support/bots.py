"""Players without wit: one that rolls dice, one that looks a step ahead, and its opposite."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from costs.expressions import evaluate
from simulations.engine.rules import Moment
from simulations.engine.world import Variable, World
from simulations.engine.worldState import CausedEffect, State, applyEffects

BOTS = ("random", "greedy", "worst")
ENDINGS = ("win", "lose")
# What a win is made of counts most, then what a loss is made of, then all else that is good to have.
WEIGHTS = {"win": 4.0, "lose": 2.0, "": 0.5}
CERTAIN = 1000.0
NAMED = re.compile(r"\bstate\.([A-Za-z0-9]+)")

Chooser = Callable[[Sequence[str], State, int, str, random.Random], str]


def weighVariables(world: World) -> dict[str, float]:
    """Returns how much each variable matters to the endings."""
    weights = {slug: WEIGHTS[""] for slug, v in world.variables.items() if v.better != "neutral"}
    for kind in reversed(ENDINGS):
        for rule in world.rules:
            named = NAMED.findall(rule.condition) if rule.kind == kind else []
            weights |= {slug: WEIGHTS[kind] for slug in named if slug in weights}
    return weights


def scoreState(world: World, weights: Mapping[str, float], state: State) -> float:
    """Returns how good a state is: each variable by its `better`, what is nearly lost counting most."""
    return sum(weight * _goodness(world.variables[slug], state[slug]) for slug, weight in weights.items())


def _goodness(variable: Variable, value: Any) -> float:
    if variable.kind == "choice":
        return float(value == variable.initial)
    low, high = (0.0, 1.0) if variable.kind == "flag" else (variable.minimum, variable.maximum)
    share = (float(value) - low) / ((high - low) or 1.0)
    share = share if variable.better == "higher" else 1.0 - share
    return 1.0 - (1.0 - share) ** 2


def scoreIntent(world: World, weights: Mapping[str, float], state: State, moment: Moment) -> float:
    """Returns how good the state is that an intent's own effects lead to; an ending is certain."""
    intent = world.intents[moment.intent]
    after, _ = applyEffects(world, state, (CausedEffect(effect, "intent") for effect in intent.effects))
    context = moment.context(after)
    for rule in world.rules:
        if rule.kind in ENDINGS and evaluate(rule.condition, context):
            return CERTAIN if rule.kind == "win" else -CERTAIN
    return scoreState(world, weights, after)


def buildChooser(world: World, bot: str) -> Chooser:
    """Returns the choice of a bot: from options, state, turn and situation to an intent."""
    weights = weighVariables(world)
    sign = -1.0 if bot == "worst" else 1.0

    def chooseAny(
        intents: Sequence[str], state: State, turn: int, situation: str, dice: random.Random
    ) -> str:
        return dice.choice(intents)

    def chooseBest(
        intents: Sequence[str], state: State, turn: int, situation: str, dice: random.Random
    ) -> str:
        # The die decides between equals.
        return max(
            intents,
            key=lambda i: (
                sign * scoreIntent(world, weights, state, Moment(turn, situation, i)),
                dice.random(),
            ),
        )

    return chooseAny if bot == "random" else chooseBest
