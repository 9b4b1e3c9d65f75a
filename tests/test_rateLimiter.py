"""The attempt loop and the queue: what is tried again, how long it waits, what is reported."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise

import pytest

from agents.llm.anthropicClient import AnthropicClient
from agents.llm.client import Finished, Message, ModelRequest, TextDelta
from agents.llm.rateLimiter import Gate, Waiting, Withdrawn, computePause, getGate, streamWithRetries
from agents.llm.scriptedClient import ScriptedClient, ScriptedReply
from pm6.exceptions import (
    ModelCredentialError,
    ModelRateLimitError,
    ModelRequestError,
    ModelUnavailableError,
)
from tests.standIn import StandIn

REQUEST = ModelRequest(
    model="claude-sonnet-5-5",
    system=(),
    messages=(Message("user", "Shall taxes rise?"),),
    maxTokens=100,
    label="Anna Berg: taxes",
)


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def fakeTime():
    return FakeTime()


@pytest.fixture
def records():
    return []


def start(client, records, fakeTime, **options):
    return streamWithRetries(
        client,
        REQUEST,
        onAttempt=records.append,
        sleep=fakeTime.sleep,
        clock=fakeTime.clock,
        jitter=lambda: 1.0,
        **options,
    )


async def collect(client, records, fakeTime, **options):
    async with aclosing(start(client, records, fakeTime, **options)) as events:
        return [event async for event in events]


def limited(seconds: float) -> ModelRateLimitError:
    return ModelRateLimitError("Slow down.", details={"retryAfterSeconds": seconds})


async def testOneAttemptThatWorks(records, fakeTime):
    events = await collect(ScriptedClient(["Not this year."]), records, fakeTime)
    assert "".join(event.text for event in events[:-1]) == "Not this year."
    assert isinstance(events[-1], Finished)
    assert fakeTime.slept == []
    [record] = records
    assert (record.number, record.status, record.text) == (1, "done", "Not this year.")
    assert record.usage == events[-1].usage


async def testPassingErrorIsTriedAgainWithGrowingWaits(records, fakeTime):
    client = ScriptedClient([ModelUnavailableError("Busy."), ModelUnavailableError("Busy."), "Yes."])
    events = await collect(client, records, fakeTime)
    assert events[-1].text == "Yes."
    assert fakeTime.slept == [0.5, 1.0]
    assert [(r.number, r.status, r.errorCode) for r in records] == [
        (1, "failed", "modelUnavailable"),
        (2, "failed", "modelUnavailable"),
        (3, "done", ""),
    ]


async def testWhatWasStreamedIsWithdrawnFirst(records, fakeTime):
    client = ScriptedClient([ScriptedReply("One two three.", breakAfter=2), "Four five."])
    events = await collect(client, records, fakeTime)
    assert [type(event).__name__ for event in events] == [
        *("TextDelta", "TextDelta", "Withdrawn", "TextDelta", "TextDelta", "Finished")
    ]
    assert events[2] == Withdrawn("One two")
    assert records[0].text == "One two"
    assert records[0].usage.estimated
    assert records[0].usage.outputTokens > 0


async def testNothingIsWithdrawnWhenNothingCame(records, fakeTime):
    events = await collect(ScriptedClient([limited(1), "Yes."]), records, fakeTime)
    assert not [event for event in events if isinstance(event, Withdrawn)]


@pytest.mark.parametrize("error", [ModelCredentialError("No."), ModelRequestError("No.")])
async def testLastingErrorIsNotTriedAgain(records, fakeTime, error):
    with pytest.raises(type(error)):
        await collect(ScriptedClient([error, "Never."]), records, fakeTime)
    assert [record.status for record in records] == ["failed"]
    assert fakeTime.slept == []


async def testAttemptsEnd(records, fakeTime):
    client = ScriptedClient([ModelUnavailableError(f"Busy {number}.") for number in range(9)])
    with pytest.raises(ModelUnavailableError, match="Busy 3"):
        await collect(client, records, fakeTime)
    assert len(records) == 4


async def testServerSaysHowLong(records, fakeTime):
    await collect(ScriptedClient([limited(7.5), "Yes."]), records, fakeTime)
    assert fakeTime.slept == [7.5]


async def testLongerThanWhatIsLeftGivesUpAtOnce(records, fakeTime):
    with pytest.raises(ModelRateLimitError):
        await collect(ScriptedClient([limited(21), "Never."]), records, fakeTime)
    assert fakeTime.slept == []
    assert len(records) == 1


async def testOnlySoManyAttemptsMayCost(records, fakeTime):
    broken = ScriptedReply("One two.", breakAfter=1)
    busy = ModelUnavailableError("Busy.")
    with pytest.raises(ModelUnavailableError):
        await collect(ScriptedClient([busy, broken, broken, "Never."]), records, fakeTime)
    assert [record.usage.outputTokens for record in records] == [0, 1, 1]
    records.clear()
    with pytest.raises(ModelUnavailableError):
        await collect(ScriptedClient([broken, "Never."]), records, fakeTime, maxCharged=1)
    assert len(records) == 1


async def testTotalWaitingIsBounded(records, fakeTime):
    with pytest.raises(ModelRateLimitError):
        await collect(ScriptedClient([limited(9)] * 9), records, fakeTime, maxAttempts=9)
    assert fakeTime.slept == [9, 9]
    assert len(records) == 3


async def testWorkIsNotWaiting(records, fakeTime):
    slow = ScriptedClient(
        [ScriptedReply("Hm.", delaySeconds=15, breakAfter=1), limited(15), "Yes."], sleep=fakeTime.sleep
    )
    assert (await collect(slow, records, fakeTime))[-1].text == "Yes."


async def testAttemptsShareTheTimeOfTheCall(records, fakeTime):
    slow = ScriptedReply("Hm.", delaySeconds=40, breakAfter=0)
    client = ScriptedClient([slow, slow, "Never."], sleep=fakeTime.sleep)
    with pytest.raises(ModelUnavailableError):
        await collect(client, records, fakeTime, maxCharged=9)
    assert len(records) == 2
    assert [request.timeoutSeconds for request in client.requests] == [60.0, 20.0]


async def testCancelledAttemptIsReportedOnce(records, fakeTime):
    client = ScriptedClient([ScriptedReply("Never.", gate=asyncio.Event())])
    task = asyncio.create_task(collect(client, records, fakeTime))
    await letOthersRun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [record.status for record in records] == ["cancelled"]


async def testConsumerThatLeavesIsReportedOnce(records, fakeTime):
    client = ScriptedClient(["One two three."])
    async with aclosing(start(client, records, fakeTime)) as events:
        await anext(events)
    assert [(r.status, r.text, r.usage.estimated) for r in records] == [("cancelled", "One", True)]


async def testConsumerThatLeavesWithItsReplyIsDone(records, fakeTime):
    async with aclosing(start(ScriptedClient(["Yes."]), records, fakeTime)) as events:
        async for event in events:
            if isinstance(event, Finished):
                break
    assert [record.status for record in records] == ["done"]


async def testFaultOfOurOwnIsReportedAndNotHidden(records, fakeTime):
    with pytest.raises(ZeroDivisionError):
        await collect(ScriptedClient([ZeroDivisionError()]), records, fakeTime)
    assert [(r.status, r.errorCode) for r in records] == [("failed", "internalError")]


class EndlessClient:
    kind = "scripted"
    streamsText = True

    async def stream(self, request, partial):
        yield TextDelta("And then")

    async def close(self):
        pass


async def testStreamWithoutFinishedIsAFailure(records, fakeTime):
    with pytest.raises(ModelUnavailableError):
        await collect(EndlessClient(), records, fakeTime, maxAttempts=1)
    assert [record.status for record in records] == ["failed"]


async def testPlaceIsGivenBackHoweverItEnds(records, fakeTime, settings):
    settings.PM6_MODEL_CONCURRENCY = 1
    replies = [ModelRequestError("No."), ScriptedReply("One two.", breakAfter=1), "Yes.", "One two", "Yes."]
    client = ScriptedClient(replies)
    with pytest.raises(ModelRequestError):
        await collect(client, records, fakeTime)
    assert (await collect(client, records, fakeTime))[-1].text == "Yes."
    async with aclosing(start(client, records, fakeTime)) as events:
        await anext(events)
    assert (await collect(client, records, fakeTime))[-1].text == "Yes."


async def testOnlySoManyAtATimeAndInOrder(records, fakeTime, settings):
    settings.PM6_MODEL_CONCURRENCY = 2
    gates = [asyncio.Event() for _ in range(5)]
    client = ScriptedClient([ScriptedReply(f"Number {i}.", gate=gate) for i, gate in enumerate(gates)])
    ends = []

    async def call(number):
        await collect(client, records, fakeTime)
        ends.append(number)

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    for number, gate in enumerate(gates):
        await letOthersRun()
        assert len(client.requests) == min(5, number + 2)
        gate.set()
    await asyncio.gather(*tasks)
    assert ends == [0, 1, 2, 3, 4]


async def testRateLimitOfOneHoldsTheOthersBack(records, fakeTime, settings):
    settings.PM6_MODEL_CONCURRENCY = 4
    starts = []

    class Watching(ScriptedClient):
        async def stream(self, request, partial):
            starts.append(fakeTime.now)
            async with aclosing(super().stream(request, partial)) as events:
                async for event in events:
                    yield event

    client = Watching([limited(5), "One.", "Two.", "Three."])
    first = asyncio.create_task(collect(client, records, fakeTime))
    await letOthersRun()
    await asyncio.gather(first, *(collect(client, records, fakeTime) for _ in range(2)))
    assert starts[0] == 1000.0
    assert all(start >= 1005.0 for start in starts[1:])


async def testLaterCallerThatCannotWaitSoLongFailsWithoutAnAttempt(records, fakeTime):
    with pytest.raises(ModelRateLimitError):
        await collect(ScriptedClient([limited(30)]), records, fakeTime)
    with pytest.raises(ModelRateLimitError) as caught:
        await collect(ScriptedClient(["Never."]), records, fakeTime)
    assert caught.value.details["retryAfterSeconds"] == 30
    assert len(records) == 1
    # The queue isn't blocked by the one that gave up.
    fakeTime.now += 30
    assert (await collect(ScriptedClient(["Yes."]), records, fakeTime))[-1].text == "Yes."


async def testOneOddHeaderDoesNotCloseTheGateForHours(records, fakeTime):
    with pytest.raises(ModelRateLimitError):
        await collect(ScriptedClient([limited(86_400)]), records, fakeTime)
    assert getGate("scripted").closedUntil == 1060.0


async def testFullQueueGivesUpWhenTimeIsUp(fakeTime):
    gate = Gate(1)
    await gate.enter(Waiting(20, fakeTime.sleep, fakeTime.clock))
    with pytest.raises(ModelRateLimitError) as caught:
        await gate.enter(Waiting(0, fakeTime.sleep, fakeTime.clock))
    assert caught.value.details["reason"] == "queue"
    gate.leave()
    await gate.enter(Waiting(0, fakeTime.sleep, fakeTime.clock))


async def testCancelledInTheQueueLeavesItWhole(fakeTime):
    gate = Gate(1)
    await gate.enter(Waiting(20, fakeTime.sleep, fakeTime.clock))
    waiters = [asyncio.create_task(gate.enter(Waiting(20, fakeTime.sleep, fakeTime.clock))) for _ in range(3)]
    await letOthersRun()
    waiters[0].cancel()
    await letOthersRun()
    gate.leave()
    await waiters[1]
    gate.leave()
    await waiters[2]


def testQueueIsOneOfEachLoop(records, fakeTime):
    async def find():
        return getGate("anthropic")

    assert asyncio.run(find()) is not asyncio.run(find())


def testPausesGrowAndSpread():
    error = ModelUnavailableError("Busy.")
    longest = [computePause(error, number, 1.0) for number in range(1, 8)]
    assert longest[-1] == longest[-2] == 8.0
    assert all(a <= b for a, b in pairwise(longest))
    assert computePause(error, 1, 0.0) == 0.25
    assert computePause(limited(0), 1, 0.5) == 0.0


async def testLedgerOfManyAttemptsIsTheProvidersBill(records, fakeTime):
    with StandIn() as standIn:
        standIn.behave(text="One two three four.", breakAfter=2)
        standIn.behave(status=529)
        standIn.behave(status=429, retryAfter=3)
        client = AnthropicClient(standIn.apiKey, standIn.url)
        events = await collect(client, records, fakeTime)
        await client.close()
        assert isinstance(events[-1], Finished)
        assert [r.status for r in records] == ["failed", "failed", "failed", "done"]
        assert [entry.outcome for entry in standIn.bill] == ["broken", "completed"]
        for name in ("inputTokens", "outputTokens"):
            billed = sum(getattr(entry, name) for entry in standIn.bill)
            assert sum(getattr(record.usage, name) for record in records) == billed
        assert fakeTime.slept[-1] == 3


async def letOthersRun() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
