"""Slots such as `{approval}` in replies, filled with the state as it is when they are said."""

from __future__ import annotations

import re

from simulations.engine.world import World
from simulations.engine.worldState import State, formatValue

SLOT = re.compile(r"\{([a-z][A-Za-z0-9]{0,39})\}")


def fillSlots(world: World, state: State, text: str) -> str:
    """Returns a reply with its slots filled; a slot that the player may not see stays hidden."""

    def fill(match: re.Match[str]) -> str:
        slug = match.group(1)
        if slug == "playerRole":
            return world.playerRole
        variable = world.variables.get(slug)
        if variable is None or not variable.visibility.player:
            return "…"
        return formatValue(variable, state[slug])

    return SLOT.sub(fill, text)


def findUnknownSlots(world: World, text: str) -> list[str]:
    """Returns the slots of a text that nothing fills."""
    return [slug for slug in SLOT.findall(text) if slug != "playerRole" and slug not in world.variables]


class SlotStream:
    """Fills slots in text that comes in pieces, holding back what may be the start of one."""

    def __init__(self, world: World, state: State):
        self.world = world
        self.state = state
        self.held = ""

    def feed(self, piece: str) -> str:
        """Returns what can be shown now."""
        text = self.held + piece
        cut = text.rfind("{")
        isOpen = cut >= 0 and "}" not in text[cut:] and len(text) - cut <= 42
        self.held = text[cut:] if isOpen else ""
        return fillSlots(self.world, self.state, text[:cut] if isOpen else text)

    def finish(self) -> str:
        """Returns what was held back."""
        held, self.held = self.held, ""
        return held
