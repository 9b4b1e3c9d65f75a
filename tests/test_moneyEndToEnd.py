"""Turns that cost money, from input to bill: the real SDK, a stand-in's wire, and a ledger that agrees.

What a call cost is reckoned here by hand from the stand-in's own bill, and must be what the
session, the ledger, the replies and every budget say, to the nano-dollar.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from agents.llm.clients import closeClients
from agents.llm.rateLimiter import streamWithRetries
from costs.budgets import ensureDefaultBudgets
from costs.models import Budget, BudgetReservation, CostRecord, Flight, PriceRule, ResponseVariant
from costs.pricing import forgetPriceRules
from simulations.engine import ask, notify
from simulations.engine.database import inDatabase
from simulations.engine.interact import drainTurns
from simulations.models import Reply, Rule, Session, Simulation, SituationType, Turn
from simulations.sessions.access import Actor
from tests.conftest import Game
from tests.standIn import StandIn
from tests.standInProtocol import BillEntry

OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"

# Nano-dollars per token, from the published prices: input, output, cache read, 5 min and 1 h write.
PRICES = {
    OPUS: (4_000, 20_000, 200, 5_000, 8_000),
    SONNET: (2_000, 10_000, 100, 2_500, 4_000),
    HAIKU: (100, 500, 10, 125, 200),
}
QUESTION = "What do you know about dragons in the cellar?"
GUEST = Actor(guestKey="f" * 64)


@pytest.fixture
async def standIn(settings: Any) -> AsyncIterator[StandIn]:
    """The provider; it caches even the short prompts of the inn."""
    with StandIn(minimumTokens=dict.fromkeys(PRICES, 64)) as server:
        settings.PM6_LLM = "anthropic"
        settings.ANTHROPIC_API_KEY = server.apiKey
        settings.ANTHROPIC_BASE_URL = server.url
        settings.PM6_MODEL = SONNET
        forgetPriceRules()
        yield server
        await closeClients()
        forgetPriceRules()


class Watcher:
    """A channel layer that keeps what was sent to a session's sockets."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    async def group_send(self, group: str, event: dict[str, Any]) -> None:  # pylint: disable=invalid-name
        self.messages.append(json.loads(event["text"]))
        self._news.set()

    def kinds(self) -> list[str]:
        """Returns the kinds of messages in order, each run of deltas as one."""
        return [kind for kind, _ in itertools.groupby(message["type"] for message in self.messages)]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                self._news.clear()
                await self._news.wait()

    def count(self, kind: str) -> int:
        return sum(message["type"] == kind for message in self.messages)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watcher:
    watcher = Watcher()
    monkeypatch.setattr(notify, "get_channel_layer", lambda: watcher)
    return watcher


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Lets the engine's waits between attempts pass at once, and lists them."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    quick = partial(streamWithRetries, sleep=sleep, clock=lambda: sum(slept), jitter=lambda: 0.5)
    monkeypatch.setattr(ask, "streamWithRetries", quick)
    return slept


@pytest.fixture
def play(startGame: Any, standIn: StandIn, watched: Watcher) -> Any:
    """Starts a live session with all its budgets in place."""

    async def start(*, empty: bool = False, **options: Any) -> Game:
        if empty:
            await retireAll()
        await inDatabase(ensureDefaultBudgets)
        game = await startGame(**options)
        assert game.session.mode == "live"
        return game

    return start


async def retireAll() -> None:
    await ResponseVariant.objects.aupdate(status="retired")


async def changeWorld(**changes: Any) -> None:
    """Edits the simulation as its author would."""
    simulation = await Simulation.objects.aget()
    await Simulation.objects.aupdate(revision=simulation.revision + 1, **changes)


def priceOf(entry: BillEntry) -> int:
    uncached, output, read, write5m, write1h = PRICES[entry.model]
    return (
        entry.inputTokens * uncached
        + entry.outputTokens * output
        + entry.cacheReadTokens * read
        + entry.cacheWrite5mTokens * write5m
        + entry.cacheWrite1hTokens * write1h
    )


async def checkMoney(standIn: StandIn, calls: int, *scopes: str) -> int:
    """Asserts that everybody says the same of what was spent; returns it."""
    standIn.waitForBill(calls)
    assert len(standIn.bill) == calls
    billed = sum(priceOf(entry) for entry in standIn.bill)
    return await inDatabase(checkBooks, billed, scopes or ("everything", "simulation", "session"))


def checkBooks(billed: int, scopes: tuple[str, ...]) -> int:
    assert sum(CostRecord.objects.values_list("priceNano", flat=True)) == billed
    assert sum(Session.objects.values_list("spentNano", flat=True)) == billed
    assert sum(Reply.objects.values_list("costNano", flat=True)) == billed
    for budget in Budget.objects.filter(scope__in=scopes):
        records = CostRecord.objects.filter(session=budget.session_id) if budget.session_id else None
        mine = sum(records.values_list("priceNano", flat=True)) if records is not None else billed
        assert (budget.scope, budget.settledNano, budget.reservedNano) == (budget.scope, mine, 0)
    assert not BudgetReservation.objects.filter(status="open").exists()
    assert not Turn.objects.exclude(status="done").exists()
    assert not Flight.objects.filter(status="open").exists()
    return billed


async def listRecords() -> list[tuple[str, str, int, str]]:
    rows = CostRecord.objects.order_by("id").values_list("source", "status", "attempt", "errorCode")
    return [row async for row in rows]


async def getWhy() -> dict[str, Any]:
    reply = await Reply.objects.filter(status="done").alatest("id")
    return {**reply.why, "source": reply.source, "model": reply.model, "text": reply.text}


def systemOf(standIn: StandIn, number: int) -> list[dict[str, Any]]:
    return standIn.requests[number].body["system"]


async def test_stableLayersComeFirstAndStayTheSameBytes(play, standIn):
    game = await play()
    await game.say(QUESTION)
    await game.choose("cookStew")
    await game.say("And what of the griffins on the roof?")
    await game.say("@orrin, what do you know of griffins?")
    assert len(standIn.requests) == 3
    layers = [systemOf(standIn, number) for number in range(3)]
    for system in layers:
        assert [block["cache_control"] for block in system] == [{"type": "ephemeral", "ttl": "5m"}] * 2
    assert layers[0] == layers[1]
    assert layers[0][0] == layers[2][0]
    assert layers[0][1] != layers[2][1]
    assert "The Crooked Lantern stands" in layers[0][0]["text"]
    assert "Greta" in layers[0][1]["text"]
    assert "Orrin Pell lends" in layers[2][1]["text"]
    await checkMoney(standIn, 3)
    first, second, third = standIn.bill
    assert first.cacheReadTokens == 0 < first.cacheWrite5mTokens
    assert second.cacheReadTokens == first.cacheWrite5mTokens
    assert 0 < third.cacheReadTokens < second.cacheReadTokens
    assert third.cacheWrite5mTokens > 0


async def test_ofSeveralAgentsTheFirstFillsTheCacheForTheOthers(play, standIn):
    await retireAll()
    await SituationType.objects.aupdate(agentsPerTurn=2)
    await changeWorld(complexity="standard")
    standIn.behave(match="You are Greta", gate="kitchen", text="I am busy.")
    game = await play()
    playing = asyncio.create_task(game.choose("pourRound"))
    await asyncio.to_thread(standIn.waitForRequests, 1)
    assert len(standIn.requests) == 1
    standIn.release("kitchen")
    result = await playing
    assert [reply.source for reply in result.message.turn.replies] == ["model", "model"]
    await checkMoney(standIn, 2)
    assert max(entry.cacheReadTokens for entry in standIn.bill) > 0


async def test_aReplyStreamsAndCostsWhatTheBillSays(play, standIn, watched):
    standIn.behave(text="Only the rats would know, and they keep quiet about {coins}.")
    game = await play()
    result = await game.say(QUESTION)
    said = "Only the rats would know, and they keep quiet about 24 crowns."
    deltas = [message for message in watched.messages if message["type"] == "replyDelta"]
    reply = result.message.turn.replies[0]
    assert watched.kinds() == ["turnStarted", "replyDelta", "turn"]
    assert len(deltas) > 5
    assert "".join(delta["text"] for delta in deltas) == said == reply.text
    offsets = itertools.accumulate((len(delta["text"]) for delta in deltas), initial=0)
    assert [delta["offset"] for delta in deltas] == list(offsets)[:-1]
    assert (reply.source, reply.rung, reply.model, reply.clientKind) == (
        "model",
        "model",
        SONNET,
        "anthropic",
    )
    assert await listRecords() == [("model", "done", 1, "")]
    spent = await checkMoney(standIn, 1)
    assert spent == reply.costNano == result.message.turn.costNano == result.message.money.spentNano > 0
    record = await CostRecord.objects.aget()
    assert (record.prices["inputNano"], record.prices["outputNano"]) == (2_000, 10_000)
    assert record.requestId == standIn.bill[0].requestId


async def test_aRateLimitIsObeyedAndCostsNothing(play, standIn, waits):
    standIn.behave(status=429, retryAfter=7)
    standIn.behave(text="Ask the rats.")
    game = await play()
    result = await game.say(QUESTION)
    assert [reply.text for reply in result.message.turn.replies] == ["Ask the rats."]
    assert waits == [7.0]
    assert [request.status for request in standIn.requests] == [429, 200]
    assert await listRecords() == [("model", "failed", 1, "modelRateLimited"), ("model", "done", 2, "")]
    await checkMoney(standIn, 1)


async def test_aLongerWaitThanAllowedIsTheLaddersTurn(play, standIn, waits):
    standIn.behave(status=429, retryAfter=3_600)
    game = await play(empty=True)
    await game.say(QUESTION)
    why = await getWhy()
    assert (why["rung"], why["reason"]) == ("line", "modelRateLimited")
    assert waits == []
    assert await checkMoney(standIn, 0) == 0


async def test_aBrokenStreamIsWithdrawnReplacedAndPaid(play, standIn, watched, waits):
    standIn.behave(text="The cellar is full of dragons.", breakAfter=4)
    standIn.behave(text="The cellar is dry.")
    game = await play()
    result = await game.say(QUESTION)
    views = [(reply.status, reply.text) for reply in result.message.turn.replies]
    assert views == [("withdrawn", "The cellar is full"), ("done", "The cellar is dry.")]
    assert watched.kinds() == ["turnStarted", "replyDelta", "replyWithdrawn", "replyDelta", "turn"]
    withdrawn = next(i for i, message in enumerate(watched.messages) if message["type"] == "replyWithdrawn")
    assert watched.messages[withdrawn + 1]["offset"] == 0
    assert await listRecords() == [("model", "failed", 1, "modelUnavailable"), ("model", "done", 2, "")]
    assert await CostRecord.objects.filter(estimated=True, priceNano__gt=0).acount() == 1
    await checkMoney(standIn, 2)


async def test_twoBrokenStreamsAreAllThatIsPaidFor(play, standIn, watched, waits):
    standIn.behave(text="The cellar is full of dragons.", breakAfter=4, times=None)
    game = await play(empty=True)
    result = await game.say(QUESTION)
    assert [reply.status for reply in result.message.turn.replies] == ["withdrawn", "withdrawn", "done"]
    assert watched.kinds()[1:] == ["replyDelta", "replyWithdrawn", "replyDelta", "replyWithdrawn", "turn"]
    why = await getWhy()
    assert (why["source"], why["rung"], why["reason"]) == ("line", "line", "modelUnavailable")
    await checkMoney(standIn, 2)


ENDS = [
    # what the provider does, calls billed, source, reason, what was withdrawn
    pytest.param({"text": "Never.", "stop": "refusal"}, 1, "line", "refusal", ["Never."], id="refusal"),
    pytest.param({"text": "One. " * 90}, 1, "model", "maxTokens", [], id="max_tokens"),
    pytest.param({"text": "Wait.", "stop": "pause_turn"}, 1, "line", "paused", ["Wait."], id="pause_turn"),
    pytest.param(
        {"text": "Too long.", "stop": "model_context_window_exceeded"},
        1, "line", "contextExceeded", ["Too long."], id="context exceeded",
    ),
    pytest.param(
        {"text": "One two three.", "errorAfter": 2, "errorType": "invalid_request_error"},
        1, "line", "modelRequest", ["One two"], id="error event",
    ),
    pytest.param(
        {"text": "One two three.", "errorAfter": 2, "times": None},
        2, "line", "modelUnavailable", ["One two", "One two"], id="overloaded in mid-stream",
    ),
    pytest.param(
        {"text": "One two three.", "endAfter": 2, "times": None},
        2, "line", "modelUnavailable", ["One two", "One two"], id="no end",
    ),
    pytest.param(
        {"text": "One two three.", "garbageAfter": 1, "times": None},
        2, "line", "modelUnavailable", ["One", "One"], id="garbage",
    ),
    pytest.param({"status": 400}, 0, "line", "modelRequest", [], id="refused at the door"),
    pytest.param({"status": 401}, 0, "line", "modelCredential", [], id="wrong key"),
    pytest.param({"status": 529, "times": None}, 0, "line", "modelUnavailable", [], id="overloaded"),
    pytest.param({"drop": True, "times": None}, 0, "line", "modelUnavailable", [], id="dropped"),
    pytest.param(
        {"text": "As a language model, I have no soup."},
        1, "line", "check: it speaks of being a model", ["As a language model, I have no soup."], id="check",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("behaviour", "calls", "source", "reason", "withdrawn"), ENDS)
async def test_whatIsNoReplyIsPaidAndNeverStored(
    play, standIn, watched, waits, behaviour, calls, source, reason, withdrawn
):
    standIn.behave(**behaviour)
    game = await play(empty=True)
    result = await game.choose("pourRound")
    why = await getWhy()
    assert (why["source"], why["reason"]) == (source, reason)
    shown = [reply.text for reply in result.message.turn.replies if reply.status == "withdrawn"]
    assert shown == withdrawn
    assert watched.kinds().count("replyWithdrawn") == len(withdrawn)
    assert watched.kinds()[-1] == "turn"
    assert not await ResponseVariant.objects.filter(madeIn="live").aexists()
    assert await Flight.objects.filter(status="failed").acount() == 1
    await checkMoney(standIn, calls)


async def cancelTurns() -> None:
    """Does what a server does that stops."""
    await drainTurns()


async def test_aCancelledStreamIsPaidForWhatCame(play, standIn, watched):
    standIn.behave(text="One two three four five.", pauseAfter=3, pauseGate="never")
    game = await play(empty=True)
    playing = asyncio.create_task(game.say(QUESTION))
    await watched.until(lambda: watched.count("replyDelta") == 3)
    await cancelTurns()
    result = await playing
    assert [(r.status, r.source) for r in result.message.turn.replies] == [
        ("withdrawn", "model"),
        ("done", "line"),
    ]
    assert (await getWhy())["reason"] == "cancelled"
    assert (await listRecords())[0] == ("model", "cancelled", 1, "")
    assert await checkMoney(standIn, 1) > 0


async def test_aCallThatIsCancelledBeforeItBeginsCostsItsInput(play, standIn):
    standIn.behave(hang=True)
    game = await play()
    playing = asyncio.create_task(game.say(QUESTION))
    await asyncio.to_thread(standIn.waitForRequests, 1)
    await cancelTurns()
    await playing
    assert (await listRecords())[0] == ("model", "cancelled", 1, "")
    assert await checkMoney(standIn, 1) > 0
    assert (standIn.bill[0].outcome, standIn.bill[0].outputTokens) == ("abandoned", 0)


async def test_aHitCostsNothingAndSavesWhatTheMissCost(play, standIn):
    await retireAll()
    first, second = await play(), await play(seed=8)
    paid = (await first.choose("pourRound")).message.turn
    hit = (await second.choose("pourRound")).message.turn
    assert paid.costNano > 0
    assert (hit.replies[0].source, hit.costNano, hit.savedNano) == ("hit", 0, paid.costNano)
    assert hit.replies[0].text == paid.replies[0].text
    record = await CostRecord.objects.alatest("id")
    assert (record.source, record.priceNano, record.savedNano) == ("hit", 0, paid.costNano)
    saved = [session.savedNano async for session in Session.objects.order_by("createdAt")]
    assert saved == [0, paid.costNano]
    assert len(standIn.requests) == 1
    await checkMoney(standIn, 1)


async def test_theSameClientKeyIsChargedOnce(play, standIn):
    game = await play()
    first = await game.say(QUESTION, clientKey="charged-once")
    again = await game.say(QUESTION, clientKey="charged-once")
    assert again.message.turn == first.message.turn
    await checkMoney(standIn, 1)


async def test_equalMissesOfManySessionsArePaidOnce(play, standIn, watched):
    await retireAll()
    games = [await play(seed=seed) for seed in range(6)]
    standIn.behave(gate="all", text="One for all.")
    playing = [asyncio.create_task(game.choose("pourRound")) for game in games]
    await watched.until(lambda: watched.count("turnStarted") == len(games))
    standIn.release("all")
    replies = [(await task).message.turn.replies[0] for task in playing]
    spent = await checkMoney(standIn, 1)
    assert sorted(reply.source for reply in replies) == ["model", *["shared"] * 5]
    assert {reply.text for reply in replies} == {"One for all."}
    assert sorted(reply.savedNano for reply in replies) == [0, *[spent] * 5]


# The most that a call may cost, twice over, lies between these amounts for the three models.
LIMITS = [
    pytest.param(200_000_000, OPUS, "model", "", id="opus fits"),
    pytest.param(50_000_000, SONNET, "cheaperModel", "costLimit", id="sonnet fits"),
    pytest.param(5_000_000, HAIKU, "cheaperModel", "costLimit", id="haiku fits"),
]


@pytest.mark.parametrize("scope", ["everything", "simulation", "session"])
@pytest.mark.parametrize(("limit", "model", "rung", "reason"), LIMITS)
async def test_aSmallBudgetTakesACheaperModel(play, standIn, scope, limit, model, rung, reason):
    await changeWorld(model=OPUS)
    game = await play()
    await Budget.objects.aupdate(limitNano=10**12)
    await Budget.objects.filter(scope=scope).aupdate(limitNano=limit)
    await game.say(QUESTION)
    why = await getWhy()
    assert (why["rung"], why["reason"], why["model"]) == (rung, reason, model)
    assert [request.body["model"] for request in standIn.requests] == [model]
    assert await checkMoney(standIn, 1) <= limit


@pytest.mark.parametrize("scope", ["everything", "simulation", "session"])
async def test_anEmptyBudgetTakesWhatIsStoredThenTheLine(play, standIn, scope):
    await retireAll()
    kept = await ResponseVariant.objects.filter(
        signature__components__intent="pourRound", signature__situationType="taproom", condition=""
    ).afirst()
    await ResponseVariant.objects.filter(pk=kept.pk).aupdate(status="approved", effects=[])
    game = await play()
    await Budget.objects.filter(scope=scope).aupdate(limitNano=1_000)
    rungs = []
    for option in ("pourRound", "pourRound", "cookStew"):
        await game.choose(option)
        why = await getWhy()
        rungs.append((why["rung"], why["reason"], why["source"]))
    assert rungs == [
        ("variant", "", "hit"),
        ("heardVariant", "costLimit", "hit"),
        ("line", "costLimit", "line"),
    ]
    assert standIn.requests == []
    assert await checkMoney(standIn, 0) == 0


async def test_moneyRunsDownRungByRungAndNeverBelowNothing(play, standIn):
    """Turn after turn in one session: the limit is never passed, whatever is left of it."""
    await changeWorld(model=OPUS, turnLimit=0)
    await Rule.objects.all().adelete()
    game = await play(empty=True)
    limit = 95_000_000
    await Budget.objects.filter(scope="session").aupdate(limitNano=limit)
    rungs = []
    for number in range(14):
        await game.say(f"{QUESTION} I ask for the {number}. time.")
        rungs.append((await getWhy())["rung"])
        await Budget.objects.filter(scope="session").aupdate(limitNano=limit - 6_600_000 * (number + 1))
    steps = [rung for rung, _ in itertools.groupby(rungs)]
    assert steps == ["model", "cheaperModel", "line"]
    await checkMoney(standIn, len(standIn.requests))


async def test_guestsNeverCallTheProviderByDefault(play, standIn):
    game = await play(actor=GUEST, empty=True)
    await game.say(QUESTION)
    why = await getWhy()
    assert (why["rung"], why["reason"]) == ("line", "noModel")
    assert standIn.requests == []
    assert await checkMoney(standIn, 0) == 0


async def test_guestsWhoMayCallSpendFromTheirOwnBudgetToo(play, standIn):
    await changeWorld(guestsMayUseModels=True)
    game = await play(actor=GUEST)
    await game.say(QUESTION)
    assert (await getWhy())["source"] == "model"
    assert await checkMoney(standIn, 1, "everything", "guests", "simulation", "session") > 0
    await Budget.objects.filter(scope="guests").aupdate(limitNano=1_000)
    await game.say(QUESTION)
    assert (await getWhy())["reason"] == "costLimit"
    await checkMoney(standIn, 1, "everything", "guests", "simulation", "session")


async def test_aModelWithoutAPriceIsNeverCalled(play, standIn):
    await changeWorld(model="claude-nobody-9")
    game = await play(empty=True)
    await game.say(QUESTION)
    why = await getWhy()
    assert (why["rung"], why["reason"]) == ("line", "unknownPrice")
    assert standIn.requests == []
    assert await checkMoney(standIn, 0) == 0
    assert not await BudgetReservation.objects.aexists()


async def test_aPriceRuleIsWhatIsCharged(play, standIn):
    await changeWorld(model="claude-nobody-9")
    await PriceRule.objects.acreate(
        model="claude-nobody-9", validFrom="2026-01-01T00:00:00Z", inputNano=3, outputNano=7,
        cacheReadNano=1, cacheWrite5mNano=4, cacheWrite1hNano=6,
    )  # fmt: skip
    forgetPriceRules()
    game = await play()
    await game.say(QUESTION)
    standIn.waitForBill(1)
    (entry,) = standIn.bill
    record = await CostRecord.objects.aget()
    billed = (
        3 * entry.inputTokens + 7 * entry.outputTokens + entry.cacheReadTokens + 4 * entry.cacheWrite5mTokens
    )
    assert record.priceNano == billed > 0
    assert await inDatabase(checkBooks, billed, ("everything", "simulation", "session")) == billed
