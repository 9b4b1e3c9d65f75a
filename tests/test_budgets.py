"""Budgets: what is reserved, settled, released and expired, and that nothing leaks."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from costs.budgets import (
    MoneyScope,
    dollarsToNano,
    ensureBudget,
    ensureDefaultBudgets,
    expireReservations,
    extendReservations,
    formatNano,
    listBudgets,
    releaseReservation,
    reserveMoney,
    settleReservation,
)
from costs.models import Budget, BudgetReservation
from pm6.exceptions import ConfigurationError, CostLimitError, InvalidInputError
from simulations.models import Session, Simulation

LONG = 600.0


def makeSession(slug: str = "inn") -> Session:
    simulation = Simulation.objects.create(
        slug=slug,
        title="Inn",
        playerRole="guest",
        opening="Hello",
        openingSituation="taproom",
        fallbackAgent="greta",
    )
    return Session.objects.create(simulation=simulation, seed=1)


def scopeOf(session: Session, *, isGuest: bool = False) -> MoneyScope:
    return MoneyScope(session.simulation_id, session.pk, isGuest)


def makeBudgets(
    session: Session, everything=1_000, guests=400, simulation=300, play=200
) -> dict[str, Budget]:
    return {
        "everything": ensureBudget("everything", everything),
        "guests": ensureBudget("guests", guests),
        "simulation": ensureBudget("simulation", simulation, simulation=session.simulation),
        "session": ensureBudget("session", play, session=session),
    }


def reserve(scope: MoneyScope, amountNano: int, leaseSeconds: float = LONG) -> uuid.UUID:
    with transaction.atomic():
        return reserveMoney(scope, amountNano, leaseSeconds)


def sums() -> dict[str, tuple[int, int]]:
    return {one.scope: (one.settledNano, one.reservedNano) for one in Budget.objects.all()}


def checkNothingLeaks() -> None:
    """Reserved money is exactly what the open reservations hold; settled is what was spent."""
    for budget in Budget.objects.all():
        rows = budget.reservations
        held = rows.filter(status="open").aggregate(sum=Sum("amountNano", default=0))["sum"]
        spent = rows.aggregate(sum=Sum("settledNano", default=0))["sum"]
        assert (budget.reservedNano, budget.settledNano) == (held, spent)


@pytest.mark.django_db
class TestReserve:
    def test_takesFromEveryBudgetOfTheScope(self):
        session = makeSession()
        makeBudgets(session)
        reserve(scopeOf(session), 150)
        assert sums() == {
            "everything": (0, 150),
            "guests": (0, 0),
            "simulation": (0, 150),
            "session": (0, 150),
        }

    def test_guestsTakeFromTheirOwnToo(self):
        session = makeSession()
        makeBudgets(session)
        reserve(scopeOf(session, isGuest=True), 150)
        assert sums()["guests"] == (0, 150)

    def test_otherSessionsAndSimulationsAreLeftAlone(self):
        session, other = makeSession(), makeSession("castle")
        makeBudgets(session)
        mine = ensureBudget("simulation", 10, simulation=other.simulation)
        reserve(scopeOf(session), 150)
        mine.refresh_from_db()
        assert mine.reservedNano == 0

    def test_lastNanoDollarFitsAndTheNextDoesNot(self):
        session = makeSession()
        makeBudgets(session)
        reserve(scopeOf(session), 200)
        with pytest.raises(CostLimitError) as caught:
            reserve(scopeOf(session), 1)
        assert caught.value.details == {"budget": "session", "leftNano": 0, "neededNano": 1, "limitNano": 200}
        assert "session's budget" in caught.value.message

    def test_refusalLeavesNothingEvenWhereItIsCaughtInside(self):
        session = makeSession()
        makeBudgets(session)
        with transaction.atomic():
            with pytest.raises(CostLimitError):
                reserveMoney(scopeOf(session), 250, LONG)
            assert set(sums().values()) == {(0, 0)}
            reserveMoney(scopeOf(session), 200, LONG)
        assert sums()["session"] == (0, 200)
        assert BudgetReservation.objects.count() == 3
        checkNothingLeaks()

    @pytest.mark.parametrize(
        ("limits", "refusing"),
        [
            ({"everything": 10}, "everything"),
            ({"guests": 10, "session": 10}, "guests"),
            ({"simulation": 10, "session": 10}, "simulation"),
            ({"session": 10}, "session"),
        ],
    )
    def test_widestBudgetThatRefusesIsNamed(self, limits, refusing):
        session = makeSession()
        given = {"play" if name == "session" else name: limit for name, limit in limits.items()}
        makeBudgets(session, **given)
        with pytest.raises(CostLimitError) as caught:
            reserve(scopeOf(session, isGuest=True), 11)
        assert caught.value.details["budget"] == refusing
        assert (caught.value.details["leftNano"], caught.value.details["neededNano"]) == (10, 11)

    def test_zeroLeavesNoRowAndATokenThatWorks(self):
        token = reserve(MoneyScope(None, None, False), 0)
        assert not BudgetReservation.objects.exists()
        assert not settleReservation(token, 0)
        assert not releaseReservation(token)

    def test_nobodySpendsBeforeTheDefaultLimitsExist(self, settings):
        settings.PM6_BUDGET_EVERYTHING, settings.PM6_BUDGET_GUESTS = "0.000001", "0.0000005"
        with pytest.raises(CostLimitError):
            reserve(MoneyScope(None, None, False), 1_001)
        reserve(MoneyScope(None, None, False), 100)
        with pytest.raises(CostLimitError) as caught:
            reserve(MoneyScope(None, None, True), 501)
        assert caught.value.details["budget"] == "guests"

    def test_loweredLimitRefusesAndTellsWhatIsLeft(self):
        session = makeSession()
        makeBudgets(session)
        reserve(scopeOf(session), 150)
        Budget.objects.filter(scope="session").update(limitNano=100)
        with pytest.raises(CostLimitError) as caught:
            reserve(scopeOf(session), 1)
        assert caught.value.details["leftNano"] == -50
        assert "$0.0000 left" in caught.value.message

    def test_roomThatComesMeanwhileIsTaken(self):
        """Another process frees money between our update and our look: no refusal."""
        session = makeSession()
        makeBudgets(session)
        updates = []

        def freeRoom(execute, sql, params, many, context):
            if updates and sql.startswith("SELECT"):
                updates.clear()
                Budget.objects.filter(scope="everything").update(limitNano=2_000)
            elif sql.startswith("UPDATE"):
                updates.append(sql)
            return execute(sql, params, many, context)

        Budget.objects.filter(scope="everything").update(limitNano=100)
        with connection.execute_wrapper(freeRoom):
            reserve(scopeOf(session), 150)
        assert sums()["everything"] == sums()["session"] == (0, 150)
        checkNothingLeaks()

    def test_negativeIsRefused(self):
        with transaction.atomic(), pytest.raises(ValueError, match="negative"):
            reserveMoney(MoneyScope(None, None, False), -1, LONG)

    def test_queriesAreFew(self, django_assert_num_queries):
        session = makeSession()
        makeBudgets(session)
        # Savepoint twice, the budgets, an update each, one insert.
        with transaction.atomic(), django_assert_num_queries(7):
            reserveMoney(scopeOf(session), 10, LONG)


@pytest.mark.django_db(transaction=True)
def test_reservingNeedsATransaction():
    with pytest.raises(transaction.TransactionManagementError):
        reserveMoney(MoneyScope(None, None, False), 1, LONG)


@pytest.mark.django_db
class TestEnd:
    def test_settlingMovesMoneyOnce(self):
        session = makeSession()
        makeBudgets(session)
        token = reserve(scopeOf(session), 150)
        assert settleReservation(token, 40)
        assert not settleReservation(token, 40)
        assert not releaseReservation(token)
        assert sums()["everything"] == sums()["session"] == (40, 0)
        checkNothingLeaks()

    def test_releasingFreesOnce(self):
        session = makeSession()
        makeBudgets(session)
        token = reserve(scopeOf(session), 150)
        assert releaseReservation(token)
        assert not releaseReservation(token)
        assert sums()["session"] == (0, 0)
        checkNothingLeaks()

    def test_overrunIsRecordedInFullAndAlarms(self, caplog):
        session = makeSession()
        makeBudgets(session)
        token = reserve(scopeOf(session), 150)
        with caplog.at_level(logging.ERROR, "pm6.costs"):
            settleReservation(token, 260)
        assert sums()["session"] == (260, 0)
        assert [(one.name, one.levelname) for one in caplog.records] == [("pm6.costs", "ERROR")]
        with pytest.raises(CostLimitError):
            reserve(scopeOf(session), 1)
        checkNothingLeaks()

    def test_expiredIsFreedAndWhatItSpentIsCountedOnce(self):
        session = makeSession()
        makeBudgets(session)
        token = reserve(scopeOf(session), 150, leaseSeconds=-1)
        assert expireReservations() == 1
        assert expireReservations() == 0
        assert sums()["session"] == (0, 0)
        assert settleReservation(token, 40)
        assert not settleReservation(token, 40)
        assert sums()["session"] == (40, 0)
        checkNothingLeaks()

    def test_releasedThatSpentAfterAllIsCountedOnce(self):
        session = makeSession()
        makeBudgets(session)
        token = reserve(scopeOf(session), 150)
        releaseReservation(token)
        assert settleReservation(token, 40)
        assert not settleReservation(token, 40)
        assert sums()["session"] == (40, 0)

    def test_leaseThatIsExtendedDoesNotExpire(self):
        session = makeSession()
        makeBudgets(session)
        kept, lost = reserve(scopeOf(session), 50, 5), reserve(scopeOf(session), 50, 5)
        ended = reserve(scopeOf(session), 50, 5)
        releaseReservation(ended)
        assert extendReservations([kept, ended], LONG) == 3
        assert expireReservations(timezone.now() + timedelta(seconds=30)) == 1
        assert set(BudgetReservation.objects.filter(token=kept).values_list("status", flat=True)) == {"open"}
        assert set(BudgetReservation.objects.filter(token=lost).values_list("status", flat=True)) == {
            "expired"
        }
        checkNothingLeaks()

    def test_unknownTokenIsNothing(self):
        assert not settleReservation(uuid.uuid4(), 5)
        assert not releaseReservation(uuid.uuid4())

    def test_negativeSpendingIsRefused(self):
        with pytest.raises(ValueError, match="negative"):
            settleReservation(uuid.uuid4(), -1)


@pytest.mark.django_db
class TestEnsure:
    def test_makesOnceAndKeepsTheLimit(self):
        session = makeSession()
        first = ensureBudget("session", 5, session=session)
        again = ensureBudget("session", 9, session=session.pk)
        assert (first.pk, again.limitNano) == (again.pk, 5)

    def test_defaultsComeFromTheSettings(self, settings, caplog):
        settings.PM6_BUDGET_EVERYTHING, settings.PM6_BUDGET_GUESTS = "25", "0.5"
        ensureDefaultBudgets()
        assert {one.scope: one.limitNano for one in ensureDefaultBudgets()} == {
            "everything": 25_000_000_000,
            "guests": 500_000_000,
        }
        assert not caplog.records

    def test_limitThatDiffersFromTheSettingIsLogged(self, settings, caplog):
        settings.PM6_BUDGET_GUESTS = "0.5"
        ensureBudget("guests", 7)
        ensureDefaultBudgets()
        assert Budget.objects.get(scope="guests").limitNano == 7
        assert "stands at <$0.0001" in caplog.text

    @pytest.mark.parametrize("value", ["", "many", "-1"])
    def test_badSettingIsNamed(self, settings, value):
        settings.PM6_BUDGET_GUESTS = value
        with pytest.raises(ConfigurationError, match="PM6_BUDGET_GUESTS"):
            ensureDefaultBudgets()

    @pytest.mark.parametrize(
        ("scope", "names"),
        [("session", {}), ("everything", {"simulation": 1}), ("simulation", {"session": 1})],
    )
    def test_scopeAndOwnerGoTogether(self, scope, names):
        with pytest.raises(ValueError, match="goes with"):
            ensureBudget(scope, 1, **names)

    def test_listIsWidestFirst(self):
        session = makeSession()
        ensureBudget("session", 1, session=session)
        ensureBudget("simulation", 1, simulation=session.simulation)
        ensureDefaultBudgets()
        scopes = [one.scope for one in listBudgets(scopeOf(session, isGuest=True))]
        assert scopes == ["everything", "guests", "simulation", "session"]
        assert [one.scope for one in listBudgets(MoneyScope(None, None, False))] == ["everything"]


@pytest.mark.parametrize(
    ("dollars", "nano"),
    [("25", 25_000_000_000), ("0.25", 250_000_000), (" 1.5 ", 1_500_000_000), ("0.000000001", 1), ("0", 0)],
)
def test_dollarsToNano(dollars, nano):
    assert dollarsToNano(dollars) == nano


@pytest.mark.parametrize(
    "dollars", ["", "x", "-0.01", "NaN", "Infinity", "0.0000000001", "1e30", "1e999999999", "1,5", "$5"]
)
def test_dollarsToNanoRefuses(dollars):
    with pytest.raises(InvalidInputError):
        dollarsToNano(dollars)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "$0.0000"),
        (12_300_000, "$0.0123"),
        (25_000_000_000, "$25.0000"),
        (1_234_567_890_000, "$1,234.5679"),
        (1, "<$0.0001"),
        (99_999, "<$0.0001"),
        (100_000, "$0.0001"),
        (-12_300_000, "-$0.0123"),
    ],
)
def test_formatNano(nano, shown):
    assert formatNano(nano) == shown


step = st.one_of(
    st.tuples(st.just("reserve"), st.booleans(), st.integers(0, 120), st.sampled_from([-5, 50])),
    st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 100)),
    st.tuples(st.just("release"), st.integers(0, 9)),
    st.tuples(st.just("extend"), st.integers(0, 9)),
    st.tuples(st.just("expire")),
)


class TestAnySequence(TestCase):
    """Whatever happens in whatever order, the sums agree with the rows and the limits hold."""

    @settings(max_examples=25, deadline=None)
    @given(st.lists(step, max_size=25))
    def test_nothingLeaks(self, steps):
        session = makeSession()
        makeBudgets(session)
        tokens: list[tuple[uuid.UUID, int]] = []
        for name, *values in steps:
            getattr(self, f"{name}Step")(session, tokens, *values)
            self.checkSums()
        expireReservations(timezone.now() + timedelta(days=1))
        assert not Budget.objects.exclude(reservedNano=0).exists()
        self.checkSums()

    def checkSums(self):
        checkNothingLeaks()
        for budget in Budget.objects.all():
            assert budget.settledNano + budget.reservedNano <= budget.limitNano + self.late

    def setup_example(self):
        super().setup_example()
        self.late = 0

    def reserveStep(self, session, tokens, isGuest, amount, lease):
        scope = scopeOf(session, isGuest=isGuest)
        lefts = [one.leftNano for one in listBudgets(scope)]
        try:
            tokens.append((reserve(scope, amount, lease), amount))
        except CostLimitError:
            assert min(lefts) < amount
        else:
            assert min(lefts) >= amount

    def settleStep(self, session, tokens, which, percent):
        for token, amount in tokens[which : which + 1]:
            spent = amount * percent // 100
            ended = BudgetReservation.objects.filter(token=token, status__in=("expired", "released"))
            # Money spent after its reservation ended may pass a limit; only that may.
            self.late += spent if ended.exists() else 0
            settleReservation(token, spent)

    def releaseStep(self, session, tokens, which):
        for token, _ in tokens[which : which + 1]:
            releaseReservation(token)

    def extendStep(self, session, tokens, which):
        extendReservations([token for token, _ in tokens[which : which + 2]], 50)

    def expireStep(self, session, tokens):
        expireReservations()
