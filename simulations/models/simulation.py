"""The authored world: a simulation and its parts. Every part mirrors a model of `packFormat`."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from pydantic import ValidationError as PydanticError

from costs.expressions import compileExpression
from costs.jsonColumn import TypedJsonField, cleanField
from costs.schemas import SLUG, Bucket, Effect, Scalar
from pm6.exceptions import InvalidInputError
from simulations.engine.intents import compilePattern
from simulations.packs.packFormat import VariablePart
from simulations.schemas import OptionPart, Visibility

SHARING = [
    ("open", "Open: the structure alone"),
    ("followUp", "Follow-up: the previous intent with this agent counts too"),
    ("private", "Private: full memory, never shared"),
]


class Simulation(models.Model):
    """A world that can be played.

    `revision` rises with every change of content, in the same transaction, and tells every
    process to compile the world anew. `epoch` rises only when a change alters behaviour.
    """

    class Serve(models.TextChoices):
        APPROVED = "approved", "Only approved replies"
        APPROVED_AND_PENDING = "approvedAndPending", "Approved, and pending ones that passed the checks"

    class Complexity(models.TextChoices):
        SMALL = "small"
        STANDARD = "standard"
        RICH = "rich"

    slug = models.CharField(max_length=40, unique=True, validators=[RegexValidator(SLUG)])
    title = models.CharField(max_length=80)
    description = models.TextField(blank=True, max_length=1000)
    playerRole = models.CharField(max_length=120)
    lore = models.TextField(blank=True, max_length=20000)
    opening = models.TextField(max_length=4000)
    openingSituation = models.CharField(max_length=40)
    fallbackAgent = models.CharField(max_length=40)
    language = models.CharField(max_length=20, default="en")
    domain = models.CharField(max_length=80, blank=True)
    complexity = models.CharField(max_length=10, choices=Complexity.choices, default=Complexity.STANDARD)
    model = models.CharField(max_length=80, blank=True, help_text="Empty takes the default model.")
    serve = models.CharField(max_length=20, choices=Serve.choices, default=Serve.APPROVED_AND_PENDING)
    serveDoubtful = models.BooleanField(default=False)
    targetVariants = models.PositiveSmallIntegerField(default=3)
    allowGuests = models.BooleanField(default=False)
    guestsMayUseModels = models.BooleanField(default=False)
    turnLimit = models.PositiveIntegerField(default=0, help_text="0 is no limit.")
    sessionBudgetNano = models.BigIntegerField(null=True, blank=True)
    owner = models.ForeignKey("auth.User", models.SET_NULL, null=True, blank=True, related_name="simulations")
    epoch = models.PositiveIntegerField(default=1)
    revision = models.PositiveIntegerField(default=1)
    packHash = models.CharField(max_length=32, blank=True, editable=False)
    createdAt = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def checkContent(self) -> None:
        """Raises InvalidInputError where the content could not be played as it stands."""
        from simulations.engine.world import compileWorld

        world = compileWorld(self)
        if world.openingSituation not in world.situations:
            raise InvalidInputError(f"There is no opening situation {world.openingSituation}.")
        if world.fallbackAgent not in world.agents:
            raise InvalidInputError(f"There is no fallback agent {world.fallbackAgent}.")


class WorldPart(models.Model):
    """What all parts of a simulation share."""

    simulation = models.ForeignKey(Simulation, models.CASCADE, related_name="%(class)ss")
    slug = models.CharField(max_length=40, validators=[RegexValidator(SLUG)])
    title = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)
    packHash = models.CharField(max_length=32, blank=True, editable=False)

    class Meta:
        abstract = True
        ordering = ["simulation", "position", "id"]
        constraints = [models.UniqueConstraint(fields=["simulation", "slug"], name="%(class)sSlugOnce")]

    def __str__(self) -> str:
        return self.title


class SituationType(WorldPart):
    description = models.TextField(max_length=4000)
    agents = TypedJsonField(default=list, schema=list[str])
    agentsPerTurn = models.PositiveSmallIntegerField(default=1)
    variables = TypedJsonField(default=list, blank=True, schema=list[str])
    sharing = models.CharField(max_length=10, choices=SHARING, default="open")
    options = TypedJsonField(default=list, blank=True, schema=list[OptionPart])


class Intent(WorldPart):
    words = models.CharField(max_length=400)
    phrases = TypedJsonField(default=list, schema=list[str])
    patterns = TypedJsonField(default=list, blank=True, schema=list[str])
    agents = TypedJsonField(default=list, blank=True, schema=list[str])
    effects = TypedJsonField(default=list, blank=True, schema=list[Effect])
    sharing = models.CharField(max_length=10, choices=[("", "As the situation says"), *SHARING], blank=True)
    nextSituation = models.CharField(max_length=40, blank=True)

    def clean(self) -> None:
        super().clean()
        for pattern in self.patterns:
            cleanField("patterns", compilePattern, pattern)


class StateVariable(WorldPart):
    class Kind(models.TextChoices):
        NUMBER = "number"
        CHOICE = "choice"
        FLAG = "flag"

    class Better(models.TextChoices):
        HIGHER = "higher"
        LOWER = "lower"
        NEUTRAL = "neutral"

    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.NUMBER)
    initial = TypedJsonField(schema=Scalar)
    minimum = models.FloatField(default=0)
    maximum = models.FloatField(default=100)
    unit = models.CharField(max_length=12, blank=True)
    better = models.CharField(max_length=8, choices=Better.choices, default=Better.NEUTRAL)
    buckets = TypedJsonField(default=list, blank=True, schema=list[Bucket])
    choices = TypedJsonField(default=list, blank=True, schema=list[str])
    visibility = TypedJsonField(default=dict, blank=True, schema=Visibility)
    help = models.CharField(max_length=300, blank=True)

    def clean(self) -> None:
        super().clean()
        part = {name: getattr(self, name) for name in VariablePart.model_fields}
        try:
            problems = VariablePart.model_validate(part).listProblems()
        except PydanticError as error:
            problems = [f"{item['loc'][0]}: {item['msg']}" for item in error.errors()]
        if problems:
            raise ValidationError(problems)


class Rule(WorldPart):
    class Kind(models.TextChoices):
        WIN = "win"
        LOSE = "lose"
        EFFECT = "effect"
        EVENT = "event"
        MOVE = "move"
        FORBID = "forbid"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    condition = models.CharField(max_length=400)
    message = models.TextField(blank=True, max_length=1000)
    effects = TypedJsonField(default=list, blank=True, schema=list[Effect])
    event = models.CharField(max_length=40, blank=True)
    situation = models.CharField(max_length=40, blank=True)
    once = models.BooleanField(default=False)
    cooldown = models.PositiveSmallIntegerField(default=0)

    def clean(self) -> None:
        super().clean()
        cleanField("condition", compileExpression, self.condition)


class WorldEvent(WorldPart):
    text = models.TextField(max_length=4000)
    effects = TypedJsonField(default=list, blank=True, schema=list[Effect])
    situation = models.CharField(max_length=40, blank=True)
    then = models.CharField(max_length=40, blank=True)
