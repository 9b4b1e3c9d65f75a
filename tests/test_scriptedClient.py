"""The scripted client: the queue, patterns, the echo, recordings, and everything going wrong."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agents.llm.client import Finished, Message, ModelRequest, PartialUsage, PromptBlock, TextDelta
from agents.llm.clients import closeClients, getClient, overrideClient, resolveClientKind, setClient
from agents.llm.scriptedClient import ScriptedClient, ScriptedReply
from pm6.exceptions import (
    ConfigurationError,
    ModelCredentialError,
    ModelRateLimitError,
    ModelUnavailableError,
)


def buildRequest(asked: str = "Shall taxes rise?", label: str = "Anna Berg: cabinet") -> ModelRequest:
    return ModelRequest(
        "any-model", (PromptBlock("You are Anna Berg."),), (Message("user", asked),), 100, label
    )


async def collect(client, request: ModelRequest | None = None, partial: PartialUsage | None = None):
    async with aclosing(client.stream(request or buildRequest(), partial or PartialUsage())) as events:
        return [event async for event in events]


async def say(client, request: ModelRequest | None = None) -> str:
    return (await collect(client, request))[-1].text


async def testRepliesComeInOrderWordByWord():
    client = ScriptedClient(["Not  this year.\n", "Never."])
    *deltas, finished = await collect(client)
    assert [delta.text for delta in deltas] == ["Not", "  this", " year.", "\n"]
    assert isinstance(finished, Finished)
    assert (finished.text, finished.stop, finished.model) == ("Not  this year.\n", "end", "scripted")
    assert await say(client) == "Never."


async def testTokensArePlausible():
    partial = PartialUsage()
    finished = (await collect(ScriptedClient(["Eight by"]), buildRequest("Four"), partial))[-1]
    assert finished.usage == partial.usage
    assert (finished.usage.inputTokens, finished.usage.outputTokens) == (6, 2)
    assert not finished.usage.estimated


async def testPatternsMatchLabelAndText():
    client = ScriptedClient(patterns={r"^anna.*cabinet": "In cabinet.", r"war": ["War one.", "War two."]})
    assert await say(client, buildRequest()) == "In cabinet."
    declared = [await say(client, buildRequest("Declare war!", "Otto")) for _ in range(3)]
    assert declared == ["War one.", "War two.", "War two."]


async def testQueueStandsBeforePatterns():
    client = ScriptedClient(["First."], {r".": "Pattern."})
    client.addReplies("Second.")
    assert [await say(client) for _ in range(3)] == ["First.", "Second.", "Pattern."]


async def testEchoNamesAgentAndQuestionAndIsTheSameAgain():
    client = ScriptedClient()
    first = await say(client, buildRequest("State: calm\nShall taxes rise?\n"))
    assert "Anna Berg" in first
    assert "Shall taxes rise?" in first
    assert first == await say(ScriptedClient(), buildRequest("State: calm\nShall taxes rise?\n"))


@pytest.mark.parametrize(("asked", "label"), [("", ""), ("x" * 500, ":"), ("\n\n", "Otto")])
async def testEchoIsNeverEmptyNorLong(asked, label):
    assert 20 < len(await say(ScriptedClient(), buildRequest(asked, label))) < 200


async def testRecordingIsRepeated():
    client = ScriptedClient.fromRecording(
        [
            {"label": "Anna Berg: cabinet", "text": "One."},
            {"label": "Otto: cabinet", "text": "Mine.", "stop": "refusal"},
            {"label": "Anna Berg: cabinet", "text": "Two."},
        ]
    )
    assert [await say(client) for _ in range(3)] == ["One.", "Two.", "Two."]
    assert (await collect(client, buildRequest(label="Otto: cabinet")))[-1].stop == "refusal"
    assert "Greta" in await say(client, buildRequest(label="Greta"))


async def testErrorComesAtOnce():
    partial = PartialUsage()
    with pytest.raises(ModelRateLimitError):
        await collect(ScriptedClient([ModelRateLimitError("Slow down.")]), partial=partial)
    assert partial.usage.outputTokens == 0


async def testStreamBreaksInTheMiddle():
    partial = PartialUsage()
    deltas = []
    client = ScriptedClient([ScriptedReply("One two three.", breakAfter=2)])
    with pytest.raises(ModelUnavailableError):  # noqa: PT012
        async for event in client.stream(buildRequest(), partial):
            deltas.append(event)
    assert deltas == [TextDelta("One"), TextDelta(" two")]
    assert (partial.usage.outputTokens, partial.usage.estimated) == (2, True)


async def testErrorOfChoiceInTheMiddle():
    reply = ScriptedReply("One two three.", error=ModelCredentialError("Revoked."), breakAfter=1)
    with pytest.raises(ModelCredentialError):
        await collect(ScriptedClient([reply]))


async def testDelayAndGate():
    waited = []
    gate = asyncio.Event()

    async def sleep(seconds):
        waited.append(seconds)

    client = ScriptedClient([ScriptedReply("Yes.", delaySeconds=3, gate=gate)], sleep=sleep)
    task = asyncio.create_task(say(client))
    await asyncio.sleep(0)
    assert waited == []
    gate.set()
    assert await task == "Yes."
    assert waited == [3]


async def testRequestsAreKept():
    client = ScriptedClient()
    await say(client, buildRequest("One?"))
    assert [request.messages[0].text for request in client.requests] == ["One?"]


def testScriptWithoutRepliesIsRefused():
    with pytest.raises(ValueError, match="at least one"):
        ScriptedClient(patterns={"x": []})


@pytest.fixture
def noClients():
    kinds = ("anthropic", "local", "scripted")
    before = {kind: setClient(kind, None) for kind in kinds}
    yield
    for kind in kinds:
        setClient(kind, before[kind])


def testKindIsResolvedFromTheSettings(settings, tmp_path):
    weights = tmp_path / "small.gguf"
    weights.touch()
    settings.PM6_LLM, settings.ANTHROPIC_API_KEY, settings.PM6_LOCAL_MODEL = "auto", "key", str(weights)
    assert resolveClientKind() == "anthropic"
    settings.ANTHROPIC_API_KEY = ""
    settings.PM6_LOCAL_MODEL = str(tmp_path / "absent.gguf")
    assert resolveClientKind() == "scripted"
    settings.PM6_LLM = "local"
    assert resolveClientKind() == "local"
    settings.PM6_LLM = "gpt"
    with pytest.raises(ConfigurationError, match="PM6_LLM"):
        resolveClientKind()


def testOneClientOfEachKind(settings, noClients):
    settings.ANTHROPIC_API_KEY = "key"
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"
    assert getClient("scripted") is getClient("scripted")
    assert getClient("anthropic").baseUrl == "http://127.0.0.1:9"


def testMissingPartsAreNamed(settings, noClients, tmp_path):
    settings.ANTHROPIC_API_KEY = ""
    settings.PM6_LOCAL_MODEL = str(tmp_path / "absent.gguf")
    with pytest.raises(ConfigurationError, match="API key"):
        getClient("anthropic")
    with pytest.raises(ConfigurationError, match="embedded model"):
        getClient("local")


def testOverrideGivesBackWhatWasThere(noClients):
    own, other = ScriptedClient(), ScriptedClient()
    setClient("scripted", own)
    with overrideClient("scripted", other):
        assert getClient("scripted") is other
    assert getClient("scripted") is own


async def testClosedClientsAreMadeAfresh(noClients):
    before = getClient("scripted")
    await closeClients()
    assert getClient("scripted") is not before
