"""One interaction, from input to turn, replies, state, ledger and events together."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.llm.scriptedClient import ScriptedReply
from costs.models import BudgetReservation, CostRecord, Flight, ResponseVariant
from pm6.exceptions import (
    ForbiddenActionError,
    InputTooLongError,
    InvalidInputError,
    ModelError,
    SessionEndedError,
    SessionNotFoundError,
    TurnInProgressError,
    TurnSupersededError,
    UnknownOptionError,
)
from simulations.engine.plan import PlannedTurn, TurnRequest, planTurn
from simulations.engine.settle import settleTurn
from simulations.engine.situation import PlayerInput
from simulations.models import Branch, Reply, Session, Turn
from simulations.sessions.access import Actor

QUESTION = "What do you know about dragons in the cellar?"


async def test_anOptionIsServedFromTheDatabase(startGame):
    game = await startGame()
    result = await game.choose("pourRound")
    turn = await Turn.objects.aget()
    reply = await Reply.objects.aget()
    record = await CostRecord.objects.aget()
    branch = await Branch.objects.aget()
    assert (turn.status, turn.number, turn.intentPath) == ("done", 1, "option")
    assert (reply.source, reply.costNano, reply.why["rung"]) == ("hit", 0, "variant")
    assert 0 < reply.totalMs <= turn.totalMs
    assert (record.source, record.priceNano, record.turn_id) == ("hit", 0, turn.pk)
    assert record.savedNano == reply.savedNano > 0
    assert branch.headTurn == 1
    assert branch.state == turn.stateAfter != turn.stateBefore
    assert result.message.turn.replies[0].text == reply.text
    assert result.message.sequence == turn.sequence == 1
    assert not await BudgetReservation.objects.aexists()


async def test_aHitTakesAtMostTwelveQueries(startGame):
    game = await startGame()
    await game.choose("pourRound")

    def play() -> int:
        request = TurnRequest(game.session.pk, game.actor, PlayerInput(option="pourRound"), "counted-key")
        with CaptureQueriesContext(connection) as queries:
            planTurn(request)
        return len(queries)

    assert await sync_to_async(play)() <= 12


async def test_freeTextAsksTheModelAndIsNeverShared(startGame, scripted):
    first, second = await startGame(), await startGame(seed=8)
    scripted.addReplies("Only the rats would know.", "Ask the rats.")
    one = await first.say(QUESTION)
    two = await second.say(QUESTION)
    assert [r.text for r in one.message.turn.replies] == ["Only the rats would know."]
    assert [r.text for r in two.message.turn.replies] == ["Ask the rats."]
    assert one.message.turn.replies[0].source == "model"
    assert not await ResponseVariant.objects.filter(madeIn="test").aexists()


async def untilTurn(status: str) -> None:
    async with asyncio.timeout(20):
        while not await Turn.objects.filter(status=status).aexists():
            await asyncio.sleep(0.01)


async def retireAll() -> None:
    await ResponseVariant.objects.aupdate(status="retired")


async def test_theSecondPlayerOfAnUnreviewedMissCostsNothing(startGame, scripted):
    await retireAll()
    first, second = await startGame(), await startGame(seed=8)
    scripted.addReplies("Fresh from the barrel.")
    one = await first.choose("pourRound")
    two = await second.choose("pourRound")
    assert one.message.turn.replies[0].source == "model"
    assert two.message.turn.replies[0].source == "hit"
    assert two.message.turn.replies[0].text == "Fresh from the barrel."
    assert (await ResponseVariant.objects.aget(madeIn="test")).status == "pending"


async def test_testRepliesAreNeverSeenInALiveSession(startGame, scripted):
    await retireAll()
    scripted.addReplies("Scripted words.")
    await (await startGame()).choose("pourRound")
    sealed = await startGame(mode="sealed")
    result = await sealed.choose("pourRound")
    assert result.message.turn.replies[0].text != "Scripted words."
    assert result.message.turn.replies[0].source == "line"


async def test_theSameClientKeyIsTheSameTurn(startGame, scripted):
    game = await startGame()
    first = await game.say(QUESTION, clientKey="same-key-1")
    again = await game.say(QUESTION, clientKey="same-key-1")
    assert again.message.turn == first.message.turn
    assert not again.isNew
    assert await Turn.objects.acount() == 1
    assert await CostRecord.objects.acount() == 1


async def test_aSecondInputWhileATurnRunsIsRefused(startGame, scripted):
    game = await startGame()
    hold = asyncio.Event()
    scripted.addReplies(ScriptedReply("Slowly said.", gate=hold))
    running = asyncio.create_task(game.say(QUESTION))
    await untilTurn("open")
    with pytest.raises(TurnInProgressError):
        await game.choose("pourRound")
    hold.set()
    result = await running
    assert result.message.turn.replies[0].text == "Slowly said."


async def test_aTurnOutlivesWhoAskedForIt(startGame, scripted):
    game = await startGame()
    hold = asyncio.Event()
    scripted.addReplies(ScriptedReply("Said to nobody.", gate=hold))
    asking = asyncio.create_task(game.say(QUESTION, clientKey="left-early"))
    await untilTurn("open")
    asking.cancel()
    hold.set()
    await untilTurn("done")
    again = await game.say(QUESTION, clientKey="left-early")
    assert again.message.turn.replies[0].text == "Said to nobody."


def openTurn(game) -> PlannedTurn:
    planned = planTurn(TurnRequest(game.session.pk, game.actor, PlayerInput(QUESTION), "dying-key"))
    assert isinstance(planned, PlannedTurn)
    return planned


async def test_aDeadTurnIsInterruptedAndMayBeRepeated(startGame, scripted):
    game = await startGame()
    await sync_to_async(openTurn)(game)
    await Turn.objects.aupdate(leaseUntil=timezone.now() - timedelta(seconds=1))
    result = await game.say(QUESTION, clientKey="dying-key")
    statuses = [t.status async for t in Turn.objects.order_by("id")]
    assert statuses == ["interrupted", "done"]
    assert result.message.turn.number == 1


async def test_aTurnThatLostItsLeaseChangesNothing(startGame, scripted):
    game = await startGame()
    planned = await sync_to_async(openTurn)(game)
    await Turn.objects.aupdate(leaseUntil=timezone.now() - timedelta(seconds=1))
    await game.choose("pourRound")
    with pytest.raises(TurnSupersededError):
        await sync_to_async(settleTurn)(planned.world, planned.turn, planned.heard, [])
    assert await Turn.objects.filter(status="done").acount() == 1
    assert (await Branch.objects.aget()).headTurn == 1


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (PlayerInput(), InvalidInputError),
        (PlayerInput("   "), InvalidInputError),
        (PlayerInput("x" * 100_000), InputTooLongError),
        (PlayerInput("nul \x00 byte"), InvalidInputError),
        (PlayerInput("lone \ud800 surrogate"), InvalidInputError),
        (PlayerInput("both", "pourRound"), InvalidInputError),
        (PlayerInput(option="buildRocket"), UnknownOptionError),
    ],
)
async def test_badInputIsRefusedAndWritesNothing(startGame, given, error):
    game = await startGame()
    with pytest.raises(error):
        await game.say(given.text, option=given.option)
    assert not await Turn.objects.aexists()


async def test_aForeignSessionIsNotThere(startGame, player, outsider):
    game = await startGame(actor=Actor(userId=player.pk))
    game.actor = Actor(userId=outsider.pk)
    with pytest.raises(SessionNotFoundError):
        await game.choose("pourRound")
    game.actor = Actor(guestKey="")
    with pytest.raises(SessionNotFoundError):
        await game.choose("pourRound")


async def test_anEndedSessionTakesNoInput(startGame):
    game = await startGame()
    await Session.objects.aupdate(status="lost")
    with pytest.raises(SessionEndedError):
        await game.choose("pourRound")


async def test_aBrokenModelFallsBackAndTheTurnStillSettles(startGame, scripted):
    game = await startGame()
    scripted.addReplies(ModelError("The model is gone."))
    result = await game.say(QUESTION)
    reply = result.message.turn.replies[-1]
    assert reply.text
    assert reply.source in ("hit", "line")
    assert result.message.turn.status == "done"
    stored = await Reply.objects.filter(status="done").aget()
    assert stored.why["reason"]


async def test_aBrokenStreamIsWithdrawnAndStaysOnRecord(startGame, scripted):
    game = await startGame()
    scripted.addReplies(ScriptedReply("The cellar is full of", breakAfter=3), "The cellar is dry.")
    result = await game.say(QUESTION)
    assert [(r.status, r.text) for r in result.message.turn.replies] == [
        ("withdrawn", "The cellar is"),
        ("done", "The cellar is dry."),
    ]


async def test_leastHeardComesFirst(startGame):
    game = await startGame()
    heard = []
    for _ in range(6):
        await Session.objects.aupdate(status="running")
        await Branch.objects.aupdate(situation="taproom", firedRules={})
        result = await game.choose("pourRound")
        heard.append(result.message.turn.replies[0].text)
    known = await ResponseVariant.objects.filter(replies__isnull=False).values("text").distinct().acount()
    assert len(set(heard[:known])) == known


async def test_theSameSeedChoosesTheSame(startGame):
    one, two = await startGame(seed=3), await startGame(seed=3)
    for option in ("pourRound", "tellTale", "pourRound"):
        first = (await one.choose(option)).message.turn
        second = (await two.choose(option)).message.turn
        assert [r.text for r in first.replies] == [r.text for r in second.replies]
        assert first.changes == second.changes


async def test_equalMissesAtOnceMakeOneCall(startGame, scripted):
    await retireAll()
    games = [await startGame(seed=seed) for seed in range(8)]
    scripted.addReplies("One for all.")
    results = await asyncio.gather(*(game.choose("pourRound") for game in games))
    texts = {r.message.turn.replies[0].text for r in results}
    sources = sorted(r.message.turn.replies[0].source for r in results)
    assert texts == {"One for all."}
    assert sources.count("model") == 1
    assert await CostRecord.objects.filter(source="model").acount() == 1
    assert await Flight.objects.filter(status="open").acount() == 0


async def test_aForbiddenActionIsRefusedWithTheAuthorsWords(startGame, inn):
    await inn.rules.acreate(
        slug="noAle", title="No ale", kind="forbid", condition="intent == 'pourRound'",
        message="The barrel is empty.", position=99,
    )  # fmt: skip
    await type(inn).objects.aupdate(revision=99)
    game = await startGame()
    with pytest.raises(UnknownOptionError):
        await game.choose("pourRound")
    with pytest.raises(ForbiddenActionError, match="barrel is empty"):
        await game.say("pour a round")


async def test_namingAnAgentKeepsTheIntent(startGame):
    game = await startGame()
    turn = (await game.say("@orrin pour a round")).message.turn
    assert (turn.intent, turn.intentPath) == ("pourRound", "exact")
    assert [reply.agent for reply in turn.replies] == ["orrin"]
