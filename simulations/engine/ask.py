"""Step 2 of an interaction: models are asked, outside of any transaction.

Misses run side by side. Equal ones, of any session in any process, share one call: its leader
streams and pays, the followers wait for its flight to land.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.llm.client import Finished
from agents.llm.clients import getClient
from agents.llm.localText import checkCharacter, stripSpeaker, trimToSentence
from agents.llm.rateLimiter import AttemptRecord, streamWithRetries
from costs.budgets import extendReservations
from costs.schemas import Effect
from costs.singleFlight import FlightState, Seat, readFlight, renewFlight, takeSeat
from pm6.exceptions import CostLimitError, PM6Error
from simulations.engine.database import inDatabase
from simulations.engine.ladder import walkLadder
from simulations.engine.modelCalls import CHARGED_ATTEMPTS, ModelCall, findCall
from simulations.engine.notify import notify
from simulations.engine.outcomes import Payment, ReplyOutcome
from simulations.engine.plan import Ask, PlannedTurn
from simulations.engine.slots import fillSlots, findUnknownSlots
from simulations.engine.stage import Stage
from simulations.models import Turn
from simulations.protocol import ReplyReady

logger = logging.getLogger("pm6.engine")
FOLLOW_FIRST_SECONDS = 0.02
FOLLOW_LONGEST_SECONDS = 0.5
FOLLOW_SECONDS = 90.0
CANCELLED = "cancelled"
SILENCE = "…"
_asking: set[asyncio.Task[ReplyOutcome]] = set()


@dataclass(slots=True)
class Held:
    """What a running turn holds and must renew: it grows when a follower takes the lead."""

    reservations: list[UUID] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)


async def askModels(planned: PlannedTurn) -> list[ReplyOutcome]:
    """Answers every miss of a turn, by a model or by the ladder; never raises for one of them.

    Returns:
        The outcomes of the whole turn, those from the database among them.
    """
    held = Held(
        [ask.call.reservation for ask in planned.asks if ask.call and ask.call.reservation],
        [ask.seat for ask in planned.asks if ask.seat and ask.seat.isLeader],
    )
    renewing = asyncio.create_task(renewLeases(planned.turn, held))
    # A prompt cache can be read only once the response that wrote it has begun.
    first = next((ask for ask in planned.asks if ask.call), None)
    begun = asyncio.Event()
    try:
        for outcome in planned.ready:
            await notify(planned.turn.session_id, presentReady(planned, outcome))
        answers = [
            asyncio.create_task(answer(planned, ask, held, begun, isFirst=ask is first))
            for ask in planned.asks
        ]
        return [*planned.ready, *await awaitAll(answers)]
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing


async def awaitAll(answers: list[asyncio.Task[ReplyOutcome]]) -> list[ReplyOutcome]:
    """Returns what became of every answer.

    A process that stops cancels its calls. What these used is still recorded: the turn settles
    with what the ladder has.
    """
    _asking.update(answers)
    try:
        await asyncio.wait(answers)
    except asyncio.CancelledError:
        for task in answers:
            task.cancel()
        await asyncio.wait(answers)
    finally:
        _asking.difference_update(answers)
    return [task.result() for task in answers]


def stopAsking() -> None:
    """Cancels every call of this process; their turns settle with what the database has."""
    for task in _asking:
        task.cancel()


@dataclass(slots=True)
class Trial:
    """What was tried for one reply, kept where no exception can lose it: calls are paid for."""

    call: ModelCall | None
    seat: Seat | None
    attempts: list[AttemptRecord] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def close(self, outcome: ReplyOutcome) -> ReplyOutcome:
        """Returns the outcome with what was paid and withdrawn on the way to it."""
        if self.call is None:
            return outcome
        paid = Payment(
            tuple(self.attempts), self.call.clientKind, self.call.reservation, self.call.reservedNano
        )
        return replace(
            outcome,
            paid=paid,
            seat=self.seat,
            withdrawn=tuple(self.withdrawn),
            totalMs=(time.perf_counter() - self.started) * 1000,
        )


async def answer(
    planned: PlannedTurn, ask: Ask, held: Held, begun: asyncio.Event, *, isFirst: bool
) -> ReplyOutcome:
    """Answers one miss: leads, follows, or walks the ladder where that fails; never raises."""
    trial = Trial(ask.call, ask.seat if ask.call else None)
    try:
        if ask.call is None:
            return trial.close(await follow(planned, ask, trial, held))
        if not isFirst:
            await begun.wait()
        return trial.close(await lead(planned, ask, trial, begun))
    except PM6Error as error:
        reason = error.code
    except asyncio.CancelledError:
        reason = CANCELLED
    except Exception:
        logger.exception("a reply failed in turn %s", planned.turn.pk)
        reason = PM6Error.code
    finally:
        begun.set()
    return trial.close(await fallBack(planned, ask, reason))


async def fallBack(planned: PlannedTurn, ask: Ask, reason: str) -> ReplyOutcome:
    """Walks the ladder; where even that fails, the turn goes on with the author's line or silence."""
    try:
        return await inDatabase(walkLadder, planned.world, planned.branch, ask.task, ask.stored, reason)
    except Exception:
        logger.exception("the ladder failed in turn %s", planned.turn.pk)
        line = ask.task.profile.config.fallbackLine or SILENCE
        return ReplyOutcome(task=ask.task, text=line, source="line", rung="line", reason=reason)


async def lead(
    planned: PlannedTurn, ask: Ask, trial: Trial, begun: asyncio.Event | None = None
) -> ReplyOutcome:
    """Makes the call and streams it to whoever watches; a failure walks the ladder, and is paid for."""
    assert trial.call is not None
    call, stage = trial.call, Stage(planned, ask, trial.withdrawn, begun)
    finished, reason = await streamCall(planned, call, stage, trial.attempts)
    verdict = judgeReply(planned, ask, call, finished) if finished else Verdict(reason=reason)
    if not finished or not verdict.text:
        await stage.withdraw()
        return await fallBack(planned, ask, verdict.reason)
    return ReplyOutcome(
        task=ask.task,
        text=verdict.text,
        source="model",
        rung="cheaperModel" if call.stepsDown else "model",
        reason=CostLimitError.code if call.stepsDown else verdict.reason,
        choice=ask.stored.choice,
        isNew=verdict.mayBeStored and not ask.task.isPrivate,
        clientKind=call.clientKind,
        model=finished.model,
        checkResult=", ".join(findUnknownSlots(planned.world, verdict.text)),
    )


async def streamCall(
    planned: PlannedTurn, call: ModelCall, stage: Stage, attempts: list[AttemptRecord]
) -> tuple[Finished | None, str]:
    """Streams a call onto the stage; returns its end, or None and the code of what kept it from one.

    Args:
        attempts: Takes a record of every attempt, whatever becomes of this function.
    """
    finished: Finished | None = None
    try:
        client = getClient(call.clientKind)
        stage.shows = client.streamsText
        events = streamWithRetries(
            client,
            call.request,
            maxWaitSeconds=settings.PM6_MODEL_WAIT_SECONDS,
            maxCharged=CHARGED_ATTEMPTS,
            onAttempt=attempts.append,
        )
        async with aclosing(events):
            async for event in events:
                finished = await stage.play(event) or finished
    except PM6Error as error:
        logger.warning("the model failed: %s", error.message)
        return None, error.code
    except asyncio.CancelledError:
        return None, CANCELLED
    except Exception:
        logger.exception("the model failed in turn %s", planned.turn.pk)
        return None, PM6Error.code
    return finished, ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of what a model said: the text to show, empty for none, and what is wrong with it."""

    text: str = ""
    mayBeStored: bool = False
    reason: str = ""


def judgeReply(planned: PlannedTurn, ask: Ask, call: ModelCall, finished: Finished) -> Verdict:
    """Decides whether a reply is shown, and whether it may become a variant."""
    profile = ask.task.profile
    others = [p.config.name for p in planned.world.agents.values() if p is not profile]
    isLocal = call.clientKind == "local"
    text = stripSpeaker(finished.text, profile.config.name)
    if isLocal:
        text = trimToSentence(text)
    elif finished.stop == "maxTokens":
        # Cut off: good enough to be heard, never to be stored.
        text = trimToSentence(text, maxSentences=9)
    elif finished.stop != "end":
        return Verdict(reason=finished.stop)
    if problem := checkCharacter(text, profile.config.name, others):
        return Verdict(reason=f"check: {problem}")
    isWhole = finished.stop == "end" or isLocal
    return Verdict(text, isWhole, "" if isWhole else finished.stop)


async def follow(planned: PlannedTurn, ask: Ask, trial: Trial, held: Held) -> ReplyOutcome:
    """Waits for the flight of an equal call to land; takes the lead where it failed."""
    assert ask.seat is not None
    assert planned.clientKind is not None
    started, pause = time.monotonic(), FOLLOW_FIRST_SECONDS
    while time.monotonic() - started < FOLLOW_SECONDS:
        flight = await inDatabase(readFlight, ask.seat.key)
        if flight.status == "landed":
            return shareFlight(planned, ask, flight)
        if not flight.isUp:
            seat, call = await inDatabase(takeLead, planned, ask)
            if call:
                trial.seat, trial.call = seat, call
                held.seats.append(seat)
                held.reservations += [call.reservation] if call.reservation else []
                return await lead(planned, ask, trial)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, FOLLOW_LONGEST_SECONDS)
    return await fallBack(planned, ask, "flightTimeout")


def shareFlight(planned: PlannedTurn, ask: Ask, flight: FlightState) -> ReplyOutcome:
    """Returns the outcome of a reply that somebody else asked for at the same moment."""
    return ReplyOutcome(
        task=ask.task,
        text=flight.text,
        source="shared",
        rung="variant",
        reason="shared",
        choice=ask.stored.choice,
        variantId=flight.variantId,
        effects=tuple(Effect.model_validate(effect) for effect in flight.effects),
        model=flight.model,
        clientKind=planned.clientKind or "",
        savedNano=flight.savedNano,
    )


def takeLead(planned: PlannedTurn, ask: Ask) -> tuple[Seat, ModelCall | None]:
    """Takes the seat of a flight that failed, with money of its own; a follower's seat otherwise.

    Raises:
        CostLimitError: The lead is there to take, but the budget has no room.
    """
    assert ask.seat is not None
    assert planned.clientKind is not None
    with transaction.atomic():
        seat = takeSeat(ask.seat.key, settings.PM6_TURN_LEASE_SECONDS)
        if not seat.isLeader:
            return seat, None
        call = findCall(
            planned.world, planned.branch, planned.state, planned.heard, ask.task, planned.clientKind
        )
        noteReservation(planned.turn, call)
    return seat, call


def noteReservation(turn: Turn, call: ModelCall) -> None:
    """Writes a later reservation on the turn, so that it is given back should the process die."""
    if not call.reservation:
        return
    # Read anew under its lock: another of the turn's answers may do the same at this moment.
    row = Turn.objects.select_for_update().filter(pk=turn.pk, leaseToken=turn.leaseToken).first()
    if row is not None:
        row.reservations = [*row.reservations, str(call.reservation)]
        row.save(update_fields=["reservations"])


async def renewLeases(turn: Turn, held: Held) -> None:
    """Keeps a running turn, its money and its flights from expiring until it is cancelled."""
    while True:
        await asyncio.sleep(settings.PM6_TURN_LEASE_SECONDS / 3)
        try:
            await inDatabase(renewOnce, turn, held)
        except Exception:
            logger.exception("the lease of turn %s was not renewed", turn.pk)


def renewOnce(turn: Turn, held: Held) -> None:
    seconds = settings.PM6_TURN_LEASE_SECONDS
    Turn.objects.filter(pk=turn.pk, leaseToken=turn.leaseToken).update(
        leaseUntil=timezone.now() + timedelta(seconds=seconds)
    )
    extendReservations(held.reservations, seconds)
    for seat in held.seats:
        renewFlight(seat, seconds)


def presentReady(planned: PlannedTurn, outcome: ReplyOutcome) -> ReplyReady:
    return ReplyReady(
        clientKey=planned.turn.clientKey,
        replyId=f"{planned.turn.pk}.{outcome.task.position}",
        agent=outcome.task.profile.config.slug,
        text=fillSlots(planned.world, planned.state, outcome.text),
    )
