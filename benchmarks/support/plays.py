"""A session played in this process, without sockets: for measurements of the engine alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pm6.exceptions import PM6Error
from simulations.engine.plan import TurnRequest, planTurn
from simulations.engine.settle import TurnResult
from simulations.engine.situation import PlayerInput
from simulations.models import Session
from simulations.protocol import SceneView
from simulations.sessions.access import Actor
from simulations.sessions.readSession import readWelcome
from simulations.sessions.startSession import startSession

PROGRAM = Actor(isTrusted=True)


@dataclass
class Play:
    """A session and where it stands.

    Attributes:
        dice: Of the player, not of the session.
        count: How many turns were played.
    """

    session: Session
    scene: SceneView
    dice: random.Random
    count: int = 0
    status: str = "running"

    @classmethod
    def start(cls, slug: str, seed: int, mode: str = "sealed") -> Play:
        session = startSession(slug, PROGRAM, mode=mode, seed=seed)
        return cls(session, readWelcome(session.pk, PROGRAM, 0).scene, random.Random(seed))

    def choose(self, intent: str) -> TurnResult:
        """Plays one turn by an option.

        Raises:
            PM6Error: It needed a model, which these sessions have none of.
        """
        self.count += 1
        key = f"turn-{self.count:08d}"
        result = planTurn(TurnRequest(self.session.pk, PROGRAM, PlayerInput(option=intent), key))
        if not isinstance(result, TurnResult):
            raise PM6Error("A turn asked for a model.")
        self.scene, self.status = result.message.scene, result.message.status
        return result

    def playAny(self) -> TurnResult:
        return self.choose(self.dice.choice(self.scene.options).intent)
