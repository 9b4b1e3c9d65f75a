"""One call at a time: seats, leases, fencing, and the lead that passes on."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from costs.models import Flight
from costs.singleFlight import (
    computeFlightKey,
    failFlight,
    landFlight,
    readFlight,
    renewFlight,
    sweepFlights,
    takeSeat,
)
from costs.sweeps import MoneySweep, sweepMoney

KEY = computeFlightKey("d" * 32, 1, 1, "live", "anthropic")
EFFECTS = [{"variable": "mood", "add": 2.0}]


def land(seat, text="Good evening.") -> bool:
    return landFlight(
        seat, text=text, effects=EFFECTS, variantId=None, model="claude-sonnet-5-5", savedNano=900
    )


def age(seconds: float) -> None:
    Flight.objects.update(updatedAt=timezone.now() - timedelta(seconds=seconds))


def test_keyHoldsEverythingThatTellsCallsApart():
    same = ("d" * 32, 1, 1, "live", "anthropic")
    others = [("e" * 32, *same[1:])] + [
        (*same[:place], value, *same[place + 1 :])
        for place, value in ((1, 2), (2, 2), (3, "test"), (4, "local"))
    ]
    keys = {computeFlightKey(*parts) for parts in [same, *others]}
    assert len(keys) == 6
    assert computeFlightKey(*same) == KEY
    assert len(KEY) == 32


@pytest.mark.django_db
class TestSeat:
    def test_firstLeadsAndOthersFollow(self):
        first, second = takeSeat(KEY, 30), takeSeat(KEY, 30)
        assert (first.isLeader, second.isLeader) == (True, False)
        assert readFlight(KEY).isUp
        assert takeSeat(computeFlightKey("x", 1, 1, "live", "local"), 30).isLeader

    def test_followersReadWhatLanded(self):
        seat = takeSeat(KEY, 30)
        assert land(seat)
        state = readFlight(KEY)
        assert (state.status, state.text, state.savedNano) == ("landed", "Good evening.", 900)
        assert (list(state.effects), state.model, state.variantId) == (EFFECTS, "claude-sonnet-5-5", None)
        assert not takeSeat(KEY, 30).isLeader

    def test_landedStaysForAMinuteAndThenMakesRoom(self):
        land(takeSeat(KEY, 30))
        age(55)
        assert not takeSeat(KEY, 30).isLeader
        assert sweepFlights() == 0
        age(61)
        seat = takeSeat(KEY, 30)
        assert seat.isLeader
        state = readFlight(KEY)
        assert (state.status, state.text, state.effects, state.savedNano) == ("open", "", (), 0)

    def test_leadPassesOnAfterFailure(self):
        first, second = takeSeat(KEY, 30), takeSeat(KEY, 30)
        assert failFlight(first)
        assert readFlight(KEY).status == "failed"
        third = takeSeat(KEY, 30)
        assert third.isLeader
        assert not land(second)
        assert land(third)

    def test_leadPassesOnWithTheLease(self):
        lost = takeSeat(KEY, -1)
        assert readFlight(KEY).leaseExpired
        assert not readFlight(KEY).isUp
        taken = takeSeat(KEY, 30)
        assert taken.isLeader
        assert (renewFlight(lost, 30), land(lost, "stale"), failFlight(lost)) == (False, False, False)
        assert land(taken, "fresh")
        assert readFlight(KEY).text == "fresh"

    def test_leaseThatIsRenewedKeepsTheLead(self):
        seat = takeSeat(KEY, 0.0)
        assert renewFlight(seat, 30)
        assert not takeSeat(KEY, 30).isLeader
        assert land(seat)
        assert not renewFlight(seat, 30)
        assert not failFlight(seat)

    def test_lateLeaderLandsWhereNobodyTookOver(self):
        seat = takeSeat(KEY, -1)
        assert land(seat)

    def test_followersCanNeitherLandNorFail(self):
        takeSeat(KEY, 30)
        follower = takeSeat(KEY, 30)
        assert (land(follower), failFlight(follower), renewFlight(follower, 30)) == (False, False, False)

    def test_flightThatIsGoneReadsAsFailed(self):
        state = readFlight("0" * 32)
        assert (state.status, state.isUp) == ("failed", False)

    def test_takingASeatLeavesTheTransactionWhole(self, django_assert_num_queries):
        takeSeat(KEY, 30)
        with transaction.atomic():
            with django_assert_num_queries(4):  # savepoint twice, insert, update
                assert not takeSeat(KEY, 30).isLeader
            assert Flight.objects.count() == 1


@pytest.mark.django_db
class TestSweep:
    def test_deletesWhatEndedAndWhatWasDeserted(self):
        keys = [uuid.uuid4().hex for _ in range(5)]
        land(takeSeat(keys[0], 30))
        failFlight(takeSeat(keys[1], 30))
        takeSeat(keys[2], -120)
        age(61)
        takeSeat(keys[3], 30)
        land(takeSeat(keys[4], 30))
        assert sweepFlights() == 3
        assert set(Flight.objects.values_list("key", flat=True)) == {keys[3], keys[4]}

    def test_moneySweepCountsBoth(self):
        land(takeSeat(KEY, 30))
        assert sweepMoney(timezone.now() + timedelta(seconds=61)) == MoneySweep(reservations=0, flights=1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("before", ["nothing", "failed", "expired"])
def test_oneLeaderAmongManyAtOnce(before):
    if before != "nothing":
        seat = takeSeat(KEY, -1)
        if before == "failed":
            failFlight(seat)
    start, leaders = threading.Barrier(8), []

    def run() -> None:
        try:
            start.wait()
            leaders.append(takeSeat(KEY, 30).isLeader)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(leaders) == [False] * 7 + [True]
