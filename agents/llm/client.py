"""What a model client is: one request in, a stream of events out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from costs.usage import Usage

ClientKind = Literal["anthropic", "local", "scripted"]
StopReason = Literal["end", "maxTokens", "refusal", "paused", "contextExceeded"]


@dataclass(frozen=True, slots=True)
class PromptBlock:
    """A piece of the system prompt; `cache` ends a cached prefix with that lifetime."""

    text: str
    cache: Literal["", "5m", "1h"] = ""


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model.

    Attributes:
        model: Name as the provider knows it.
        system: Stable layers first; at most four of them end in a cache breakpoint.
        messages: Alternating, the last one from the user.
        maxTokens: Upper bound of the output.
        label: Who answers what, for logs and for the scripted client's patterns.
        timeoutSeconds: Longest wait for the whole call.
    """

    model: str
    system: tuple[PromptBlock, ...]
    messages: tuple[Message, ...]
    maxTokens: int
    label: str = ""
    timeoutSeconds: float = 60.0

    def countBytes(self) -> int:
        """Returns the UTF-8 bytes of everything sent: an upper bound of its tokens."""
        texts = [block.text for block in self.system] + [message.text for message in self.messages]
        return sum(len(text.encode()) for text in texts)


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a call that came to its end.

    Attributes:
        text: The whole reply.
        stop: Why it ended; only `end` makes a reply that may be stored.
        model: The model that answered, as the provider names it.
        firstTokenMs: Milliseconds to the first text; 0 when nothing came.
    """

    text: str
    stop: StopReason
    usage: Usage
    model: str
    requestId: str = ""
    firstTokenMs: float = 0.0
    totalMs: float = 0.0


@dataclass(slots=True)
class PartialUsage:
    """What a call has used so far, kept where a cancelled caller can still read it."""

    usage: Usage = field(default_factory=Usage)
    requestId: str = ""


class ModelClient(Protocol):
    """Streams one call; retries nothing by itself.

    `stream` yields any number of `TextDelta` and then exactly one `Finished`, or raises a
    `ModelError`. It keeps `partial` up to date while it runs, so that a call that was
    cancelled or broke is charged for what it used.
    """

    kind: ClientKind
    streamsText: bool

    def stream(
        self, request: ModelRequest, partial: PartialUsage
    ) -> AsyncGenerator[TextDelta | Finished, None]: ...

    async def close(self) -> None: ...
