"""State changes: relative effects, in order, inside the schema, each on record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from costs.schemas import Effect
from simulations.engine.world import Variable, World
from simulations.schemas import AppliedEffect

State = Mapping[str, bool | float | str]


@dataclass(frozen=True, slots=True)
class CausedEffect:
    """An effect and who caused it: `intent`, an agent, `rule:<slug>` or `event:<slug>`."""

    effect: Effect
    source: str


def applyEffects(
    world: World, state: State, effects: Iterable[CausedEffect]
) -> tuple[dict[str, bool | float | str], list[AppliedEffect]]:
    """Returns the state after effects, clamped last, and what changed.

    Args:
        world: Gives the schema.
        state: Complete and within the schema; not changed.
        effects: In order. One of an unknown variable or of the wrong kind does nothing.
    """
    after = dict(state)
    applied: list[AppliedEffect] = []
    for caused in effects:
        variable = world.variables.get(caused.effect.variable)
        if variable is None:
            continue
        before = after[variable.slug]
        value = _change(variable, before, caused.effect)
        if value != before:
            after[variable.slug] = value
            applied.append(
                AppliedEffect(variable=variable.slug, before=before, after=value, source=caused.source)
            )
    for variable in world.variables.values():
        value = clamp(variable, after[variable.slug])
        if value != after[variable.slug]:
            applied.append(
                AppliedEffect(
                    variable=variable.slug, before=after[variable.slug], after=value, source="limit"
                )
            )
            after[variable.slug] = value
    return after, applied


def _change(variable: Variable, value: bool | float | str, effect: Effect) -> bool | float | str:
    if variable.kind == "number" and effect.add is not None and not isinstance(value, str):
        return round(value + effect.add, 6)
    if variable.kind == "flag" and effect.toggle:
        return not value
    if variable.kind == "flag" and isinstance(effect.set, bool):
        return effect.set
    if variable.kind == "choice" and isinstance(effect.set, str) and effect.set in variable.choices:
        return effect.set
    return value


def clamp(variable: Variable, value: bool | float | str) -> bool | float | str:
    """Returns the nearest value that the variable's schema allows."""
    if variable.kind != "number" or isinstance(value, str):
        return value
    return min(max(value, variable.minimum), variable.maximum)


def formatValue(variable: Variable, value: bool | float | str) -> str:
    """Returns a value as a reader sees it, with its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    number = f"{value:.1f}".rstrip("0").rstrip(".")
    return f"{number}{variable.unit}" if variable.unit == "%" else f"{number} {variable.unit}".strip()
