"""What an agent remembers of a session."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from costs.schemas import StrictModel


class MemoryPolicy(StrictModel):
    """What an agent is told of a session's past when a private reply is asked for.

    Attributes:
        policy: `full`, `summary`, `selective` or `none`.
        recentTurns: How many turns are told word for word.
    """

    policy: Literal["full", "summary", "selective", "none"] = "summary"
    recentTurns: Annotated[int, Field(ge=0, le=200)] = 8
