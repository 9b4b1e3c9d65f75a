from simulations.models.session import Branch, Reply, Session, Turn
from simulations.models.simulation import (
    Intent,
    Rule,
    Simulation,
    SituationType,
    StateVariable,
    WorldEvent,
)

__all__ = [
    "Branch",
    "Intent",
    "Reply",
    "Rule",
    "Session",
    "Simulation",
    "SituationType",
    "StateVariable",
    "Turn",
    "WorldEvent",
]
