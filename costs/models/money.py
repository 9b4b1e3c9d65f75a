"""The ledger, the budgets and what is set aside in them. Money is integer nano-dollars."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce


class CostRecord(models.Model):
    """One line of the ledger: a model call and its end, or a hit and what it saved.

    Never changed and never deleted; a session that goes leaves its sums.
    """

    class Purpose(models.TextChoices):
        REPLY = "reply"
        COMPACTION = "compaction"
        GENERATION = "generation"
        JUDGING = "judging"
        WARMING = "warming"

    class Source(models.TextChoices):
        HIT = "hit"
        SHARED = "shared"
        MODEL = "model"
        LINE = "line"

    class Status(models.TextChoices):
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    simulation = models.ForeignKey("simulations.Simulation", models.PROTECT, related_name="costRecords")
    session = models.ForeignKey(
        "simulations.Session", models.SET_NULL, null=True, blank=True, related_name="costRecords"
    )
    turn = models.ForeignKey(
        "simulations.Turn", models.SET_NULL, null=True, blank=True, related_name="costRecords"
    )
    agent = models.ForeignKey(
        "agents.Agent", models.SET_NULL, null=True, blank=True, related_name="costRecords"
    )
    purpose = models.CharField(max_length=12, choices=Purpose.choices, default=Purpose.REPLY)
    source = models.CharField(max_length=8, choices=Source.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DONE)
    mode = models.CharField(max_length=8)
    clientKind = models.CharField(max_length=10, blank=True)
    model = models.CharField(max_length=80, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    requestId = models.CharField(max_length=80, blank=True)
    errorCode = models.CharField(max_length=40, blank=True)
    inputTokens = models.PositiveIntegerField(default=0)
    outputTokens = models.PositiveIntegerField(default=0)
    cacheReadTokens = models.PositiveIntegerField(default=0)
    cacheWrite5mTokens = models.PositiveIntegerField(default=0)
    cacheWrite1hTokens = models.PositiveIntegerField(default=0)
    estimated = models.BooleanField(
        default=False, help_text="The call ended early; its output was counted from the text."
    )
    priceNano = models.BigIntegerField(default=0)
    savedNano = models.BigIntegerField(default=0)
    prices = models.JSONField(
        default=dict, blank=True, help_text="Nano-dollars per token of each class, as they were then."
    )
    firstTokenMs = models.FloatField(default=0)
    totalMs = models.FloatField(default=0)
    createdAt = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["session", "id"], name="ledgerOfSession"),
            models.Index(fields=["simulation", "createdAt"], name="ledgerOfSimulation"),
            models.Index(fields=["createdAt"], name="ledgerByTime"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(priceNano__gte=0, savedNano__gte=0), name="ledgerNotNegative"),
            models.CheckConstraint(condition=Q(source="model") | Q(priceNano=0), name="ledgerOnlyModelsCost"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.model} {self.priceNano}"


class Budget(models.Model):
    """A limit on spending in a scope; settled and reserved money together stay under it."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything"
        SIMULATION = "simulation"
        SESSION = "session"
        GUESTS = "guests"

    scope = models.CharField(max_length=12, choices=Scope.choices)
    simulation = models.ForeignKey(
        "simulations.Simulation", models.CASCADE, null=True, blank=True, related_name="budgets"
    )
    session = models.ForeignKey(
        "simulations.Session", models.CASCADE, null=True, blank=True, related_name="budgets"
    )
    limitNano = models.BigIntegerField(help_text="Nano-dollars.")
    settledNano = models.BigIntegerField(default=0)
    reservedNano = models.BigIntegerField(default=0)
    updatedAt = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["scope", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(limitNano__gte=0, settledNano__gte=0, reservedNano__gte=0),
                name="budgetNotNegative",
            ),
            models.UniqueConstraint(
                "scope",
                Coalesce(F("simulation"), models.Value(0)),
                Coalesce(F("session"), models.Value(uuid.UUID(int=0)), output_field=models.UUIDField()),
                name="budgetOnePerScope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.limitNano}"

    @property
    def leftNano(self) -> int:
        return self.limitNano - self.settledNano - self.reservedNano


class BudgetReservation(models.Model):
    """Money set aside in one budget for one call; ends settled, released or expired."""

    class Status(models.TextChoices):
        OPEN = "open"
        SETTLED = "settled"
        RELEASED = "released"
        EXPIRED = "expired"

    token = models.UUIDField(db_index=True)
    budget = models.ForeignKey(Budget, models.CASCADE, related_name="reservations")
    amountNano = models.BigIntegerField()
    settledNano = models.BigIntegerField(default=0)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    expiresAt = models.DateTimeField()
    createdAt = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["expiresAt"], condition=Q(status="open"), name="reservationsOpen")]
        constraints = [
            models.CheckConstraint(
                condition=Q(amountNano__gte=0, settledNano__gte=0), name="reservationNotNegative"
            ),
            models.UniqueConstraint(fields=["token", "budget"], name="reservationOncePerBudget"),
        ]

    def __str__(self) -> str:
        return f"{self.token} {self.status}"


class PriceRule(models.Model):
    """A dated price of a model that goes before the shipped price list."""

    model = models.CharField(max_length=80, help_text="Name as in requests, for example claude-sonnet-5-5.")
    validFrom = models.DateTimeField()
    inputNano = models.BigIntegerField(help_text="Nano-dollars per input token.")
    outputNano = models.BigIntegerField(help_text="Nano-dollars per output token.")
    cacheReadNano = models.BigIntegerField()
    cacheWrite5mNano = models.BigIntegerField()
    cacheWrite1hNano = models.BigIntegerField()
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["model", "-validFrom"]
        constraints = [
            models.UniqueConstraint(fields=["model", "validFrom"], name="priceRuleOncePerMoment"),
            models.CheckConstraint(
                condition=Q(
                    inputNano__gte=0,
                    outputNano__gte=0,
                    cacheReadNano__gte=0,
                    cacheWrite5mNano__gte=0,
                    cacheWrite1hNano__gte=0,
                ),
                name="priceRuleNotNegative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.validFrom:%Y-%m-%d}"
