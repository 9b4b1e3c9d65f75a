"""Stored replies: a signature, its variants, and the call that is under way for it."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from costs.expressions import compileExpression
from costs.jsonColumn import TypedJsonField, cleanField
from costs.schemas import Effect, SignatureComponents


class ResponseSignature(models.Model):
    """The structural key under which replies are kept; see `costs.signatureCompute`."""

    simulation = models.ForeignKey("simulations.Simulation", models.CASCADE, related_name="signatures")
    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="signatures")
    digest = models.CharField(max_length=32, unique=True)
    situationType = models.CharField(max_length=40)
    mask = models.CharField(
        max_length=500, blank=True, help_text="The components that are `any`, sorted, with commas between."
    )
    components = TypedJsonField(schema=SignatureComponents)
    createdAt = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["agent", "situationType", "id"]
        indexes = [
            models.Index(
                "simulation", "agent", "situationType", "mask", condition=~Q(mask=""), name="signatureMasks"
            )
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} · {self.situationType} · {self.components.get('intent', '')}"


class ResponseVariant(models.Model):
    """One reply that may be served wherever its signature matches."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        RETIRED = "retired"

    class MadeIn(models.TextChoices):
        AUTHORED = "authored"
        LIVE = "live"
        TEST = "test"

    signature = models.ForeignKey(ResponseSignature, models.CASCADE, related_name="variants")
    text = models.TextField(help_text="What is said; slots such as {approval} show the state.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    condition = models.CharField(
        max_length=400,
        blank=True,
        help_text="CEL over state, turn, situation, intent. Example: state.approval < 20.0",
    )
    weight = models.FloatField(default=1.0, validators=[MinValueValidator(0.001)])
    effects = TypedJsonField(default=list, blank=True, schema=list[Effect])
    madeIn = models.CharField(max_length=10, choices=MadeIn.choices, default=MadeIn.AUTHORED)
    clientKind = models.CharField(max_length=10, blank=True)
    model = models.CharField(max_length=80, blank=True)
    agentEpoch = models.PositiveIntegerField(default=1)
    simulationEpoch = models.PositiveIntegerField(default=1)
    fingerprint = models.CharField(
        max_length=32,
        blank=True,
        help_text="What the prompt was built from; where it differs the variant is doubtful.",
    )
    checkResult = models.CharField(
        max_length=200, blank=True, help_text="Why an automatic check refused it; else empty."
    )
    costNano = models.BigIntegerField(default=0)
    packHash = models.CharField(max_length=32, blank=True, editable=False)
    reviewer = models.ForeignKey("auth.User", models.SET_NULL, null=True, blank=True, related_name="+")
    notes = models.TextField(blank=True)
    createdAt = models.DateTimeField(auto_now_add=True)
    updatedAt = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["signature", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(costNano__gte=0), name="variantCostNotNegative"),
            models.CheckConstraint(condition=Q(weight__gt=0), name="variantWeightPositive"),
        ]

    def __str__(self) -> str:
        return self.text[:60]

    def clean(self) -> None:
        super().clean()
        if self.condition:
            cleanField("condition", compileExpression, self.condition)


class Flight(models.Model):
    """A shareable call under way: at most one for a signature, epochs and mode.

    The leader holds a lease and fences its writes with `token`; followers wait for the row.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        LANDED = "landed"
        FAILED = "failed"

    key = models.CharField(max_length=32, unique=True)
    token = models.UUIDField()
    leaseUntil = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    text = models.TextField(blank=True)
    effects = TypedJsonField(default=list, blank=True, schema=list[Effect])
    variant = models.ForeignKey(ResponseVariant, models.SET_NULL, null=True, blank=True, related_name="+")
    model = models.CharField(max_length=80, blank=True)
    savedNano = models.BigIntegerField(default=0)
    updatedAt = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["updatedAt"], name="flightAge")]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"
