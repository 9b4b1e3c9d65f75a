"""One play of a simulation: session, branch, turn, reply. Turns and replies are append-only."""

from __future__ import annotations

import uuid
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from costs.jsonColumn import TypedJsonField
from costs.schemas import Effect
from simulations.schemas import AppliedEffect, RouteDecision, TurnNote, Why

MODES = [("live", "Live"), ("test", "Test"), ("sealed", "Sealed")]


class Session(models.Model):
    """A play: who plays, with which seed, in which mode, and where it stands.

    `sequence` counts everything durable that happened; a client that says the last number it
    saw is sent the turns that changed since.
    """

    class Status(models.TextChoices):
        RUNNING = "running"
        WON = "won"
        LOST = "lost"
        ENDED = "ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    simulation = models.ForeignKey("simulations.Simulation", models.PROTECT, related_name="sessions")
    player = models.ForeignKey("auth.User", models.CASCADE, null=True, blank=True, related_name="sessions")
    guestKey = models.CharField(max_length=64, blank=True, help_text="Digest of a guest's cookie.")
    seat = models.CharField(max_length=40, blank=True)
    mode = models.CharField(max_length=8, choices=MODES, default="live")
    language = models.CharField(max_length=20, default="en")
    seed = models.BigIntegerField()
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.RUNNING)
    outcome = models.TextField(blank=True)
    sequence = models.PositiveIntegerField(default=0)
    activeBranch = models.ForeignKey("Branch", models.RESTRICT, null=True, related_name="+")
    spentNano = models.BigIntegerField(default=0)
    savedNano = models.BigIntegerField(default=0)
    createdAt = models.DateTimeField(auto_now_add=True)
    lastActivityAt = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-lastActivityAt"]
        indexes = [
            models.Index(fields=["player", "-lastActivityAt"], name="sessionsOfPlayer"),
            models.Index(fields=["guestKey", "-lastActivityAt"], name="sessionsOfGuest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(spentNano__gte=0, savedNano__gte=0), name="sessionMoneyNotNegative"
            )
        ]

    def __str__(self) -> str:
        return f"{self.simulation_id} {self.id}"


class Branch(models.Model):
    """A timeline: its own turns, and those of its parent up to the fork.

    Holds the state after its last finished turn, so that a turn reads one row however long
    the story is. `lineage` lists the timelines it stands on as [branch id, last shared turn].
    """

    session = models.ForeignKey(Session, models.CASCADE, related_name="branches")
    parent = models.ForeignKey("self", models.RESTRICT, null=True, blank=True, related_name="children")
    forkTurn = models.PositiveIntegerField(null=True, blank=True)
    lineage = TypedJsonField(default=list, blank=True, schema=list[tuple[int, int]])
    headTurn = models.PositiveIntegerField(default=0)
    situation = models.CharField(max_length=40)
    state = TypedJsonField(schema=dict[str, bool | float | str])
    lastIntents = TypedJsonField(default=dict, blank=True, schema=dict[str, str])
    firedRules = TypedJsonField(default=dict, blank=True, schema=dict[str, int])
    createdAt = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["session", "id"]

    def __str__(self) -> str:
        return f"{self.session_id} branch {self.pk}"


class Turn(models.Model):
    """One trigger with everything it caused."""

    class Trigger(models.TextChoices):
        PLAYER = "player"
        AGENT = "agent"
        EVENT = "event"
        AUTHOR = "author"

    class Status(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        INTERRUPTED = "interrupted"

    session = models.ForeignKey(Session, models.CASCADE, related_name="turns")
    branch = models.ForeignKey(Branch, models.CASCADE, related_name="turns")
    number = models.PositiveIntegerField()
    sequence = models.PositiveIntegerField()
    trigger = models.CharField(max_length=8, choices=Trigger.choices, default=Trigger.PLAYER)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPEN)
    clientKey = models.CharField(max_length=64)
    leaseToken = models.UUIDField(null=True, blank=True)
    leaseUntil = models.DateTimeField(null=True, blank=True)
    reservations = TypedJsonField(default=list, blank=True, schema=list[UUID])
    inputText = models.TextField(blank=True)
    intent = models.CharField(max_length=60)
    intentPath = models.CharField(max_length=10)
    situation = models.CharField(max_length=40)
    nextSituation = models.CharField(max_length=40, blank=True)
    route = TypedJsonField(default=list, schema=list[RouteDecision])
    stateBefore = TypedJsonField(schema=dict[str, bool | float | str])
    stateAfter = TypedJsonField(null=True, blank=True, schema=dict[str, bool | float | str])
    effects = TypedJsonField(default=list, blank=True, schema=list[AppliedEffect])
    notes = TypedJsonField(default=list, blank=True, schema=list[TurnNote])
    worldRevision = models.PositiveIntegerField()
    mode = models.CharField(max_length=8, choices=MODES)
    outcome = models.CharField(max_length=8, blank=True)
    totalMs = models.FloatField(default=0)
    startedAt = models.DateTimeField(default=timezone.now)
    settledAt = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["branch", "number"]
        indexes = [
            models.Index(fields=["session", "sequence"], name="turnsOfSession"),
            models.Index(fields=["leaseUntil"], condition=Q(status="open"), name="turnsOpen"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["branch", "number"], condition=~Q(status="interrupted"), name="turnNumberOnce"
            ),
            models.UniqueConstraint(
                fields=["branch", "clientKey"], condition=~Q(status="interrupted"), name="turnClientKeyOnce"
            ),
            models.UniqueConstraint(fields=["branch"], condition=Q(status="open"), name="turnOneOpen"),
        ]

    def __str__(self) -> str:
        return f"turn {self.number}"


class Reply(models.Model):
    """One agent's answer within a turn, with why it was chosen and what it cost."""

    class Source(models.TextChoices):
        HIT = "hit"
        SHARED = "shared"
        MODEL = "model"
        LINE = "line"

    class Status(models.TextChoices):
        DONE = "done"
        WITHDRAWN = "withdrawn"

    turn = models.ForeignKey(Turn, models.CASCADE, related_name="replies")
    branch = models.ForeignKey(Branch, models.CASCADE, related_name="+")
    turnNumber = models.PositiveIntegerField()
    position = models.PositiveSmallIntegerField()
    agent = models.ForeignKey("agents.Agent", models.PROTECT, related_name="replies")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DONE)
    source = models.CharField(max_length=8, choices=Source.choices)
    text = models.TextField()
    variant = models.ForeignKey(
        "costs.ResponseVariant", models.SET_NULL, null=True, blank=True, related_name="replies"
    )
    model = models.CharField(max_length=80, blank=True)
    clientKind = models.CharField(max_length=10, blank=True)
    effects = TypedJsonField(default=list, blank=True, schema=list[Effect])
    why = TypedJsonField(schema=Why)
    costNano = models.BigIntegerField(default=0)
    savedNano = models.BigIntegerField(default=0)
    tokens = models.PositiveIntegerField(default=0)
    totalMs = models.FloatField(default=0)

    class Meta:
        ordering = ["turn", "position", "id"]
        verbose_name_plural = "replies"
        indexes = [models.Index(fields=["branch", "variant", "turnNumber"], name="repliesHeard")]
        constraints = [
            models.CheckConstraint(
                condition=Q(costNano__gte=0, savedNano__gte=0), name="replyMoneyNotNegative"
            )
        ]

    def __str__(self) -> str:
        return self.text[:60]
