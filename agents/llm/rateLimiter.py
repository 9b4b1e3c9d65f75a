"""The one loop that tries a model call again, and the one queue in front of each provider."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from agents.llm.client import ClientKind, Finished, ModelClient, ModelRequest, PartialUsage, TextDelta
from agents.llm.loopLocal import LoopLocal
from costs.usage import Usage
from pm6.exceptions import ModelError, ModelRateLimitError, ModelUnavailableError

DEFAULT_CONCURRENCY = 8
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 8.0
# One odd header must not close a provider to the whole process for hours.
LONGEST_SHARED_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Text that was streamed and doesn't count: another attempt starts over."""

    text: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt at a call, for the ledger.

    Attributes:
        number: 1 for the first.
        usage: What it used, whatever its end.
        errorCode: Why it failed; empty otherwise.
        text: What it said until its end.
    """

    number: int
    status: Literal["done", "failed", "cancelled"]
    usage: Usage
    model: str
    requestId: str = ""
    errorCode: str = ""
    firstTokenMs: float = 0.0
    totalMs: float = 0.0
    text: str = ""


OnAttempt = Callable[[AttemptRecord], None]
Sleep = Callable[[float], Awaitable[object]]
Clock = Callable[[], float]


class Gate:
    """The queue in front of one provider: in order, so many at a time, closed after a 429.

    Only the first in the queue waits for a free place and for the gate to open; the others
    wait behind it, so nobody is overtaken.
    """

    def __init__(self, concurrency: int = DEFAULT_CONCURRENCY):
        self.closedUntil = 0.0
        self._turnstile = asyncio.Lock()
        self._places = asyncio.Semaphore(concurrency)

    async def enter(self, waiting: Waiting) -> None:
        """Waits for a place.

        Raises:
            ModelRateLimitError: There won't be one before the caller's time is up.
        """
        left = waiting.left()
        try:
            async with asyncio.timeout(left), self._turnstile:
                await self._places.acquire()
                try:
                    await self._waitUntilOpen(waiting)
                except BaseException:
                    self._places.release()
                    raise
        except TimeoutError:
            raise ModelRateLimitError(
                "Too many calls wait for the model.", details={"reason": "queue", "waitedSeconds": left}
            ) from None

    def leave(self) -> None:
        self._places.release()

    def closeFor(self, seconds: float, now: float) -> None:
        """Makes every later caller wait too."""
        self.closedUntil = max(self.closedUntil, now + min(seconds, LONGEST_SHARED_WAIT_SECONDS))

    async def _waitUntilOpen(self, waiting: Waiting) -> None:
        while (seconds := self.closedUntil - waiting.clock()) > 0:
            await waiting.wait(
                seconds,
                ModelRateLimitError(
                    "The provider's rate limit is reached.", details={"retryAfterSeconds": seconds}
                ),
            )


class Waiting:
    """The waiting of one call: how much is allowed in all, how much is left."""

    def __init__(self, seconds: float, sleep: Sleep, clock: Clock):
        self.clock = clock
        self._sleep = sleep
        self._seconds = seconds
        self._working = 0.0
        self._started = clock()

    def left(self) -> float:
        return max(0.0, self._seconds - (self.clock() - self._started - self._working))

    def noteWork(self, seconds: float) -> None:
        """Takes out the time in which the model was at work."""
        self._working += seconds

    async def wait(self, seconds: float, otherwise: ModelError) -> None:
        """Waits, or raises `otherwise` at once when that is longer than what is left."""
        if seconds > self.left():
            raise otherwise
        await self._sleep(seconds)


class Attempt:
    """One attempt; reports itself to `onAttempt` exactly once, however it ends."""

    def __init__(self, number: int, request: ModelRequest, onAttempt: OnAttempt):
        self.number = number
        self.request = request
        self.partial = PartialUsage()
        self.texts: list[str] = []
        self._onAttempt = onAttempt
        self._started = time.perf_counter()
        self._firstTokenMs = 0.0

    async def run(self, client: ModelClient) -> AsyncGenerator[TextDelta | Finished, None]:
        try:
            async with aclosing(client.stream(self.request, self.partial)) as events:
                finished = None
                async for event in events:
                    if isinstance(event, Finished):
                        finished = event
                        break
                    self._note(event)
                    yield event
            if finished is None:
                raise ModelUnavailableError("The model's answer has no end.")
        except Exception as error:
            self._report("failed", errorCode=getattr(error, "code", "internalError"))
            raise
        except BaseException:
            self._report("cancelled")
            raise
        # Before the yield: a consumer that has its reply need not come back for more.
        self._reportDone(finished)
        yield finished

    def _note(self, event: TextDelta) -> None:
        if not self.texts:
            self._firstTokenMs = self._elapsedMs()
        self.texts.append(event.text)

    def _report(self, status: Literal["failed", "cancelled"], errorCode: str = "") -> None:
        self._onAttempt(
            AttemptRecord(
                number=self.number,
                status=status,
                usage=self.partial.usage,
                model=self.request.model,
                requestId=self.partial.requestId,
                errorCode=errorCode,
                firstTokenMs=self._firstTokenMs,
                totalMs=self._elapsedMs(),
                text="".join(self.texts),
            )
        )

    def _reportDone(self, finished: Finished) -> None:
        self._onAttempt(
            AttemptRecord(
                number=self.number,
                status="done",
                usage=finished.usage,
                model=self.request.model,
                requestId=finished.requestId,
                firstTokenMs=finished.firstTokenMs,
                totalMs=finished.totalMs,
                text=finished.text,
            )
        )

    def _elapsedMs(self) -> float:
        return (time.perf_counter() - self._started) * 1000


async def streamWithRetries(
    client: ModelClient,
    request: ModelRequest,
    *,
    maxAttempts: int = 4,
    maxWaitSeconds: float = 20.0,
    maxCharged: int = 2,
    onAttempt: OnAttempt,
    sleep: Sleep = asyncio.sleep,
    clock: Clock = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> AsyncGenerator[TextDelta | Withdrawn | Finished, None]:
    """Streams a call and tries it again while that may help.

    Wrap it in `contextlib.aclosing`: a consumer that leaves early is then reported at once.

    Args:
        client: Who answers.
        request: The call. Its `timeoutSeconds` bounds the work of all attempts together, so
            the whole takes at most that and `maxWaitSeconds`.
        maxAttempts: How often it is tried in all.
        maxWaitSeconds: How long it waits in all: in the provider's queue and between attempts.
        maxCharged: How many of the attempts may cost money: a refusal at the door is free, a
            stream that breaks isn't, and the caller reserved this many.
        onAttempt: Told of every attempt that began, exactly once.
        sleep: Waits; a test's own doesn't.
        clock: Seconds from any start.
        jitter: A number from 0 to 1 that spreads the waits of many callers.

    Yields:
        The text as it comes; `Withdrawn` when what came so far is void; `Finished` at the end.

    Raises:
        ModelError: The last attempt's; text that came with it is void.
    """
    gate = getGate(client.kind)
    waiting = Waiting(maxWaitSeconds, sleep, clock)
    workLeft = request.timeoutSeconds
    charged = 0
    for number in range(1, maxAttempts + 1):
        await gate.enter(waiting)
        attempt = Attempt(number, replace(request, timeoutSeconds=workLeft), onAttempt)
        began = clock()
        try:
            async with aclosing(attempt.run(client)) as events:
                async for event in events:
                    yield event
            return
        except ModelError as error:
            failure = error
        finally:
            gate.leave()
            worked = clock() - began
            waiting.noteWork(worked)
        workLeft -= worked
        charged += attempt.partial.usage != Usage()
        pause = computePause(failure, number, jitter())
        if isinstance(failure, ModelRateLimitError):
            gate.closeFor(pause, clock())
        spent = number == maxAttempts or charged >= maxCharged or workLeft <= 0
        if spent or not failure.retryable or pause > waiting.left():
            raise failure
        if attempt.texts:
            yield Withdrawn("".join(attempt.texts))
        await waiting.wait(pause, failure)


def computePause(error: ModelError, number: int, spread: float) -> float:
    """Returns the seconds before the next attempt.

    Args:
        error: What went wrong; the provider's own wish stands above ours.
        number: The attempt that failed.
        spread: From 0 to 1; a part of the wait, so that many callers don't come back as one.
    """
    wish = error.details.get("retryAfterSeconds")
    if isinstance(wish, int | float):
        return float(wish)
    backoff = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (number - 1))
    return float(backoff * (0.5 + spread / 2))


def readConcurrency() -> int:
    from django.conf import settings

    return int(getattr(settings, "PM6_MODEL_CONCURRENCY", DEFAULT_CONCURRENCY))


gates: LoopLocal[dict[str, Gate]] = LoopLocal(dict)


def getGate(kind: ClientKind) -> Gate:
    """Returns the running loop's queue for one kind of provider."""
    ofLoop = gates.get()
    if kind not in ofLoop:
        ofLoop[kind] = Gate(readConcurrency())
    return ofLoop[kind]
