"""Heavy proofs: processes are killed, sockets cut and calls raced, and the books still agree.

The servers are real ones, as child processes on this test's database.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from costs.budgets import dollarsToNano, ensureDefaultBudgets
from costs.models import Budget, BudgetReservation, CostRecord, Flight, ResponseVariant
from simulations.engine.database import inDatabase
from simulations.models import Intent, Reply, Rule, Session, Simulation, SituationType, Turn
from simulations.play.actors import hashGuestToken
from simulations.sessions.access import Actor
from simulations.sessions.startSession import startSession
from tests.serverProcess import ServerProcess, SocketPlayer, StandInProcess
from tests.standIn import API_KEY

pytestmark = pytest.mark.prove

SONNET = "claude-sonnet-5-5"
# Nano-dollars per token of Sonnet 5.5: input, output, cache read, 5 min write.
INPUT, OUTPUT, READ, WRITE = 2_000, 10_000, 100, 2_500
# What a dead process held is given up after so long.
SHORT_LEASE = {"PM6_TURN_LEASE_SECONDS": "2"}
QUESTION = "What do you know about dragons in the cellar?"


@pytest.fixture
def standIn(tmp_path: Path) -> Iterator[StandInProcess]:
    process = StandInProcess(tmp_path)
    yield process
    process.stop()


@pytest.fixture
def startServer(inn: Simulation, standIn: StandInProcess, tmp_path: Path) -> Iterator[Callable]:
    """Starts a server that asks the stand-in."""
    servers: list[ServerProcess] = []

    def start(**env: str) -> ServerProcess:
        given = {
            "PM6_LLM": "anthropic",
            "ANTHROPIC_API_KEY": API_KEY,
            "ANTHROPIC_BASE_URL": standIn.url,
            "PM6_MODEL": SONNET,
            "PM6_MODEL_LADDER": SONNET,
            "PM6_TURN_LEASE_SECONDS": "20",
            **env,
        }
        servers.append(ServerProcess(tmp_path, given))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def seat(inn: Simulation, settings: Any) -> Any:
    """Starts a live session of a guest who may call models; `await seat(server)` is at its socket."""
    settings.PM6_LLM = "anthropic"
    settings.ANTHROPIC_API_KEY = API_KEY

    def make(server: ServerProcess) -> SocketPlayer:
        token = secrets.token_hex(8)
        session = startSession("villageInn", Actor(guestKey=hashGuestToken(token)), seed=7)
        assert session.mode == "live"
        return SocketPlayer(server, session.pk, token)

    return make


@pytest.fixture(autouse=True)
def longEvening(inn: Simulation) -> None:
    """An inn without rules and without replies, where guests may call models."""
    Rule.objects.all().delete()
    ResponseVariant.objects.update(status="retired")
    Simulation.objects.update(guestsMayUseModels=True, turnLimit=0, revision=inn.revision + 1)
    ensureDefaultBudgets()
    Budget.objects.update(limitNano=dollarsToNano("25"))


async def sit(seat: Any, servers: list[ServerProcess], count: int) -> list[SocketPlayer]:
    """Returns open sockets of so many sessions, spread over the servers."""
    seats = [await inDatabase(seat, server) for server in itertools.islice(itertools.cycle(servers), count)]
    await asyncio.gather(*(player.open() for player in seats))
    return seats


async def waitUntil(reached: Callable[[], Any]) -> None:
    """Waits for what another process does; it can only be looked at."""
    async with asyncio.timeout(90):
        while not await inDatabase(reached):
            await asyncio.sleep(0.05)


async def waitForLease(player: SocketPlayer) -> None:
    """Waits until the turn of a dead process is given up; each resume looks for it."""
    async with asyncio.timeout(90):
        while (await player.resume())["openTurn"]:
            await asyncio.sleep(0.1)


def countOpen() -> int:
    return Turn.objects.filter(status="open").count()


def priceOf(entry: dict[str, Any]) -> int:
    assert entry["model"] == SONNET
    return (
        entry["inputTokens"] * INPUT
        + entry["outputTokens"] * OUTPUT
        + entry["cacheReadTokens"] * READ
        + entry["cacheWrite5mTokens"] * WRITE
    )


def checkBooks(billed: int) -> None:
    """Asserts that ledger, sessions, replies and budgets say the same, and nothing is left open."""
    assert sum(CostRecord.objects.values_list("priceNano", flat=True)) == billed
    assert sum(Session.objects.values_list("spentNano", flat=True)) == billed
    assert sum(Reply.objects.values_list("costNano", flat=True)) == billed
    for budget in Budget.objects.all():
        mine = CostRecord.objects.filter(session=budget.session_id) if budget.session_id else None
        spent = billed if mine is None else sum(mine.values_list("priceNano", flat=True))
        assert (budget.scope, budget.settledNano, budget.reservedNano) == (budget.scope, spent, 0)
        assert budget.settledNano <= budget.limitNano
    assert not BudgetReservation.objects.filter(status="open").exists()
    assert countOpen() == 0
    assert not Flight.objects.filter(status="open").exists()


DEATHS = [
    pytest.param({"gate": "door"}, 0, id="before the reply begins"),
    pytest.param({"text": "One two three.", "pauseAfter": 2, "pauseGate": "door"}, 2, id="in mid-stream"),
]


@pytest.mark.parametrize("input", [{"text": QUESTION}, {"option": "pourRound"}], ids=["private", "shared"])
@pytest.mark.parametrize(("behaviour", "deltas"), DEATHS)
async def test_aKilledServerLosesNoTurnAndNoMoney(startServer, seat, standIn, behaviour, deltas, input):
    server = startServer(**SHORT_LEASE)
    (player,) = await sit(seat, [server], 1)
    standIn.behave(behaviour)
    await player.say("killed-key-1", **input)
    for _ in range(deltas):
        await player.until("replyDelta")
    await waitUntil(standIn.countRequests)
    server.kill()
    assert await inDatabase(countOpen) == 1
    assert await BudgetReservation.objects.filter(status="open").aexists()
    server.start()
    await player.open()
    await waitForLease(player)
    done = await player.play("killed-key-1", **input)
    again = await player.play("killed-key-1", **input)
    assert again["turn"] == done["turn"]
    assert (done["turn"]["number"], done["turn"]["replies"][0]["source"]) == (1, "model")
    after = await player.play("next-key-01", option="cookStew")
    assert after["turn"]["number"] == 2
    statuses = Turn.objects.order_by("id").values_list("clientKey", "status")
    assert [row async for row in statuses] == [
        ("killed-key-1", "interrupted"),
        ("killed-key-1", "done"),
        ("next-key-01", "done"),
    ]
    bill = await inDatabase(readWholeBill, standIn, 3)
    await inDatabase(checkBooks, sum(priceOf(entry) for entry in bill if entry["outcome"] == "completed"))
    await player.close()


async def test_anOrderlyStopRecordsWhatItsCallsUsed(startServer, seat, standIn):
    server = startServer()
    (player,) = await sit(seat, [server], 1)
    standIn.behave({"text": "One two three.", "pauseAfter": 2, "pauseGate": "never"})
    await player.say("stopped-key", text=QUESTION)
    for _ in range(2):
        await player.until("replyDelta")
    await inDatabase(server.stop)
    record = await CostRecord.objects.aget(source="model")
    assert (record.status, record.estimated) == ("cancelled", True)
    assert record.priceNano > 0
    turn = await Turn.objects.aget()
    assert (turn.status, turn.clientKey) == ("done", "stopped-key")
    assert await Reply.objects.filter(status="withdrawn").aexists()
    await inDatabase(checkBooks, record.priceNano)


def readWholeBill(standIn: StandInProcess, count: int) -> list[dict[str, Any]]:
    """Returns the bill; a reply's line is on it a moment after its last byte."""
    until = time.monotonic() + 20
    while len(bill := standIn.readBill()) < count and time.monotonic() < until:
        time.sleep(0.02)
    assert len(bill) == count
    return bill


PLAYERS = 30


async def test_equalMissesInTwoProcessesMakeOneCall(startServer, seat, standIn):
    players = await sit(seat, [startServer(), startServer()], PLAYERS)
    standIn.behave({"gate": "door", "text": "One for all."})
    playing = [asyncio.create_task(player.play("equal-key-1", option="pourRound")) for player in players]
    await waitUntil(lambda: countOpen() == PLAYERS and standIn.countRequests())
    standIn.release("door")
    replies = [(await task)["turn"]["replies"][0] for task in playing]
    assert {reply["text"] for reply in replies} == {"One for all."}
    assert sorted(reply["source"] for reply in replies) == ["model", *["shared"] * (PLAYERS - 1)]
    (entry,) = await inDatabase(readWholeBill, standIn, 1)
    assert standIn.countRequests() == 1
    assert {reply["savedNano"] for reply in replies if reply["source"] == "shared"} == {priceOf(entry)}
    assert await ResponseVariant.objects.filter(madeIn="live").acount() == 1
    await inDatabase(checkBooks, priceOf(entry))
    await asyncio.gather(*(player.close() for player in players))


async def test_aLeadersFailurePassesTheLeadOn(startServer, seat, standIn):
    players = await sit(seat, [startServer(), startServer()], PLAYERS)
    failing = {"gate": "door", "text": "Never said.", "errorAfter": 0, "errorType": "invalid_request_error"}
    standIn.behave(failing, failing, {"text": "The third leader's."})
    playing = [asyncio.create_task(player.play("equal-key-1", option="pourRound")) for player in players]
    await waitUntil(lambda: countOpen() == PLAYERS)
    standIn.release("door")
    replies = [(await task)["turn"]["replies"][0] for task in playing]
    sources = sorted(reply["source"] for reply in replies)
    assert sources == ["line", "line", "model", *["shared"] * (PLAYERS - 3)]
    assert {r["text"] for r in replies if r["source"] != "line"} == {"The third leader's."}
    bill = await inDatabase(readWholeBill, standIn, 3)
    await inDatabase(checkBooks, sum(priceOf(entry) for entry in bill))
    await asyncio.gather(*(player.close() for player in players))


async def test_aKilledLeadersFollowersInAnotherProcessGoOn(startServer, seat, standIn):
    doomed, other = startServer(**SHORT_LEASE), startServer(**SHORT_LEASE)
    (leader,) = await sit(seat, [doomed], 1)
    followers = await sit(seat, [other], 5)
    standIn.behave({"hang": True}, {"text": "After the fall."})
    await leader.say("equal-key-1", option="pourRound")
    await waitUntil(standIn.countRequests)
    playing = [asyncio.create_task(player.play("equal-key-1", option="pourRound")) for player in followers]
    await waitUntil(lambda: countOpen() == 6)
    doomed.kill()
    replies = [(await task)["turn"]["replies"][0] for task in playing]
    assert sorted(reply["source"] for reply in replies) == ["model", *["shared"] * 4]
    leader.server = other
    await leader.open()
    await waitForLease(leader)
    last = await leader.play("equal-key-1", option="pourRound")
    assert (last["turn"]["replies"][0]["text"], last["turn"]["costNano"]) == ("After the fall.", 0)
    bill = await inDatabase(readWholeBill, standIn, 2)
    await inDatabase(checkBooks, sum(priceOf(entry) for entry in bill if entry["outcome"] == "completed"))
    await asyncio.gather(*(player.close() for player in (leader, *followers)))


SAID = "One two three four five."
FRAMES = 1 + 5 + 1  # the start, five words, the turn


async def test_aSocketCutAtAnyFrameCostsNoReplyAndNoMoney(startServer, seat, standIn):
    server = startServer()
    bill: list[dict[str, Any]] = []
    for frames in range(FRAMES + 1):
        standIn.behave({"text": SAID, "delaySeconds": 0.01})
        (player,) = await sit(seat, [server], 1)
        key = f"cut-after-{frames}"
        await player.say(key, QUESTION)
        kinds = [(await player.read())["type"] for _ in range(frames)]
        assert kinds == ["turnStarted", *["replyDelta"] * 5, "turn"][:frames]
        player.cut()
        bill = await inDatabase(readWholeBill, standIn, frames + 1) if frames else bill
        turn = await comeBack(player, key)
        assert [(reply["status"], reply["text"]) for reply in turn["replies"]] == [("done", SAID)]
        again = await player.play(key, QUESTION)
        assert again["turn"] == turn
        mine = {"session_id": player.sessionId}
        assert [t.status async for t in Turn.objects.filter(**mine)] == ["done"]
        assert await CostRecord.objects.filter(**mine).acount() == 1
        bill = await inDatabase(readWholeBill, standIn, frames + 1)
        assert turn["costNano"] == priceOf(bill[frames]) > 0
        await player.close()
    await inDatabase(checkBooks, sum(priceOf(entry) for entry in bill))


async def comeBack(player: SocketPlayer, key: str) -> dict[str, Any]:
    """Returns the player's turn as it is told after a reconnect, from the start of the story."""
    seen, player.seen = player.seen, 0
    welcome = await player.open()
    if not seen and not any(turn["clientKey"] == key for turn in welcome["turns"]):
        # The input may have been lost with its socket: a client sends it again under its key.
        return (await player.play(key, QUESTION))["turn"]
    (turn,) = welcome["turns"]
    return turn


async def test_aBudgetIsNeverPassedByMoreProcessesThanItHasRoomFor(startServer, seat, standIn):
    limit = 70_000_000
    await Budget.objects.filter(scope="everything").aupdate(limitNano=limit)
    players = await sit(seat, [startServer(), startServer()], 12)
    finished = asyncio.Event()

    async def playEvening(player: SocketPlayer) -> list[dict[str, Any]]:
        return [
            (await player.play(f"evening-{number}", f"{QUESTION} And of number {number}?"))["turn"]
            for number in range(8)
        ]

    async def watchBudget() -> None:
        while not finished.is_set():
            budget = await Budget.objects.aget(scope="everything")
            assert budget.settledNano + budget.reservedNano <= limit
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watchBudget())
    evenings = await asyncio.gather(*(playEvening(player) for player in players))
    finished.set()
    await watching
    sources = [turn["replies"][-1]["source"] for evening in evenings for turn in evening]
    assert set(sources) == {"model", "line"}
    reasons = {
        row["reason"] async for row in Reply.objects.filter(source="line").values_list("why", flat=True)
    }
    assert reasons == {"costLimit"}
    bill = await inDatabase(readWholeBill, standIn, sources.count("model"))
    billed = sum(priceOf(entry) for entry in bill)
    assert billed <= limit
    await inDatabase(checkBooks, billed)
    for player, evening in zip(players, evenings, strict=True):
        assert [turn["number"] for turn in evening] == list(range(1, 9))
        assert all(message["type"] != "error" for message in player.messages)
    await asyncio.gather(*(player.close() for player in players))


async def test_turnsOfSeveralAgentsNeverWaitInACircle(startServer, seat, standIn):
    """The same two misses in either order, in two processes, again and again."""
    await SituationType.objects.aupdate(agentsPerTurn=2)
    await Intent.objects.filter(slug="pourRound").aupdate(patterns=[".*pour a round.*"])
    simulation = await Simulation.objects.aget()
    await Simulation.objects.aupdate(complexity="standard", revision=simulation.revision + 1)
    servers = [startServer(), startServer()]
    players = await sit(seat, servers, 12)
    for number in range(4):
        await ResponseVariant.objects.aupdate(status="retired")
        orders = itertools.cycle(["@greta @orrin", "@orrin @greta", "@orrin @greta", "@greta @orrin"])
        turns = await asyncio.gather(
            *(player.play(f"circle-{number}", f"{next(orders)} pour a round") for player in players)
        )
        replies = [reply for turn in turns for reply in turn["turn"]["replies"]]
        assert len(replies) == 24
        assert {reply["source"] for reply in replies} <= {"model", "shared", "hit"}
        assert sum(reply["source"] == "model" for reply in replies) == 2
    bill = await inDatabase(readWholeBill, standIn, 8)
    await inDatabase(checkBooks, sum(priceOf(entry) for entry in bill))
    await asyncio.gather(*(player.close() for player in players))
