"""Limits on spending, and the money set aside in them before a call.

A reservation is one conditional update per budget, so any number of processes may reserve at
once and none passes the limit. Budgets are always taken in the same order, widest first: two
transactions that need the same ones wait for each other and never in a circle.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from costs.models import Budget, BudgetReservation
from pm6.exceptions import ConfigurationError, CostLimitError, InvalidInputError

logger = logging.getLogger("pm6.costs")

NANO_PER_DOLLAR = 1_000_000_000
LARGEST_NANO = 2**63 - 1

Scope = Budget.Scope
Status = BudgetReservation.Status

SCOPE_ORDER = {Scope.EVERYTHING: 0, Scope.GUESTS: 1, Scope.SIMULATION: 2, Scope.SESSION: 3}
SCOPE_NAMES = {
    Scope.EVERYTHING: "The budget for everything",
    Scope.GUESTS: "The guests' budget",
    Scope.SIMULATION: "The simulation's budget",
    Scope.SESSION: "The session's budget",
}


@dataclass(frozen=True, slots=True)
class MoneyScope:
    """Whose money a call spends.

    Attributes:
        simulationId: Primary key of the simulation, or None.
        sessionId: Primary key of the session, or None for what no player asked for.
        isGuest: Whether the player has no account; guests share a budget of their own.
    """

    simulationId: int | None
    sessionId: uuid.UUID | None
    isGuest: bool


def dollarsToNano(dollars: str) -> int:
    """Returns a decimal amount of dollars in nano-dollars.

    Raises:
        InvalidInputError: Not a decimal number, negative, finer than a nano-dollar or too large.
    """
    try:
        nano = Decimal(dollars.strip()) * NANO_PER_DOLLAR
    except ArithmeticError:
        nano = Decimal("NaN")
    if not nano.is_finite() or not 0 <= nano <= LARGEST_NANO or nano != int(nano):
        raise InvalidInputError(f"'{dollars}' is not an amount of dollars such as 0.25.")
    return int(nano)


def formatNano(nano: int) -> str:
    """Returns nano-dollars as people read them: `$0.0123`; less than that shows as `<$0.0001`."""
    sign, amount = ("-", -nano) if nano < 0 else ("", nano)
    if 0 < amount < 100_000:
        return f"{sign}<$0.0001"
    return f"{sign}${Decimal(amount) / NANO_PER_DOLLAR:,.4f}"


def ensureBudget(scope: str, limitNano: int, simulation: Any = None, session: Any = None) -> Budget:
    """Returns the budget of a scope; makes it when there is none.

    A budget that exists keeps its limit: the row is what the author sees and edits.

    Args:
        scope: One of `Budget.Scope`.
        limitNano: The limit of a new budget.
        simulation: The simulation or its id, for a simulation's budget.
        session: The session or its id, for a session's budget.
    """
    simulationId, sessionId = getattr(simulation, "pk", simulation), getattr(session, "pk", session)
    if (scope == Scope.SIMULATION) != (simulationId is not None):
        raise ValueError("a simulation goes with a simulation's budget, and only with it")
    if (scope == Scope.SESSION) != (sessionId is not None):
        raise ValueError("a session goes with a session's budget, and only with it")
    budget, _ = Budget.objects.get_or_create(
        scope=scope, simulation_id=simulationId, session_id=sessionId, defaults={"limitNano": limitNano}
    )
    return budget


def ensureDefaultBudgets() -> list[Budget]:
    """Makes the budgets that the settings name; one that exists with another limit is logged."""
    wanted = {
        Scope.EVERYTHING: _readSetting("PM6_BUDGET_EVERYTHING"),
        Scope.GUESTS: _readSetting("PM6_BUDGET_GUESTS"),
    }
    budgets = [ensureBudget(scope, limitNano) for scope, limitNano in wanted.items()]
    for budget in budgets:
        asked = wanted[Scope(budget.scope)]
        if budget.limitNano != asked:
            logger.warning(
                "%s stands at %s; the setting says %s and holds for new databases only.",
                SCOPE_NAMES[Scope(budget.scope)],
                formatNano(budget.limitNano),
                formatNano(asked),
            )
    return budgets


def listBudgets(scope: MoneyScope) -> list[Budget]:
    """Returns the budgets that a call in the scope spends from, widest first."""
    applies = Q(scope=Scope.EVERYTHING)
    if scope.isGuest:
        applies |= Q(scope=Scope.GUESTS)
    if scope.simulationId is not None:
        applies |= Q(scope=Scope.SIMULATION, simulation_id=scope.simulationId)
    if scope.sessionId is not None:
        applies |= Q(scope=Scope.SESSION, session_id=scope.sessionId)
    return sorted(Budget.objects.filter(applies), key=_orderOf)


def reserveMoney(scope: MoneyScope, amountNano: int, leaseSeconds: float) -> uuid.UUID:
    """Sets money aside in every budget of the scope, or in none.

    Runs inside the caller's transaction, so that the reservation and the turn that needs it
    appear together. Nothing to set aside leaves no row; the token is good all the same.

    Args:
        scope: Whose money it is.
        amountNano: The most that the call can cost.
        leaseSeconds: How long the money stays set aside unless the lease is extended.

    Returns:
        The token that settles or releases the reservation.

    Raises:
        CostLimitError: A budget has less left than the amount.
    """
    if amountNano < 0:
        raise ValueError("an amount to reserve is not negative")
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("reserveMoney needs a transaction around it")
    token = uuid.uuid4()
    if amountNano:
        # The savepoint: a caller that catches the refusal goes on without half a reservation.
        with transaction.atomic():
            _reserveRows(token, _getBudgets(scope), amountNano, leaseSeconds)
    return token


def settleReservation(token: uuid.UUID, spentNano: int) -> bool:
    """Records what a call cost and frees the rest; a second time does nothing.

    Money that was spent is recorded whatever became of the reservation meanwhile: what had
    expired or was released is counted too, once.

    Returns:
        Whether this call was the one that settled it; False also where nothing was set aside.
    """
    if spentNano < 0:
        raise ValueError("spending is not negative")
    with transaction.atomic():
        rows = [row for row in _listRows(token) if _settleRow(row, spentNano)]
    if rows and spentNano > rows[0].amountNano:
        logger.error(
            "Overrun: reservation %s held %d nano-dollars and the call cost %d.",
            token,
            rows[0].amountNano,
            spentNano,
        )
    return bool(rows)


def releaseReservation(token: uuid.UUID) -> bool:
    """Frees the money of a call that wasn't made; returns whether it was still set aside."""
    with transaction.atomic():
        return bool([row for row in _listRows(token) if _freeRow(row, Status.RELEASED)])


def extendReservations(tokens: Iterable[uuid.UUID], leaseSeconds: float) -> int:
    """Prolongs the leases of open reservations; returns how many rows were still open."""
    until = timezone.now() + timedelta(seconds=leaseSeconds)
    return BudgetReservation.objects.filter(token__in=list(tokens), status=Status.OPEN).update(
        expiresAt=until
    )


def expireReservations(now: datetime | None = None) -> int:
    """Frees what was set aside by processes that died; returns the number of reservations."""
    moment = now or timezone.now()
    due = BudgetReservation.objects.filter(status=Status.OPEN, expiresAt__lt=moment)
    tokens = list(due.order_by("token").values_list("token", flat=True).distinct())
    expired = sum(_expireReservation(token, moment) for token in tokens)
    if expired:
        logger.warning("%d reservations expired; their calls never ended.", expired)
    return expired


def _readSetting(name: str) -> int:
    try:
        return dollarsToNano(str(getattr(settings, name)))
    except InvalidInputError as error:
        raise ConfigurationError(f"{name}: {error.message}") from error


def _orderOf(budget: Budget) -> tuple[int, int]:
    return SCOPE_ORDER[Scope(budget.scope)], budget.pk


def _getBudgets(scope: MoneyScope) -> list[Budget]:
    """Returns the budgets to reserve in; nobody spends before the default limits exist."""
    budgets = listBudgets(scope)
    needed = {Scope.EVERYTHING, Scope.GUESTS} if scope.isGuest else {Scope.EVERYTHING}
    if needed <= {Scope(budget.scope) for budget in budgets}:
        return budgets
    ensureDefaultBudgets()
    return listBudgets(scope)


def _reserveRows(token: uuid.UUID, budgets: list[Budget], amountNano: int, leaseSeconds: float) -> None:
    for budget in budgets:
        _reserveIn(budget, amountNano)
    expiresAt = timezone.now() + timedelta(seconds=leaseSeconds)
    BudgetReservation.objects.bulk_create(
        BudgetReservation(token=token, budget=budget, amountNano=amountNano, expiresAt=expiresAt)
        for budget in budgets
    )


def _reserveIn(budget: Budget, amountNano: int) -> None:
    # A plain condition on the row itself, so that PostgreSQL weighs it again after waiting for
    # another's update; in a subquery it would not.
    needed = F("settledNano") + F("reservedNano") + amountNano
    withRoom = Budget.objects.filter(pk=budget.pk, limitNano__gte=needed)
    if withRoom.update(reservedNano=F("reservedNano") + amountNano, updatedAt=timezone.now()):
        return
    # Room may have come since the update looked; under the lock the answer is certain.
    current = Budget.objects.select_for_update().get(pk=budget.pk)
    if current.leftNano < amountNano:
        raise _refuse(current, amountNano)
    _changeBudget(budget.pk, reservedNano=F("reservedNano") + amountNano)


def _refuse(budget: Budget, amountNano: int) -> CostLimitError:
    left, needed = formatNano(max(0, budget.leftNano)), formatNano(amountNano)
    return CostLimitError(
        f"{SCOPE_NAMES[Scope(budget.scope)]} has {left} left and the call may cost up to {needed}.",
        details={
            "budget": budget.scope,
            "leftNano": budget.leftNano,
            "neededNano": amountNano,
            "limitNano": budget.limitNano,
        },
    )


def _listRows(token: uuid.UUID) -> list[BudgetReservation]:
    """Returns a token's rows in the fixed order, under the lock of the first one's budget.

    Every reservation begins with the same budget, so whoever holds its lock waits for nobody.
    """
    rows = BudgetReservation.objects.filter(token=token).select_related("budget")
    ordered = sorted(rows, key=lambda row: _orderOf(row.budget))
    if ordered:
        Budget.objects.select_for_update().get(pk=ordered[0].budget_id)
    return ordered


def _settleRow(row: BudgetReservation, spentNano: int) -> bool:
    mine = BudgetReservation.objects.filter(pk=row.pk)
    settled = {"status": Status.SETTLED, "settledNano": spentNano}
    if mine.filter(status=Status.OPEN).update(**settled):
        _changeBudget(
            row.budget_id,
            reservedNano=F("reservedNano") - row.amountNano,
            settledNano=F("settledNano") + spentNano,
        )
        return True
    if mine.filter(status__in=(Status.EXPIRED, Status.RELEASED)).update(**settled):
        _changeBudget(row.budget_id, settledNano=F("settledNano") + spentNano)
        return True
    return False


def _freeRow(row: BudgetReservation, status: str, **conditions: Any) -> bool:
    mine = BudgetReservation.objects.filter(pk=row.pk, status=Status.OPEN, **conditions)
    if not mine.update(status=status):
        return False
    _changeBudget(row.budget_id, reservedNano=F("reservedNano") - row.amountNano)
    return True


def _expireReservation(token: uuid.UUID, moment: datetime) -> bool:
    """Expires one reservation in a transaction of its own, unless its lease was extended."""
    with transaction.atomic():
        rows = [row for row in _listRows(token) if _freeRow(row, Status.EXPIRED, expiresAt__lt=moment)]
    return bool(rows)


def _changeBudget(budgetId: int, **changes: Any) -> None:
    Budget.objects.filter(pk=budgetId).update(updatedAt=timezone.now(), **changes)
