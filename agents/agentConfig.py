"""An agent as authors write it: the same form in files, the API and Python."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agents.memoryPolicy import MemoryPolicy
from costs.schemas import Slug, StrictModel


class AgentConfig(StrictModel):
    """A character of a simulation.

    Attributes:
        slug: Name in files, keys and "@" mentions.
        name: Name that players read.
        role: Office or part, in a few words.
        persona: Who the agent is; told to the model word for word.
        voice: How the agent speaks.
        interests: What the agent wants, each a short sentence.
        relations: Slug of another agent to how this one feels about it.
        keywords: Words in free text that call this agent.
        samples: Two replies that show the voice; the embedded model learns from them.
        fallbackLine: Said when nothing stored fits and no model may be asked; without one the
            turn is refused then.
        model: Model to ask; empty takes the simulation's.
        memory: What the agent remembers in private replies.
        glyph: One character for the portrait.
        color: Colour of the portrait, `#rrggbb`.
    """

    slug: Slug
    name: Annotated[str, Field(min_length=1, max_length=80)]
    role: Annotated[str, Field(min_length=1, max_length=120)]
    persona: Annotated[str, Field(min_length=1, max_length=6000)]
    voice: Annotated[str, Field(max_length=600)] = ""
    interests: list[Annotated[str, Field(max_length=300)]] = Field(default_factory=list, max_length=12)
    relations: dict[Slug, Annotated[str, Field(max_length=300)]] = Field(default_factory=dict)
    keywords: list[Annotated[str, Field(min_length=2, max_length=40)]] = Field(
        default_factory=list, max_length=40
    )
    samples: list[Annotated[str, Field(max_length=400)]] = Field(default_factory=list, max_length=6)
    fallbackLine: Annotated[str, Field(max_length=400)] = ""
    model: Annotated[str, Field(max_length=80)] = ""
    memory: MemoryPolicy = MemoryPolicy()
    glyph: Annotated[str, Field(max_length=4)] = ""
    color: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = "#5b6b7b"
