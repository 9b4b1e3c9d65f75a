"""Step 1 of an interaction: one short transaction that decides everything a model isn't needed for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.llm.client import ClientKind
from agents.routing import Routed, routeInput
from costs.budgets import releaseReservation
from costs.singleFlight import Seat, computeFlightKey, failFlight, takeSeat
from pm6.exceptions import PM6Error, SessionEndedError, TurnInProgressError
from simulations.engine.candidates import AgentTask, Stored, buildTask, findStored
from simulations.engine.ladder import walkLadder
from simulations.engine.lockBranch import EARLIER_TURNS, lockBranch
from simulations.engine.modelCalls import MOST_AGENTS, ModelCall, findCall, findClientKind
from simulations.engine.outcomes import ReplyOutcome, serveStored
from simulations.engine.settle import TurnResult, readResult, recordTurn
from simulations.engine.situation import PlayerInput, Recognised, checkInput, recogniseInput
from simulations.engine.world import World, getWorld
from simulations.models import Branch, Session, Turn
from simulations.sessions.access import Actor


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One input on its way into a session."""

    sessionId: uuid.UUID
    actor: Actor
    given: PlayerInput
    clientKey: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A task that a model answers: as the leader of a flight, or following one.

    Attributes:
        call: None for a follower, which pays nothing unless the lead falls to it.
        seat: None for a private reply, which never joins a flight.
    """

    task: AgentTask
    stored: Stored
    call: ModelCall | None
    seat: Seat | None


@dataclass(frozen=True, slots=True)
class PlannedTurn:
    """A turn that is open while models are asked."""

    world: World
    turn: Turn
    branch: Branch
    state: dict[str, bool | float | str]
    heard: Recognised
    ready: tuple[ReplyOutcome, ...]
    asks: tuple[Ask, ...]
    clientKind: ClientKind | None


def planTurn(request: TurnRequest) -> TurnResult | PlannedTurn:
    """Plans a turn; where the database has every reply, records it here and now.

    Args:
        request: The input; the same clientKey again gives the same turn.

    Returns:
        The finished turn, or an open one with what a model has to be asked.

    Raises:
        PM6Error: The input is refused; nothing is written then.
    """
    given = checkInput(request.given)
    with transaction.atomic():
        branch = lockBranch(request.sessionId, request.actor)
        world = getWorld(branch.session.simulation_id, branch.session.simulation.revision)
        if earlier := findEarlier(branch, request.clientKey):
            return readResult(world, branch, earlier, isNew=False)
        if branch.session.status != Session.Status.RUNNING:
            raise SessionEndedError("This session has ended.", details={"status": branch.session.status})
        state = world.completeState(branch.state)
        number = branch.headTurn + 1
        heard = recogniseInput(world, world.getSituation(branch.situation), state, number, given)
        turn = buildTurn(world, branch, state, heard, request.clientKey)
        return decide(world, branch, state, heard, turn)


def findEarlier(branch: Branch, clientKey: str) -> Turn | None:
    """Returns the finished turn of a clientKey; clears away an open one that died.

    Raises:
        TurnInProgressError: A turn runs, under this clientKey or another.
    """
    keys = [key for (key,) in EARLIER_TURNS.fetch(branch=branch.pk, clientKey=clientKey)]
    # The finished one first, whatever else runs: its answer is there.
    for turn in Turn.objects.filter(pk__in=keys).order_by("status") if keys else ():
        if turn.status == Turn.Status.DONE:
            return turn
        if not isExpired(turn, timezone.now()):
            raise TurnInProgressError("A turn is running.", details={"clientKey": turn.clientKey})
        interruptTurn(branch.session, turn)
    return None


def isExpired(turn: Turn, now: datetime) -> bool:
    return turn.leaseUntil is None or turn.leaseUntil < now


def interruptTurn(session: Session, turn: Turn) -> None:
    """Marks an open turn whose process died, and gives back the money set aside for it.

    Args:
        session: Locked, as every change of a sequence needs it.
    """
    for token in turn.reservations:
        releaseReservation(uuid.UUID(token))
    turn.status, turn.leaseToken, turn.sequence = Turn.Status.INTERRUPTED, None, takeSequence(session)
    turn.save(update_fields=["status", "leaseToken", "sequence"])


def takeSequence(session: Session) -> int:
    """Returns the next number of a locked session's sequence."""
    session.sequence += 1
    session.save(update_fields=["sequence"])
    return session.sequence


def buildTurn(world: World, branch: Branch, state: dict, heard: Recognised, clientKey: str) -> Turn:
    """Returns the turn's row, not yet saved."""
    return Turn(
        session=branch.session,
        branch=branch,
        number=branch.headTurn + 1,
        clientKey=clientKey,
        inputText=heard.text,
        intent=heard.match.intent,
        intentPath=heard.match.path,
        situation=heard.situation.slug,
        stateBefore=state,
        worldRevision=world.revision,
        mode=branch.session.mode,
        startedAt=timezone.now(),
    )


def routeTurn(world: World, heard: Recognised) -> tuple[Routed, ...]:
    """Decides who answers."""
    intent = world.intents.get(heard.match.intent)
    isOption = heard.match.path == "option"
    return routeInput(
        "" if isOption else heard.text,
        present=[slug for slug in heard.situation.agents if slug in world.agents],
        everyone=list(world.agents),
        intentAgents=intent.agents if intent else (),
        keywords={slug: profile.keywords for slug, profile in world.agents.items()},
        most=min(heard.situation.agentsPerTurn, MOST_AGENTS[world.complexity]),
        fallback=world.fallbackAgent,
    )


def decide(
    world: World, branch: Branch, state: dict, heard: Recognised, turn: Turn
) -> TurnResult | PlannedTurn:
    """Decides for every agent between the database, a model and the ladder."""
    routed = routeTurn(world, heard)
    turn.route = [{"agent": r.agent, "chosen": r.chosen, "reason": r.reason} for r in routed]
    chosen = [r.agent for r in routed if r.chosen]
    tasks = [buildTask(world, branch, state, heard, agent, i) for i, agent in enumerate(chosen)]
    session = branch.session
    kind = findClientKind(world, session.mode, session.player_id is None and bool(session.guestKey))
    ready: list[ReplyOutcome] = []
    asks: list[Ask] = []
    found = list(zip(tasks, findStored(world, branch, state, tasks), strict=True))
    seats = takeSeats(world, branch, found, kind)
    for task, stored in found:
        outcome = decideTask(world, branch, state, heard, task, stored, kind, seats.get(task.digest))
        if isinstance(outcome, Ask):
            asks.append(outcome)
        else:
            ready.append(replace(outcome, totalMs=(timezone.now() - turn.startedAt).total_seconds() * 1000))
    planned = PlannedTurn(world, turn, branch, state, heard, tuple(ready), tuple(asks), kind)
    if not asks:
        return recordTurn(world, branch, turn, heard, ready)
    openTurn(branch, turn, asks)
    return planned


def isMissing(world: World, task: AgentTask, stored: Stored) -> bool:
    """Returns whether a reply is wanted that isn't stored.

    A signature that has its number of variants gets no more, though they wait for a review.
    """
    if task.isPrivate:
        return True
    isHit = stored.choice.variant is not None and stored.choice.heard == 0
    return not isHit and stored.fitting < world.targetVariants


def takeSeats(
    world: World, branch: Branch, found: list[tuple[AgentTask, Stored]], kind: ClientKind | None
) -> dict[str, Seat]:
    """Takes a seat for every miss that may be shared; returns them by the task's digest.

    In the order of their keys and before any money is reserved, so that no two turns wait for
    each other in a circle.
    """
    if kind is None:
        return {}
    digests = {
        flightKey(world, branch, task, stored, kind): task.digest
        for task, stored in found
        if not task.isPrivate and isMissing(world, task, stored)
    }
    return {digests[key]: takeSeat(key, settings.PM6_TURN_LEASE_SECONDS) for key in sorted(digests)}


def decideTask(
    world: World,
    branch: Branch,
    state: dict,
    heard: Recognised,
    task: AgentTask,
    stored: Stored,
    kind: ClientKind | None,
    seat: Seat | None,
) -> ReplyOutcome | Ask:
    """Decides for one agent: any unheard variant is a hit; a model is asked only for what is missing."""
    choice = stored.choice
    if not isMissing(world, task, stored):
        if choice.variant is None:
            return walkLadder(world, branch, task, stored, reason="enoughVariants")
        return serveStored(
            task, choice.variant, choice, rung="variant", savedNano=world.savedEstimate(task.profile)
        )
    if kind is None:
        return walkLadder(
            world, branch, task, stored, reason="sealed" if branch.session.mode == "sealed" else "noModel"
        )
    if seat and not seat.isLeader:
        return Ask(task, stored, None, seat)
    try:
        return Ask(task, stored, findCall(world, branch, state, heard, task, kind), seat)
    except PM6Error as error:
        if seat:
            failFlight(seat)
        return walkLadder(world, branch, task, stored, reason=error.code)


def flightKey(world: World, branch: Branch, task: AgentTask, stored: Stored, kind: ClientKind) -> str:
    """Returns the key under which equal misses join.

    A later variant of the same key is another flight, and so is a prompt that was edited since.
    """
    asked = f"{task.digest}:{world.fingerprint(task.components)}:{stored.known}"
    return computeFlightKey(asked, task.profile.epoch, world.epoch, branch.session.mode, kind)


def openTurn(branch: Branch, turn: Turn, asks: list[Ask]) -> None:
    """Saves a turn that waits for a model, under a lease that its process renews."""
    turn.sequence = takeSequence(branch.session)
    turn.leaseToken = uuid.uuid4()
    turn.leaseUntil = timezone.now() + timedelta(seconds=settings.PM6_TURN_LEASE_SECONDS)
    turn.reservations = [str(ask.call.reservation) for ask in asks if ask.call and ask.call.reservation]
    turn.save(force_insert=True)
