"""Step 3 of an interaction: one short transaction that records everything a turn caused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from costs.budgets import releaseReservation, settleReservation
from costs.costTracker import LedgerLine, computeLine, hitLine, recordCosts
from costs.models import ResponseVariant
from costs.preparedSql import insertRows, updateRow
from costs.responseCache import getSignature
from costs.singleFlight import failFlight, landFlight
from pm6.exceptions import TurnSupersededError
from simulations.engine.outcomes import ReplyOutcome
from simulations.engine.rules import Consequences, Moment, applyRules
from simulations.engine.situation import Recognised
from simulations.engine.slots import fillSlots
from simulations.engine.world import World
from simulations.engine.worldState import CausedEffect, applyEffects
from simulations.models import Branch, Reply, Session, Turn
from simulations.presenters import presentMoney, presentScene, presentTurn
from simulations.protocol import TurnMessage
from simulations.schemas import Candidate, Why

MOST_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A finished turn as it leaves the engine.

    Attributes:
        isNew: False for a turn that was there already under the same clientKey.
    """

    sessionId: UUID
    message: TurnMessage
    isNew: bool


def settleTurn(world: World, turn: Turn, heard: Recognised, outcomes: Sequence[ReplyOutcome]) -> TurnResult:
    """Records an open turn; its money in any case, its replies only while its lease is ours.

    Raises:
        TurnSupersededError: The lease was lost; only the money was recorded.
    """
    with transaction.atomic():
        branch = (
            Branch.objects.select_related("session")
            .select_for_update(of=("self", "session"))
            .get(pk=turn.branch_id)
        )
        owned = Turn.objects.filter(pk=turn.pk, status=Turn.Status.OPEN, leaseToken=turn.leaseToken).update(
            leaseToken=None
        )
        if owned:
            return recordTurn(world, branch, turn, heard, outcomes)
        for outcome in outcomes:
            if outcome.seat:
                failFlight(outcome.seat)
        spent = recordMoney(world, branch.session, turn, outcomes)
        Session.objects.filter(pk=branch.session_id).update(spentNano=F("spentNano") + sum(spent))
    raise TurnSupersededError("The turn was taken over while the model answered.")


def recordTurn(
    world: World, branch: Branch, turn: Turn, heard: Recognised, outcomes: Sequence[ReplyOutcome]
) -> TurnResult:
    """Writes a turn with its replies, ledger, state and new variants; inside a transaction.

    Args:
        branch: Locked, with its session.
        turn: Not yet saved where the database had every reply, else the open one.
        outcomes: One for each agent that answers.
    """
    session, now = branch.session, timezone.now()
    outcomes = sorted(outcomes, key=lambda outcome: outcome.task.position)
    result = computeConsequences(world, branch, turn, heard, outcomes)
    session.sequence += 1
    turn.sequence = session.sequence
    turn.status, turn.leaseToken = Turn.Status.DONE, None
    turn.stateAfter = result.state
    turn.effects = [effect.model_dump() for effect in result.applied]
    turn.notes = [note.model_dump() for note in result.notes]
    turn.nextSituation = result.nextSituation or heard.nextSituation
    turn.outcome = "" if result.status == "running" else result.status
    turn.settledAt = now
    turn.totalMs = (now - turn.startedAt).total_seconds() * 1000
    if turn.pk is None:
        insertRows([turn])
    else:
        turn.save()
    variants = [storeVariant(world, branch, outcome) for outcome in outcomes]
    spent = recordMoney(world, session, turn, outcomes)
    for token in turn.reservations:
        # What no outcome settled was set aside for a call that was never made.
        releaseReservation(UUID(str(token)))
    replies = recordReplies(world, branch, turn, outcomes, variants, spent)
    moveBranch(branch, turn, result)
    moveSession(session, result, sum(spent), sum(outcome.savedNano for outcome in outcomes), now)
    return buildResult(world, branch, turn, replies, isNew=True)


def computeConsequences(
    world: World, branch: Branch, turn: Turn, heard: Recognised, outcomes: Sequence[ReplyOutcome]
) -> Consequences:
    """Applies effects in order: the intent's, each reply's, then rules and events."""
    intent = world.intents.get(heard.match.intent)
    caused = [CausedEffect(effect, "intent") for effect in (intent.effects if intent else ())]
    for outcome in outcomes:
        caused += [CausedEffect(effect, outcome.task.profile.config.slug) for effect in outcome.effects]
    state, applied = applyEffects(world, turn.stateBefore, caused)
    moment = Moment(turn.number, heard.situation.slug, heard.match.intent)
    result = applyRules(world, state, moment, branch.firedRules)
    result.applied[:0] = applied
    return result


def storeVariant(world: World, branch: Branch, outcome: ReplyOutcome) -> int | None:
    """Stores a new reply under its signature, and lands its flight; returns the variant's id.

    The epochs written are those the prompt was built from. What the embedded model said enters
    as a draft, which is not served before a person approved it.
    """
    variantId = outcome.variantId
    if outcome.isNew:
        task = outcome.task
        isLocal = outcome.clientKind == "local"
        variant = ResponseVariant.objects.create(
            signature=getSignature(world.id, task.profile.id, task.components),
            text=outcome.text,
            status=ResponseVariant.Status.DRAFT if isLocal else ResponseVariant.Status.PENDING,
            effects=[effect.model_dump(exclude_none=True) for effect in outcome.effects],
            madeIn="test" if branch.session.mode == "test" else "live",
            clientKind=outcome.clientKind,
            model=outcome.model,
            agentEpoch=task.profile.epoch,
            simulationEpoch=world.epoch,
            fingerprint=world.fingerprint(task.components),
            checkResult=outcome.checkResult,
            costNano=outcome.savedNano or computeSpent(outcome),
        )
        variantId = variant.pk
    if outcome.seat:
        landOrFail(outcome, variantId)
    return variantId


def landOrFail(outcome: ReplyOutcome, variantId: int | None) -> None:
    """Gives a reply to those who wait for it, or gives the lead away."""
    assert outcome.seat is not None
    if not outcome.isNew:
        failFlight(outcome.seat)
        return
    landFlight(
        outcome.seat,
        text=outcome.text,
        effects=[effect.model_dump(exclude_none=True) for effect in outcome.effects],
        variantId=variantId,
        model=outcome.model,
        savedNano=computeSpent(outcome),
    )


def computeSpent(outcome: ReplyOutcome) -> int:
    """Returns what an outcome's model calls cost."""
    return sum(line.priceNano for line in attemptLines(outcome))


def attemptLines(outcome: ReplyOutcome, **facts: Any) -> list[LedgerLine]:
    """Returns a ledger line for every model call of an outcome."""
    return [
        computeLine(
            attempt.usage,
            model=attempt.model or outcome.model,
            clientKind=outcome.paid.clientKind,
            reservedNano=outcome.paid.reservedNano,
            status=attempt.status,
            attempt=attempt.number,
            requestId=attempt.requestId,
            errorCode=attempt.errorCode,
            firstTokenMs=attempt.firstTokenMs,
            totalMs=attempt.totalMs,
            **{"simulationId": 0, "mode": "", **facts},
        )
        for attempt in outcome.paid.attempts
    ]


def recordMoney(world: World, session: Session, turn: Turn, outcomes: Sequence[ReplyOutcome]) -> list[int]:
    """Writes the ledger and closes the reservations; returns what each outcome cost."""
    lines: list[LedgerLine] = []
    spent: list[int] = []
    for outcome in outcomes:
        facts: dict[str, Any] = {
            "simulationId": world.id,
            "mode": session.mode,
            "sessionId": session.pk,
            "turnId": turn.pk,
            "agentId": outcome.task.profile.id,
        }
        calls = attemptLines(outcome, **facts)
        spent.append(sum(line.priceNano for line in calls))
        lines += calls
        if outcome.source != "model":
            lines.append(
                hitLine(savedNano=outcome.savedNano, source=outcome.source, model=outcome.model, **facts)
            )
        if outcome.paid.reservation:
            settleReservation(outcome.paid.reservation, spent[-1])
    recordCosts(lines)
    return spent


def recordReplies(
    world: World,
    branch: Branch,
    turn: Turn,
    outcomes: Sequence[ReplyOutcome],
    variants: Sequence[int | None],
    spent: Sequence[int],
) -> list[Reply]:
    """Writes what was said, withdrawn texts among it, in one query."""
    rows: list[Reply] = []
    for outcome, variantId, cost in zip(outcomes, variants, spent, strict=True):
        common = {
            "turn": turn,
            "branch": branch,
            "turnNumber": turn.number,
            "position": outcome.task.position,
            "agent_id": outcome.task.profile.id,
            "model": outcome.model,
            "clientKind": outcome.clientKind,
        }
        why = buildWhy(outcome).model_dump()
        rows += [
            Reply(**common, status=Reply.Status.WITHDRAWN, source="model", text=text, why=why)
            for text in outcome.withdrawn
        ]
        rows.append(
            Reply(
                **common,
                source=outcome.source,
                text=fillSlots(world, turn.stateBefore, outcome.text),
                variant_id=variantId,
                effects=[effect.model_dump(exclude_none=True) for effect in outcome.effects],
                why=why,
                costNano=cost,
                savedNano=outcome.savedNano,
                tokens=sum(countTokens(attempt.usage) for attempt in outcome.paid.attempts),
                totalMs=outcome.totalMs,
            )
        )
    insertRows(rows)
    return rows


def countTokens(usage) -> int:
    return (
        usage.inputTokens
        + usage.outputTokens
        + usage.cacheReadTokens
        + usage.cacheWrite5mTokens
        + usage.cacheWrite1hTokens
    )


def buildWhy(outcome: ReplyOutcome) -> Why:
    """Returns why a reply is what it is, as it is kept with it."""
    choice = outcome.choice
    return Why(
        components=outcome.task.components,
        digest=outcome.task.digest,
        rung=outcome.rung,
        reason=outcome.reason,
        draw=choice.draw if choice else 0.0,
        candidates=[
            Candidate(
                variant=c.variant.id,
                heard=c.heard,
                specificity=c.variant.specificity,
                weight=c.variant.weight,
                ruledOut=c.ruledOut,
            )
            for c in (choice.considered[:MOST_CANDIDATES] if choice else ())
        ],
    )


def moveBranch(branch: Branch, turn: Turn, result: Consequences) -> None:
    """Moves a timeline's head to the turn."""
    branch.headTurn = turn.number
    branch.state = result.state
    branch.situation = turn.nextSituation or branch.situation
    branch.firedRules = result.firedRules
    answered = {route["agent"]: turn.intent for route in turn.route if route["chosen"]}
    branch.lastIntents = {**branch.lastIntents, **answered}
    updateRow(branch, ("headTurn", "state", "situation", "firedRules", "lastIntents"))


def moveSession(session: Session, result: Consequences, spent: int, saved: int, now) -> None:
    session.status, session.outcome = result.status, result.outcome
    session.spentNano += spent
    session.savedNano += saved
    session.lastActivityAt = now
    updateRow(session, ("sequence", "status", "outcome", "spentNano", "savedNano", "lastActivityAt"))


def readResult(world: World, branch: Branch, turn: Turn, *, isNew: bool) -> TurnResult:
    """Returns a turn that is there already, with where the story stands now."""
    return buildResult(world, branch, turn, list(turn.replies.all()), isNew=isNew)


def buildResult(
    world: World, branch: Branch, turn: Turn, replies: Sequence[Reply], *, isNew: bool
) -> TurnResult:
    session = branch.session
    message = TurnMessage(
        sequence=turn.sequence,
        turn=presentTurn(world, turn, replies),
        scene=presentScene(world, branch),
        money=presentMoney(world, session),
        status=session.status,
        outcome=session.outcome,
    )
    return TurnResult(session.pk, message, isNew)
