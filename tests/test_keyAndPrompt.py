"""Key and prompt are one: what a shared reply was asked for with is in its key, or the same for all."""

from __future__ import annotations

import asyncio
import unicodedata
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import settings as hypothesisSettings
from hypothesis import strategies as st

from agents.llm.client import ModelRequest
from agents.llm.scriptedClient import ScriptedReply
from agents.models import Agent
from costs.models import CostRecord, Flight, ResponseSignature, ResponseVariant
from costs.schemas import SignatureComponents
from costs.signatureCompute import computeDigest
from pm6.exceptions import ModelError
from simulations.engine.candidates import AgentTask, buildTask
from simulations.engine.database import inDatabase
from simulations.engine.modelCalls import buildCallRequest
from simulations.engine.situation import PlayerInput, recogniseInput
from simulations.engine.world import World, findWorld
from simulations.models import Branch, Intent, Reply, Session, Simulation, SituationType, StateVariable, Turn

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
componentSets = st.builds(
    dict,
    simulation=texts,
    agent=texts,
    situationType=texts,
    state=st.dictionaries(texts, texts, max_size=4),
    intent=texts,
    language=texts,
    previousIntent=texts,
    privateKey=texts,
)


def toForm(form: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {toForm(form, name): toForm(form, inner) for name, inner in value.items()}
    return unicodedata.normalize(form, value)


def digestOf(components: dict[str, Any]) -> str:
    return computeDigest(SignatureComponents(**components))


@given(componentSets)
@example(
    {
        **dict.fromkeys(("simulation", "agent", "situationType", "intent", "language"), "é"),
        "state": {"é": "1", "f": "2"},
    }
)
def test_orderAndUnicodeFormDontMatter(components):
    state = toForm("NFC", components["state"])
    composed = {**toForm("NFC", components), "state": state}
    turned = {**toForm("NFD", components), "state": toForm("NFD", dict(reversed(state.items())))}
    assert digestOf(composed) == digestOf(turned)
    assert digestOf(composed) == digestOf(dict(reversed(composed.items())))
    assert len(digestOf(composed)) == 32


@given(componentSets, componentSets)
def test_differentComponentsDiffer(left, right):
    isSame = toForm("NFC", left) == toForm("NFC", right)
    assert (digestOf(left) == digestOf(right)) == isSame


@given(componentSets, st.sampled_from(sorted(SignatureComponents.model_fields)), texts)
def test_everyComponentCounts(components, name, other):
    changed = {**components, name: {**components["state"], "more": other} if name == "state" else other}
    assume(toForm("NFC", changed) != toForm("NFC", components))
    assert digestOf(changed) != digestOf(components)


@given(st.dictionaries(texts, texts, min_size=2, max_size=4), texts)
def test_valuesDontWander(state, other):
    """The same words under other names are another key."""
    names, words = list(state), list(state.values())
    turned = dict(zip(names, [*words[1:], words[0]], strict=True))
    assume(toForm("NFC", turned) != toForm("NFC", state))
    base = dict.fromkeys(("simulation", "agent", "situationType", "intent", "language"), other)
    assert digestOf({**base, "state": state}) != digestOf({**base, "state": turned})


def buildBranch(
    world: World, situation: str, state: dict, lastIntents: dict, headTurn: int, language: str
) -> Branch:
    """Returns the timeline of some session; nothing of it is saved."""
    session = Session(id=uuid.uuid4(), simulation_id=world.id, seed=headTurn, language=language)
    return Branch(
        session=session, situation=situation, state=state, lastIntents=lastIntents, headTurn=headTurn
    )


def buildAsked(
    world: World, branch: Branch, given: PlayerInput, agent: str, kind: str
) -> tuple[AgentTask, ModelRequest]:
    """Returns the key of a reply and what a model would be asked for it."""
    situation = world.getSituation(branch.situation)
    heard = recogniseInput(world, situation, branch.state, branch.headTurn + 1, given)
    task = buildTask(world, branch, branch.state, heard, agent, 0)
    return task, buildCallRequest(world, branch, branch.state, heard, task, kind, "some-model")


def listTexts(request: ModelRequest) -> str:
    return "\n".join([*(block.text for block in request.system), *(m.text for m in request.messages)])


def drawTwice(draw: Callable, world: World, situation: str) -> tuple[dict, dict]:
    """Returns two states that differ in raw values and agree in the situation's buckets."""
    named = world.situations[situation].variables
    left, right = {}, {}
    for slug, variable in world.variables.items():
        if variable.kind != "number":
            values = [True, False] if variable.kind == "flag" else list(variable.choices)
            left[slug], right[slug] = draw(st.sampled_from(values)), draw(st.sampled_from(values))
            right[slug] = left[slug] if slug in named else right[slug]
            continue
        bucket = draw(st.sampled_from(variable.buckets))
        numbers = st.integers(int(bucket.fromValue), int(bucket.toValue) - 1).map(lambda n: n + 0.4711)
        left[slug], right[slug] = draw(numbers), draw(numbers)
    return left, right


# Words of the player that mean to pour a round, with something of their own in them.
def drawWords(draw: Callable, secret: str) -> PlayerInput:
    said = [
        PlayerInput(option="pourRound"),
        PlayerInput("POUR a Round!"),
        PlayerInput(f"Pour {secret} some ale"),
    ]
    return draw(st.sampled_from(said))


@pytest.fixture
async def world(inn: Simulation) -> World:
    return await inDatabase(findWorld, inn.slug)


@pytest.mark.parametrize("kind", ["anthropic", "scripted", "local"])
@pytest.mark.parametrize("situation", ["taproom", "backRoom"])
def test_oneKeyIsOnePrompt(inn, situation, kind):
    world = findWorld(inn.slug)

    @hypothesisSettings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: Any) -> None:
        states = drawTwice(data.draw, world, situation)
        previous = data.draw(st.sampled_from(["", "haggle", "free:1234567890abcdef"]))
        language = data.draw(st.sampled_from(["en", "de"]))
        asked = []
        for state in states:
            secret = data.draw(st.text("qxz0123456789", min_size=12, max_size=12))
            others = {"orrin": data.draw(st.sampled_from(["haggle", "tellTale"])), "greta": previous}
            turn = data.draw(st.integers(0, 5000))
            branch = buildBranch(world, situation, state, others, turn, language)
            task, request = buildAsked(world, branch, drawWords(data.draw, secret), "greta", kind)
            asked.append((task.digest, request))
            told = listTexts(request)
            assert not task.isPrivate
            assert secret not in told
            assert "4711" not in told
            assert str(branch.session_id) not in told + request.label
        assert asked[0] == asked[1]

    check()


@pytest.mark.parametrize("situation", ["taproom", "backRoom"])
def test_everyPartOfAKeyIsToldOrCounts(inn, situation):
    """Prompts that differ come from keys that differ."""
    world = findWorld(inn.slug)

    @hypothesisSettings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: Any) -> None:
        asked = []
        for _ in range(2):
            state, _ = drawTwice(data.draw, world, situation)
            lastIntents = {"greta": data.draw(st.sampled_from(["", "haggle", "free:12", "free:34"]))}
            language = data.draw(st.sampled_from(["en", "de"]))
            branch = buildBranch(world, situation, state, lastIntents, 1, language)
            option = data.draw(st.sampled_from(["pourRound", "tellTale"]))
            asked.append(buildAsked(world, branch, PlayerInput(option=option), "greta", "anthropic"))
        (leftTask, leftRequest), (rightTask, rightRequest) = asked
        if leftRequest != rightRequest:
            assert leftTask.digest != rightTask.digest

    check()


async def test_aSessionsOwnLanguageIsToldWhereItIsAnother(world):
    state = world.initialState()
    told = {}
    for language in ("en", "de"):
        branch = buildBranch(world, "taproom", state, {}, 0, language)
        _, request = buildAsked(world, branch, PlayerInput(option="pourRound"), "greta", "anthropic")
        told[language] = request
    assert told["en"].system == told["de"].system
    assert "language de" not in listTexts(told["en"])
    assert "language de" in listTexts(told["de"])


async def raiseRevision(**changes: Any) -> None:
    simulation = await Simulation.objects.aget()
    await Simulation.objects.aupdate(revision=simulation.revision + 1, **changes)


def edit(model: Any, slug: str, **values: Any) -> Callable:
    async def change(game: Any) -> None:
        await model.objects.filter(slug=slug).aupdate(**values)

    return change


def editSimulation(**values: Any) -> Callable:
    async def change(game: Any) -> None:
        await Simulation.objects.aupdate(**values)

    return change


def editState(**values: Any) -> Callable:
    async def change(game: Any) -> None:
        branch = await Branch.objects.aget(session=game.session)
        await Branch.objects.filter(pk=branch.pk).aupdate(state={**branch.state, **values})

    return change


def editBranch(**values: Any) -> Callable:
    async def change(game: Any) -> None:
        await Branch.objects.filter(session=game.session).aupdate(**values)

    return change


async def changeNothing(game: Any) -> None:
    """Changes nothing."""


MOVED_EDGES = [
    {"name": "scarce", "fromValue": 0, "toValue": 13},
    {"name": "enough", "fromValue": 13, "toValue": 40},
    {"name": "plenty", "fromValue": 40, "toValue": 100},
]
CHANGES = {
    "persona": edit(Agent, "greta", persona="Greta has never cooked before."),
    "voice": edit(Agent, "greta", voice="Long and flowery."),
    "role": edit(Agent, "greta", role="Owner"),
    "name": edit(Agent, "greta", name="Gundula"),
    "interests": edit(Agent, "greta", interests=["Sleep."]),
    "relations": edit(Agent, "greta", relations={"orrin": "Married to him."}),
    "lore": editSimulation(lore="It is a space station."),
    "title": editSimulation(title="The Straight Lantern"),
    "player's role": editSimulation(playerRole="Guest"),
    "language": editSimulation(language="fr"),
    "situation's title": edit(SituationType, "backRoom", title="The loft"),
    "situation's description": edit(SituationType, "backRoom", description="A dark loft."),
    "intent's words": edit(Intent, "pourRound", words="The innkeeper pours water."),
    "previous intent's words": edit(Intent, "haggle", words="The innkeeper begs."),
    "previous intent": editBranch(lastIntents={"greta": "tellTale"}),
    "no previous intent": editBranch(lastIntents={}),
    "free words before": editBranch(lastIntents={"greta": "free:1234567890abcdef"}),
    "bucket edges": edit(StateVariable, "coins", buckets=MOVED_EDGES),
    "bucket": editState(coins=3.0),
    "another bucket": editState(debt=5.0),
    "variable's title": edit(StateVariable, "coins", title="Bottles"),
    "who knows it": edit(StateVariable, "coins", visibility={"player": True, "agents": ["orrin"]}),
    "situation's variables": edit(SituationType, "backRoom", variables=["coins"]),
    "agent's epoch": edit(Agent, "greta", epoch=2),
    "simulation's epoch": editSimulation(epoch=2),
}
NO_CHANGES = {
    "nothing": changeNothing,
    "raw values": editState(coins=39.0, debt=59.0, weather="storm", roofLeaking=True),
    "another agent's last intent": editBranch(lastIntents={"greta": "haggle", "orrin": "tellTale"}),
    "another agent": edit(Agent, "orrin", persona="Orrin is a cat."),
    "another situation": edit(SituationType, "taproom", description="A field."),
    "another intent": edit(Intent, "cookStew", words="The innkeeper cooks an egg."),
}


@pytest.fixture
async def second(startGame: Any, scripted: Any) -> Any:
    """A game in the back room, where another game's miss has just been stored."""
    await ResponseVariant.objects.aupdate(status="retired")
    scripted.addReplies("The first reply.", "The second reply.")
    first, second = await startGame(), await startGame(seed=8)
    await Branch.objects.aupdate(situation="backRoom", lastIntents={"greta": "haggle"})
    assert (await first.choose("pourRound")).message.turn.replies[0].text == "The first reply."
    return second


@pytest.mark.parametrize("name", CHANGES)
async def test_aChangeOfThisAloneMisses(second, name):
    await CHANGES[name](second)
    await raiseRevision()
    if name == "language":
        await Session.objects.aupdate(language="fr")
    reply = (await second.choose("pourRound")).message.turn.replies[0]
    assert (reply.source, reply.text) == ("model", "The second reply.")
    assert [turn.status async for turn in Turn.objects.all()] == ["done", "done"]
    assert await CostRecord.objects.filter(source="model").acount() == 2


async def test_anotherLanguageMisses(second):
    await Session.objects.filter(pk=second.session.pk).aupdate(language="de")
    reply = (await second.choose("pourRound")).message.turn.replies[0]
    assert (reply.source, reply.text) == ("model", "The second reply.")


@pytest.mark.parametrize("name", NO_CHANGES)
async def test_aChangeOfThisHits(second, name):
    await NO_CHANGES[name](second)
    await raiseRevision()
    reply = (await second.choose("pourRound")).message.turn.replies[0]
    assert (reply.source, reply.text) == ("hit", "The first reply.")
    assert [row.source async for row in CostRecord.objects.order_by("id")] == ["model", "hit"]


@pytest.mark.parametrize("status", ["rejected", "retired"])
async def test_whatAReviewerTakesOutIsReplacedFromTheNextTurnOn(second, status):
    await ResponseVariant.objects.filter(madeIn="test").aupdate(status=status)
    reply = (await second.choose("pourRound")).message.turn.replies[0]
    assert (reply.source, reply.text) == ("model", "The second reply.")


async def test_privateRepliesAreNobodyElses(startGame, scripted):
    await ResponseVariant.objects.aupdate(status="retired")
    await Intent.objects.filter(slug="pourRound").aupdate(sharing="private")
    await raiseRevision()
    scripted.addReplies("For your ears.", "For yours.")
    first, second = await startGame(seed=7), await startGame(seed=7)
    texts = [(await game.choose("pourRound")).message.turn.replies[0].text for game in (first, second)]
    assert texts == ["For your ears.", "For yours."]
    assert not await ResponseVariant.objects.filter(madeIn="test").aexists()
    assert not await Flight.objects.aexists()
    asked = [listTexts(request) for request in scripted.requests]
    assert all("<playerInput>Pour a round</playerInput>" in text for text in asked)
    digests = {reply.why["digest"] async for reply in Reply.objects.all()}
    assert len(digests) == 2
    assert not await ResponseSignature.objects.filter(digest__in=digests).aexists()


@pytest.mark.parametrize(
    "values",
    [
        {"status": "draft"},
        {"status": "rejected"},
        {"status": "retired"},
        {"status": "pending", "checkResult": "it is empty"},
        {"status": "pending", "agentEpoch": 7},
        {"status": "pending", "fingerprint": "f" * 32},
        {"status": "approved", "madeIn": "test"},
    ],
)
async def test_whatIsNotServableIsNeverServed(startGame, values):
    await ResponseVariant.objects.aupdate(**values)
    game = await startGame(mode="sealed")
    for option in ("pourRound", "cookStew", "tellTale", "haggle"):
        reply = (await game.choose(option)).message.turn.replies[0]
        assert (reply.source, reply.rung) == ("line", "line")
    assert await CostRecord.objects.filter(source="line", priceNano=0).acount() == 4


async def test_pendingIsServedWhereTheSimulationSaysSo(startGame):
    await ResponseVariant.objects.aupdate(status="pending")
    served = (await (await startGame(mode="sealed")).choose("pourRound")).message.turn.replies[0]
    assert (served.source, served.rung) == ("hit", "variant")
    await raiseRevision(serve="approved")
    held = (await (await startGame(mode="sealed")).choose("pourRound")).message.turn.replies[0]
    assert (held.source, held.rung) == ("line", "line")


async def test_repliesThatWaitForReviewAreEnough(startGame, scripted):
    """No fourth is bought while three wait: the ladder answers."""
    await ResponseVariant.objects.aupdate(status="retired")
    await raiseRevision(serve="approved")
    for seed in range(5):
        await (await startGame(seed=seed)).choose("pourRound")
    assert len(scripted.requests) == 3
    assert await ResponseVariant.objects.filter(madeIn="test", status="pending").acount() == 3
    reply = await Reply.objects.alatest("id")
    assert (reply.why["rung"], reply.why["reason"]) == ("line", "enoughVariants")


async def test_whatDoesNotFitNowIsNotEnough(startGame, scripted):
    await ResponseVariant.objects.aupdate(status="approved", condition="state.coins > 99.0")
    await (await startGame()).choose("pourRound")
    assert len(scripted.requests) == 1


DOUBTFUL = [{"agentEpoch": 7}, {"simulationEpoch": 7}, {"fingerprint": "f" * 32}]


@pytest.mark.parametrize("values", DOUBTFUL)
async def test_doubtfulIsServedOnlyWhereTheSimulationSaysSo(startGame, scripted, values):
    await ResponseVariant.objects.aupdate(**values)
    asked = (await (await startGame()).choose("pourRound")).message.turn.replies[0]
    assert (asked.source, len(scripted.requests)) == ("model", 1)
    await ResponseVariant.objects.filter(madeIn="test").adelete()
    await raiseRevision(serveDoubtful=True)
    served = (await (await startGame()).choose("pourRound")).message.turn.replies[0]
    assert (served.source, served.rung, len(scripted.requests)) == ("hit", "variant", 1)


@pytest.mark.parametrize("values", DOUBTFUL)
async def test_doubtfulComesBeforeARefusal(startGame, scripted, values):
    await ResponseVariant.objects.aupdate(**values)
    scripted.addReplies(ScriptedReply(error=ModelError("Gone.")))
    failed = (await (await startGame()).choose("pourRound")).message.turn.replies[0]
    sealed = (await (await startGame(mode="sealed")).choose("pourRound")).message.turn.replies[0]
    assert (failed.source, failed.rung) == (sealed.source, sealed.rung) == ("hit", "doubtfulVariant")
    reasons = [reply.why["reason"] async for reply in Reply.objects.order_by("id")]
    assert reasons == ["modelFailed", "sealed"]


async def test_theNearestStateComesBeforeTheLine(startGame, scripted):
    await ResponseVariant.objects.aupdate(status="retired")
    scripted.addReplies("Said when it rained.")
    game = await startGame()
    await editState(weather="rain")(game)
    await game.choose("pourRound")
    await ResponseVariant.objects.filter(madeIn="test").aupdate(status="approved", madeIn="live")
    reply = (await (await startGame(mode="sealed")).choose("pourRound")).message.turn.replies[0]
    assert (reply.text, reply.source, reply.rung) == ("Said when it rained.", "hit", "nearestVariant")


class Door(asyncio.Event):
    """A gate that tells when somebody waits at it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self) -> bool:
        self.reached.set()
        return await super().wait()


async def test_theEpochStoredIsTheOneThatWasAsked(startGame, scripted):
    """A persona published while the model answers doesn't make the reply current."""
    await ResponseVariant.objects.aupdate(status="retired")
    gate = Door()
    scripted.addReplies(ScriptedReply("Of the old Greta.", gate=gate))
    game = await startGame()
    playing = asyncio.create_task(game.choose("pourRound"))
    await gate.reached.wait()
    await Agent.objects.filter(slug="greta").aupdate(epoch=2, persona="A new Greta.")
    await raiseRevision()
    gate.set()
    await playing
    variant = await ResponseVariant.objects.aget(madeIn="test")
    assert (variant.agentEpoch, variant.status) == (1, "pending")
    second = (await (await startGame(seed=9)).choose("pourRound")).message.turn.replies[0]
    assert second.source == "model"
