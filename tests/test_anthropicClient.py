"""The Anthropic client against a stand-in: text, exact usage, every failure in our own words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from contextlib import aclosing
from pathlib import Path

import pytest

from agents.llm.anthropicClient import AnthropicClient, readRetryAfter
from agents.llm.client import Finished, Message, ModelRequest, PartialUsage, PromptBlock, TextDelta
from agents.llm.thinking import alwaysThinks, buildThinkingOptions
from costs.usage import Usage
from pm6.exceptions import (
    ConfigurationError,
    ModelCredentialError,
    ModelRateLimitError,
    ModelRequestError,
    ModelUnavailableError,
)
from tests.standIn import StandIn

ROOT = Path(__file__).resolve().parent.parent
SONNET = "claude-sonnet-5-5"
LORE = "The kingdom of Arden lies between two rivers. " * 60


@pytest.fixture
def standIn():
    with StandIn() as server:
        yield server


@pytest.fixture
async def client(standIn):
    client = AnthropicClient(standIn.apiKey, standIn.url)
    yield client
    await client.close()


def buildRequest(asked: str = "Shall taxes rise?", **changes) -> ModelRequest:
    request = {
        "model": SONNET,
        "system": (PromptBlock("You rule Arden."),),
        "messages": (Message("user", asked),),
        "maxTokens": 200,
        "timeoutSeconds": 10.0,
    }
    return ModelRequest(**(request | changes))


async def collect(client, request: ModelRequest, partial: PartialUsage | None = None):
    events = []
    async with aclosing(client.stream(request, partial or PartialUsage())) as stream:
        async for event in stream:
            events.append(event)
    return events


async def fail(client, request: ModelRequest | None = None):
    """Returns the error of a call and what it used."""
    partial = PartialUsage()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await collect(client, request or buildRequest(), partial)
    return caught.value, partial


def usageOf(entry) -> Usage:
    return Usage(
        inputTokens=entry.inputTokens,
        outputTokens=entry.outputTokens,
        cacheReadTokens=entry.cacheReadTokens,
        cacheWrite5mTokens=entry.cacheWrite5mTokens,
        cacheWrite1hTokens=entry.cacheWrite1hTokens,
    )


async def testReplyStreamsAndEndsWithItsBill(standIn, client):
    standIn.behave(text="No, my dear minister. Not this year.")
    *deltas, finished = await collect(client, buildRequest())

    assert [delta.text for delta in deltas[:2]] == ["No,", " my"]
    assert isinstance(finished, Finished)
    assert finished.text == "".join(delta.text for delta in deltas) == "No, my dear minister. Not this year."
    assert (finished.stop, finished.model, finished.requestId) == ("end", SONNET, "req_000001")
    assert finished.usage == usageOf(standIn.bill[0])
    assert finished.usage.outputTokens == 12
    assert 0 < finished.firstTokenMs <= finished.totalMs


async def testRequestSaysExactlyWhatIsMeant(standIn, client):
    request = buildRequest(
        system=(
            PromptBlock("Rules.", "1h"),
            PromptBlock(""),
            PromptBlock("You rule.", "5m"),
            PromptBlock("Now."),
        ),
        messages=(Message("user", "Hello"), Message("assistant", "Yes?"), Message("user", "Taxes")),
    )
    await collect(client, request)
    body = standIn.requests[0].body

    assert body["system"] == [
        {"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "You rule.", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        {"type": "text", "text": "Now."},
    ]
    assert body["messages"][1] == {"role": "assistant", "content": "Yes?"}
    assert (body["model"], body["max_tokens"], body["stream"]) == (SONNET, 200, True)


async def testPromptCacheClassesAreExact(standIn, client):
    request = buildRequest(system=(PromptBlock(LORE, "1h"), PromptBlock("You rule. " * 50, "5m")))
    first = (await collect(client, request))[-1].usage
    second = (await collect(client, request))[-1].usage
    standIn.advance(400)
    third = (await collect(client, request))[-1].usage

    assert first.cacheWrite1hTokens == 690
    assert first.cacheWrite5mTokens == 125
    assert (second.cacheReadTokens, second.cacheWrite5mTokens) == (815, 0)
    # The five minutes are over, the hour isn't.
    assert (third.cacheReadTokens, third.cacheWrite5mTokens) == (690, 125)
    assert [usageOf(entry) for entry in standIn.bill] == [first, second, third]


async def testCacheIsReadableOnlyOnceTheResponseBegan(standIn, client):
    request = buildRequest(system=(PromptBlock(LORE, "5m"),))
    standIn.behave(gate="both", times=2)
    calls = [asyncio.create_task(collect(client, request)) for _ in range(2)]
    await asyncio.to_thread(standIn.waitForRequests, 2)
    standIn.release("both")
    usages = [(await call)[-1].usage for call in calls]
    assert [usage.cacheReadTokens for usage in usages] == [0, 0]
    assert (await collect(client, request))[-1].usage.cacheReadTokens == 690


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "end"),
        ("refusal", "refusal"),
        ("pause_turn", "paused"),
        ("model_context_window_exceeded", "contextExceeded"),
        ("something_new", "paused"),
    ],
)
async def testStopReasons(standIn, client, said, meant):
    standIn.behave(stop=said)
    assert (await collect(client, buildRequest()))[-1].stop == meant


async def testTooLongAReplyEndsAtItsLimit(standIn, client):
    standIn.behave(text="word " * 100)
    finished = (await collect(client, buildRequest(maxTokens=10)))[-1]
    assert (finished.stop, finished.usage.outputTokens) == ("maxTokens", 10)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ModelRequestError),
        (401, ModelCredentialError),
        (402, ModelCredentialError),
        (403, ModelCredentialError),
        (404, ModelRequestError),
        (408, ModelUnavailableError),
        (413, ModelRequestError),
        (422, ModelRequestError),
        (429, ModelRateLimitError),
        (500, ModelUnavailableError),
        (529, ModelUnavailableError),
    ],
)
async def testEveryStatusBecomesOurError(standIn, client, status, error):
    standIn.behave(status=status)
    caught, partial = await fail(client)
    assert type(caught) is error
    assert caught.details["status"] == status
    assert partial.usage == Usage()
    # One attempt only: trying again is somebody else's decision.
    assert (len(standIn.requests), standIn.bill) == (1, [])


async def testRetryAfterIsHandedOn(standIn, client):
    standIn.behave(status=429, retryAfter=7)
    standIn.behave(status=529, retryAfterMs=1500)
    assert (await fail(client))[0].details["retryAfterSeconds"] == 7.0
    assert (await fail(client))[0].details["retryAfterSeconds"] == 1.5


def testRetryAfterForms():
    assert readRetryAfter({"retry-after": "2", "retry-after-ms": "300"}) == 0.3
    assert readRetryAfter({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert readRetryAfter({"retry-after": "soon"}) is None
    assert readRetryAfter({"retry-after": "nan"}) is None
    assert readRetryAfter({}) is None


async def testBrokenStreamIsChargedForWhatCame(standIn, client):
    standIn.behave(text="One two three four five.", breakAfter=3)
    caught, partial = await fail(client)
    standIn.waitForBill(1)
    assert type(caught) is ModelUnavailableError
    assert partial.usage.estimated
    assert partial.usage.outputTokens == standIn.bill[0].outputTokens == 5
    assert partial.usage.inputTokens == standIn.bill[0].inputTokens


@pytest.mark.parametrize("how", ["endAfter", "garbageAfter", "errorAfter"])
async def testStreamWithoutItsEndIsNoReply(standIn, client, how):
    standIn.behave(text="One two three four five.", **{how: 2})
    caught, partial = await fail(client)
    standIn.waitForBill(1)
    assert type(caught) is ModelUnavailableError
    assert partial.usage.estimated
    assert partial.usage.outputTokens == standIn.bill[0].outputTokens == 3


async def testErrorEventKeepsItsMeaning(standIn, client):
    standIn.behave(errorAfter=1, errorType="rate_limit_error")
    standIn.behave(errorAfter=1, errorType="invalid_request_error")
    assert type((await fail(client))[0]) is ModelRateLimitError
    assert type((await fail(client))[0]) is ModelRequestError


async def testDroppedConnectionCostsNothing(standIn, client):
    standIn.behave(drop=True)
    caught, partial = await fail(client)
    assert caught.details["reason"] == "connection"
    assert partial.usage == Usage()


async def testNobodyThere():
    with StandIn() as standIn:
        url = standIn.url
    client = AnthropicClient("key", url)
    caught, partial = await fail(client)
    assert caught.retryable
    assert partial.usage == Usage()
    await client.close()


async def testCancelledCallIsChargedForWhatCame(standIn, client):
    standIn.behave(text="One two three four five.", pauseAfter=2)
    partial = PartialUsage()
    arrived = asyncio.Event()

    async def watch():
        seen = 0
        async with aclosing(client.stream(buildRequest(), partial)) as events:
            async for event in events:
                seen += isinstance(event, TextDelta)
                if seen == 2:
                    arrived.set()

    task = asyncio.create_task(watch())
    await arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(standIn.waitForBill, 1)
    assert task.cancelled()
    assert partial.usage == Usage(standIn.bill[0].inputTokens, 3, estimated=True)
    assert (standIn.bill[0].outcome, standIn.bill[0].outputTokens) == ("left", 3)
    assert partial.requestId == standIn.bill[0].requestId


async def testConsumerThatLeavesIsChargedForWhatCame(standIn, client):
    standIn.behave(text="One two three four five.", pauseAfter=1)
    partial = PartialUsage()
    async with aclosing(client.stream(buildRequest(), partial)) as events:
        await anext(events)
    await asyncio.to_thread(standIn.waitForBill, 1)
    assert partial.usage.outputTokens == standIn.bill[0].outputTokens
    assert partial.usage.estimated


async def testCallLeftBeforeItsFirstEventIsTakenToHaveCostItsInput(standIn, client):
    standIn.behave(hang=True)
    partial = PartialUsage()
    task = asyncio.create_task(collect(client, buildRequest(), partial))
    await asyncio.to_thread(standIn.waitForRequests, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(standIn.waitForBill, 1)
    assert partial.usage == Usage(inputTokens=standIn.bill[0].inputTokens, estimated=True)
    assert standIn.bill[0].outcome == "abandoned"


async def testTimeoutIsCountedLikeLeaving(standIn, client):
    standIn.behave(hang=True)
    caught, partial = await fail(client, buildRequest(timeoutSeconds=0.1))
    assert caught.details == {"reason": "timeout"}
    assert caught.retryable
    assert partial.usage == Usage(inputTokens=8, estimated=True)


async def testTimeoutCoversTheWholeCall(standIn, client):
    standIn.behave(pauseAfter=1)
    caught, partial = await fail(client, buildRequest(timeoutSeconds=0.3))
    assert caught.details == {"reason": "timeout"}
    assert partial.usage.estimated


async def testKeyNeverShows(standIn, client, caplog):
    caplog.set_level("DEBUG")
    secret = "sk-ant-very-secret"
    careless = AnthropicClient(secret, standIn.url)
    standIn.behave(status=400, message=f"Your key {secret} is odd.")
    standIn.apiKey = secret
    caught, _ = await fail(careless)
    shown = "".join(traceback.format_exception(caught)) + repr(careless) + str(caught.asDict()) + caplog.text
    assert secret not in shown
    assert "[key] is odd" in caught.details["providerMessage"]
    await careless.close()


async def testPromptsAreNotLoggedEvenInDebug(client, caplog):
    caplog.set_level("DEBUG")
    await collect(client, buildRequest("A very private question"))
    assert "very private" not in caplog.text


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "umläut"])
def testKeyThatCanBeNoneIsRefusedWithoutQuotingIt(key):
    with pytest.raises(ModelCredentialError) as caught:
        AnthropicClient(key)
    assert not key.strip() or key not in str(caught.value)


async def testCheckCredential(standIn, client):
    await client.checkCredential()
    wrong = AnthropicClient("other", standIn.url)
    with pytest.raises(ModelCredentialError):
        await wrong.checkCredential()
    await wrong.close()
    assert standIn.bill == []


async def testRealCallsAreBlockedUnderTest(settings):
    settings.PM6_BLOCK_REAL_CALLS = True
    for url in (None, "https://127.0.0.1.example.com"):
        client = AnthropicClient("key", url)
        with pytest.raises(ConfigurationError, match="blocked"):
            await collect(client, buildRequest())
        with pytest.raises(ConfigurationError, match="blocked"):
            await client.checkCredential()


async def testProxyOfTheEnvironmentIsNotAskedForThisMachine(standIn, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client = AnthropicClient(standIn.apiKey, standIn.url)
    assert (await collect(client, buildRequest()))[-1].stop == "end"
    await client.close()


def testOneClientServesManyLoops(standIn):
    client = AnthropicClient(standIn.apiKey, standIn.url)
    for _ in range(3):
        assert asyncio.run(collect(client, buildRequest()))[-1].stop == "end"


async def testConnectionIsUsedAgain(standIn, client):
    for _ in range(3):
        await collect(client, buildRequest())
    pool = client._sdks.get()._client._transport._pool
    assert len(pool.connections) == 1


async def testEachModelIsAskedToAnswerAtOnce(standIn, client):
    for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "some-other-model"):
        assert (await collect(client, buildRequest(model=model)))[-1].stop == "end"
    asked = [(r.body.get("thinking"), r.body.get("output_config")) for r in standIn.requests]
    assert asked == [
        (None, {"effort": "low"}),
        ({"type": "between_tools"}, None),
        ({"type": "disabled"}, None),
        (None, None),
    ]


def testThinkingByModel():
    assert alwaysThinks("claude-opus-5-5")
    assert alwaysThinks("claude-fable-5-1")
    assert not alwaysThinks("claude-opus-5")
    assert buildThinkingOptions("claude-opus-5-20260724") == {"thinking": {"type": "disabled"}}
    assert buildThinkingOptions("claude-haiku-4-5") == {}
    assert buildThinkingOptions("claude-opus-5-7") == {}


def testImportIsLazy():
    code = (
        "import sys; import agents.llm.clients, agents.llm.rateLimiter;"
        "assert not {'anthropic', 'httpx2', 'xllamacpp'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


async def testStandInRefusesWhatTheApiRefuses(client):
    blocks = tuple(PromptBlock(f"Block {number}", "5m") for number in range(5))
    refused = [
        buildRequest(system=blocks),
        buildRequest(system=(PromptBlock("a", "5m"), PromptBlock("b", "1h"))),
        buildRequest(messages=(Message("user", "a"), Message("user", "b"))),
        buildRequest(messages=(Message("user", "a"), Message("assistant", "b"))),
        buildRequest(messages=(Message("user", " "),)),
        buildRequest(maxTokens=0),
    ]
    for request in refused:
        assert type((await fail(client, request))[0]) is ModelRequestError


def testStandInRunsAsAProcess():
    import json
    from urllib.request import ProxyHandler, Request, build_opener

    opener = build_opener(ProxyHandler({}))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.standIn"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        url = json.loads(process.stdout.readline())["url"]
        told = json.dumps([{"text": "Told over HTTP."}]).encode()
        opener.open(Request(f"{url}/_behave", told)).read()
        client = AnthropicClient("stand-in-key", url)
        assert asyncio.run(collect(client, buildRequest()))[-1].text == "Told over HTTP."
        assert json.load(opener.open(f"{url}/_bill"))[0]["outputTokens"] == 5
        assert json.load(opener.open(f"{url}/_requests"))[0]["body"]["model"] == SONNET
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
