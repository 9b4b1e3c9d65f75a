"""What is served when no model may or can answer: the rungs below a call, each on record."""

from __future__ import annotations

from costs.responseCache import findNearest
from costs.signatureCompute import computeDraw
from costs.variantChoice import pickWeighted
from pm6.exceptions import CostLimitError, PM6Error, SignatureMatchError
from simulations.engine.candidates import AgentTask, Stored
from simulations.engine.outcomes import ReplyOutcome, serveStored
from simulations.engine.world import World
from simulations.models import Branch

NEARLY_ALIKE = 5


def walkLadder(world: World, branch: Branch, task: AgentTask, stored: Stored, reason: str) -> ReplyOutcome:
    """Returns the best reply that costs nothing.

    In order: what may be served, though heard before; an approved one of an older epoch; the
    approved one for the nearest state; the line the author wrote for this.

    Args:
        reason: Code of what kept the model from answering, such as `costLimit`.

    Raises:
        CostLimitError: The budget is empty and so is the ladder.
        SignatureMatchError: Nothing is stored and no model may be asked.
    """
    saved = world.savedEstimate(task.profile)
    if stored.choice.variant:
        rung = "heardVariant" if stored.choice.heard else "variant"
        return serveStored(
            task, stored.choice.variant, stored.choice, rung=rung, savedNano=saved, reason=reason
        )
    draw = computeDraw(branch.session.seed, branch.headTurn + 1, task.profile.config.slug, "ladder")
    if variant := pickWeighted(stored.doubtful, draw):
        return serveStored(
            task, variant, stored.choice, rung="doubtfulVariant", savedNano=saved, reason=reason
        )
    nearest = findNearest(task.components, task.profile.id, branch.session.mode)[:NEARLY_ALIKE]
    nearest = [v for v in nearest if not v.condition]
    if nearest:
        return serveStored(
            task, nearest[0], stored.choice, rung="nearestVariant", savedNano=saved, reason=reason
        )
    if task.profile.config.fallbackLine:
        return ReplyOutcome(
            task=task,
            text=task.profile.config.fallbackLine,
            source="line",
            rung="line",
            reason=reason,
            choice=stored.choice,
        )
    raise emptyLadderError(task, reason)


def emptyLadderError(task: AgentTask, reason: str) -> PM6Error:
    """Returns the error of a ladder with nothing on it."""
    name = task.profile.config.name
    if reason == CostLimitError.code:
        return CostLimitError(f"The budget has no room for {name}'s reply, and nothing is stored for it.")
    return SignatureMatchError(
        f"Nothing is stored that {name} could answer here.", details={"reason": reason}
    )
