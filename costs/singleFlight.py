"""One call at a time for what may be shared: a leader asks, followers wait for its row.

A flight is a database row, so it holds across processes. The leader has a lease and a token;
whoever takes a seat over writes a new token, and with it the former leader's writes miss
(fencing). A turn that needs several seats takes them in the order of their keys and before it
reserves money, so that no two turns wait for each other in a circle.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import xxhash
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from costs.models import Flight, ResponseVariant

# A landed flight can be read for so long; then whoever asks makes a new call.
LANDED_SECONDS = 60.0

Status = Flight.Status


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in a flight; the token of a follower matches no row."""

    isLeader: bool
    token: uuid.UUID
    key: str


@dataclass(frozen=True, slots=True)
class FlightState:
    """What a follower sees: wait while `open`, take the text when `landed`.

    On `failed`, or on `leaseExpired` while open, a follower takes a seat again.
    """

    status: str
    text: str = ""
    effects: tuple[dict[str, Any], ...] = ()
    variantId: int | None = None
    model: str = ""
    savedNano: int = 0
    leaseExpired: bool = False

    @property
    def isUp(self) -> bool:
        """Whether waiting makes sense."""
        return self.status == Status.OPEN and not self.leaseExpired


def computeFlightKey(digest: str, agentEpoch: int, simulationEpoch: int, mode: str, clientKind: str) -> str:
    """Returns the key of all calls that one reply answers."""
    parts = json.dumps(["flight1", digest, agentEpoch, simulationEpoch, mode, clientKind])
    return xxhash.xxh3_128_hexdigest(parts.encode())


def takeSeat(key: str, leaseSeconds: float) -> Seat:
    """Returns the leader's seat where nobody leads, else a follower's.

    Two statements whatever happens: an insert that yields to a row that is there, and an update
    that matches our own row or one that may be taken over. Neither can raise a conflict, so the
    caller's transaction stays whole on every database.
    """
    token, now = uuid.uuid4(), timezone.now()
    leaseUntil = now + timedelta(seconds=leaseSeconds)
    with transaction.atomic():
        Flight.objects.bulk_create(
            [Flight(key=key, token=token, leaseUntil=leaseUntil)], ignore_conflicts=True
        )
        free = Flight.objects.filter(_isFree(now) | Q(token=token), key=key)
        led = free.update(token=token, leaseUntil=leaseUntil, updatedAt=now, **_blankResult())
    return Seat(isLeader=led > 0, token=token, key=key)


def renewFlight(seat: Seat, leaseSeconds: float) -> bool:
    """Prolongs the leader's lease; False means that the seat was lost."""
    now = timezone.now()
    return _update(seat, leaseUntil=now + timedelta(seconds=leaseSeconds), updatedAt=now)


def landFlight(
    seat: Seat,
    *,
    text: str,
    effects: Sequence[dict[str, Any]],
    variantId: int | None,
    model: str,
    savedNano: int,
) -> bool:
    """Gives the reply to the followers; False means that the seat was lost and nothing written.

    Args:
        seat: The leader's seat.
        text: The reply.
        effects: Its effects, as JSON.
        variantId: The variant that was stored for it, if any.
        model: The model that made it.
        savedNano: What every follower saves: the price of the call.
    """
    return _update(
        seat,
        status=Status.LANDED,
        text=text,
        effects=list(effects),
        variant_id=variantId,
        model=model,
        savedNano=savedNano,
        updatedAt=timezone.now(),
    )


def failFlight(seat: Seat) -> bool:
    """Gives the lead away: the next who takes a seat has it."""
    return _update(seat, status=Status.FAILED, updatedAt=timezone.now())


def readFlight(key: str) -> FlightState:
    """Returns where a flight stands; one that isn't there any more reads as failed."""
    flight = Flight.objects.filter(key=key).first()
    if flight is None:
        return FlightState(status=Status.FAILED.value, leaseExpired=True)
    return FlightState(
        status=flight.status,
        text=flight.text,
        effects=tuple(flight.effects),
        variantId=flight.variant_id,
        model=flight.model,
        savedNano=flight.savedNano,
        leaseExpired=flight.leaseUntil <= timezone.now(),
    )


def sweepFlights(now: datetime | None = None) -> int:
    """Deletes the flights that nobody needs any more; returns how many."""
    moment = now or timezone.now()
    limit = moment - timedelta(seconds=LANDED_SECONDS)
    ended = ~Q(status=Status.OPEN) & Q(updatedAt__lt=limit)
    deserted = Q(status=Status.OPEN, leaseUntil__lt=limit)
    return Flight.objects.filter(ended | deserted).delete()[0]


def _isFree(now: datetime) -> Q:
    deserted = Q(status=Status.OPEN, leaseUntil__lte=now)
    stale = Q(status=Status.LANDED, updatedAt__lt=now - timedelta(seconds=LANDED_SECONDS))
    return deserted | stale | Q(status=Status.FAILED) | Q(Exists(_withdrawn()))


def _withdrawn() -> QuerySet[ResponseVariant]:
    """Returns the variant of a flight where a reviewer took it out of service since."""
    ended = (ResponseVariant.Status.REJECTED, ResponseVariant.Status.RETIRED)
    return ResponseVariant.objects.filter(pk=OuterRef("variant_id"), status__in=ended)


def _blankResult() -> dict[str, Any]:
    return {
        "status": Status.OPEN,
        "text": "",
        "effects": [],
        "variant_id": None,
        "model": "",
        "savedNano": 0,
    }


def _update(seat: Seat, **changes: Any) -> bool:
    mine = Flight.objects.filter(key=seat.key, token=seat.token, status=Status.OPEN)
    return mine.update(**changes) > 0
