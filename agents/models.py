"""The characters of a simulation."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from pydantic import ValidationError as PydanticError

from agents.agentConfig import AgentConfig
from agents.memoryPolicy import MemoryPolicy
from costs.jsonColumn import TypedJsonField
from costs.schemas import SLUG


class Agent(models.Model):
    """A character; `AgentConfig` is the same as a file or JSON.

    `epoch` rises when a change alters how the agent behaves; replies stored before are then
    doubtful and not served unless the simulation says so.
    """

    simulation = models.ForeignKey("simulations.Simulation", models.CASCADE, related_name="agents")
    slug = models.CharField(max_length=40, validators=[RegexValidator(SLUG)])
    name = models.CharField(max_length=80)
    role = models.CharField(max_length=120)
    persona = models.TextField(max_length=6000)
    voice = models.TextField(blank=True, max_length=600)
    interests = TypedJsonField(default=list, blank=True, schema=list[str])
    relations = TypedJsonField(default=dict, blank=True, schema=dict[str, str])
    keywords = TypedJsonField(default=list, blank=True, schema=list[str])
    samples = TypedJsonField(default=list, blank=True, schema=list[str])
    fallbackLine = models.CharField(max_length=400, blank=True)
    model = models.CharField(max_length=80, blank=True, help_text="Empty takes the simulation's.")
    memory = TypedJsonField(default=dict, blank=True, schema=MemoryPolicy)
    glyph = models.CharField(max_length=4, blank=True)
    color = models.CharField(max_length=7, default="#5b6b7b")
    epoch = models.PositiveIntegerField(default=1)
    position = models.PositiveSmallIntegerField(default=0)
    packHash = models.CharField(max_length=32, blank=True, editable=False)

    class Meta:
        ordering = ["simulation", "position", "id"]
        constraints = [models.UniqueConstraint(fields=["simulation", "slug"], name="agentSlugOnce")]

    def __str__(self) -> str:
        return self.name

    def readConfig(self) -> AgentConfig:
        """Returns the row in the form that files and prompts use."""
        values = {name: getattr(self, name) for name in AgentConfig.model_fields}
        return AgentConfig.model_validate(values)

    def clean(self) -> None:
        super().clean()
        try:
            self.readConfig()
        except PydanticError as error:
            raise ValidationError({str(e["loc"][0]): e["msg"] for e in error.errors()}) from error
