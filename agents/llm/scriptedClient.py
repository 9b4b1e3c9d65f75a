"""A model client that costs nothing: queued replies, replies by pattern, or an echo.

Test sessions are played with it, and so are pm6's own tests.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.llm.client import ClientKind, Finished, ModelRequest, PartialUsage, StopReason, TextDelta
from agents.llm.streamReading import BYTES_PER_INPUT_TOKEN, countUp
from costs.usage import Usage
from pm6.exceptions import ModelUnavailableError

SCRIPTED_MODEL = "scripted"
KEPT_REQUESTS = 1000
LONGEST_ECHO = 80


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One prepared reply and what happens on its way.

    Attributes:
        text: What is said.
        stop: How it ends.
        error: Raised after `breakAfter` words; before the first when that is None.
        breakAfter: Words that still come through; without an error the stream breaks there.
        delaySeconds: Waited before the first word.
        gate: Waited for before the first word.
    """

    text: str = ""
    stop: StopReason = "end"
    error: Exception | None = None
    breakAfter: int | None = None
    delaySeconds: float = 0.0
    gate: asyncio.Event | None = None


Scripted = str | ScriptedReply | Exception


class Script:
    """Replies in order; the last one stays."""

    def __init__(self, replies: Iterable[Scripted]):
        self._replies = deque(buildReply(reply) for reply in replies)
        if not self._replies:
            raise ValueError("A script needs at least one reply.")

    def take(self) -> ScriptedReply:
        return self._replies.popleft() if len(self._replies) > 1 else self._replies[0]


class ScriptedClient:
    """Answers from what was prepared: the queue first, then patterns, then an echo.

    Args:
        replies: The queue; each is given once, to whoever asks next.
        patterns: Regular expressions over the label and all text of a request, each with a
            reply or several; the last of several stays. The first that matches answers.
        sleep: Waits; a test's own doesn't.

    Attributes:
        requests: The last requests, oldest first.
    """

    kind: ClientKind = "scripted"
    streamsText = True

    def __init__(
        self,
        replies: Iterable[Scripted] = (),
        patterns: Mapping[str, Scripted | Iterable[Scripted]] | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ):
        self.requests: deque[ModelRequest] = deque(maxlen=KEPT_REQUESTS)
        self._queue = deque(buildReply(reply) for reply in replies)
        self._patterns: list[tuple[re.Pattern[str], Script]] = []
        self._byLabel: dict[str, Script] = {}
        self._sleep = sleep
        for pattern, prepared in (patterns or {}).items():
            self.addPattern(pattern, *([prepared] if isinstance(prepared, Scripted) else prepared))

    @classmethod
    def fromRecording(cls, recording: Iterable[Mapping[str, Any]]) -> ScriptedClient:
        """Returns a client that repeats recorded replies.

        Args:
            recording: Each with `label` and `text`, and `stop` where it wasn't `end`. Replies
                of one label come in their order; the last one stays.
        """
        byLabel: dict[str, list[Scripted]] = {}
        for row in recording:
            reply = ScriptedReply(text=row["text"], stop=row.get("stop", "end"))
            byLabel.setdefault(row["label"], []).append(reply)
        client = cls()
        client._byLabel = {label: Script(replies) for label, replies in byLabel.items()}
        return client

    def addReplies(self, *replies: Scripted) -> None:
        """Appends to the queue."""
        self._queue.extend(buildReply(reply) for reply in replies)

    def addPattern(self, pattern: str, *replies: Scripted) -> None:
        """Answers requests that match with these, in order; the last one stays."""
        self._patterns.append((re.compile(pattern, re.IGNORECASE | re.DOTALL), Script(replies)))

    async def stream(
        self, request: ModelRequest, partial: PartialUsage
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        """Streams one prepared reply word by word; see `ModelClient`."""
        self.requests.append(request)
        reply = self._choose(request)
        started = time.perf_counter()
        await self._hold(reply)
        if reply.error is not None and reply.breakAfter is None:
            # Refused at the door, which costs nothing anywhere.
            raise reply.error
        said = ""
        firstTokenMs = 0.0
        partial.usage = countUsage(request, said, estimated=True)
        for word in findWordsThatCome(reply):
            firstTokenMs = firstTokenMs or (time.perf_counter() - started) * 1000
            said += word
            partial.usage = countUsage(request, said, estimated=True)
            yield TextDelta(word)
        if reply.breakAfter is not None:
            raise reply.error or ModelUnavailableError("The scripted stream broke.")
        partial.usage = countUsage(request, said)
        yield Finished(
            text=said,
            stop=reply.stop,
            usage=partial.usage,
            model=SCRIPTED_MODEL,
            firstTokenMs=firstTokenMs,
            totalMs=(time.perf_counter() - started) * 1000,
        )

    async def close(self) -> None:
        """Nothing is open."""

    def _choose(self, request: ModelRequest) -> ScriptedReply:
        if self._queue:
            return self._queue.popleft()
        if request.label in self._byLabel:
            return self._byLabel[request.label].take()
        asked = "\n".join(
            [request.label, *(m.text for m in request.messages), *(b.text for b in request.system)]
        )
        for pattern, script in self._patterns:
            if pattern.search(asked):
                return script.take()
        return ScriptedReply(text=buildEcho(request))

    async def _hold(self, reply: ScriptedReply) -> None:
        if reply.gate is not None:
            await reply.gate.wait()
        if reply.delaySeconds:
            await self._sleep(reply.delaySeconds)


def buildReply(prepared: Scripted) -> ScriptedReply:
    if isinstance(prepared, Exception):
        return ScriptedReply(error=prepared)
    return ScriptedReply(text=prepared) if isinstance(prepared, str) else replace(prepared)


def findWordsThatCome(reply: ScriptedReply) -> list[str]:
    """Returns the words that are streamed, each with the space before it."""
    words = re.findall(r"\s*\S+|\s+$", reply.text)
    return words if reply.breakAfter is None else words[: reply.breakAfter]


def countUsage(request: ModelRequest, said: str, *, estimated: bool = False) -> Usage:
    """Returns a plausible count; a scripted model has no price."""
    return Usage(
        inputTokens=countUp(request.countBytes(), BYTES_PER_INPUT_TOKEN),
        outputTokens=countUp(len(said.encode()), BYTES_PER_INPUT_TOKEN),
        estimated=estimated,
    )


def buildEcho(request: ModelRequest) -> str:
    """Returns a line that says who answers what, the same for the same request."""
    agent = re.split(r"[:/|→]", request.label)[0].strip() or "nobody in particular"
    return f"This is {agent}, and I was asked: “{findAsked(request)}” That is all my script says."


def findAsked(request: ModelRequest) -> str:
    said = re.sub(r"<[^<>]*>", "", request.messages[-1].text) if request.messages else ""
    lines = [line.strip() for line in said.splitlines()]
    asked = next((line for line in reversed(lines) if line), "nothing")
    return asked if len(asked) <= LONGEST_ECHO else asked[: LONGEST_ECHO - 1].rstrip() + "…"
