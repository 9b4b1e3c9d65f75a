"""What is cleared away now and then so that nothing left by a dead process stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from costs.budgets import expireReservations
from costs.singleFlight import sweepFlights


@dataclass(frozen=True, slots=True)
class MoneySweep:
    """How many reservations expired and how many flights were deleted."""

    reservations: int
    flights: int


def sweepMoney(now: datetime | None = None) -> MoneySweep:
    """Frees expired reservations and deletes old flights; safe to run anywhere, at any time."""
    return MoneySweep(reservations=expireReservations(now), flights=sweepFlights(now))
