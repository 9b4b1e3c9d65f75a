"""A stand-in for the Messages API on 127.0.0.1: it streams, caches, fails and bills like one.

In a test: `with StandIn() as standIn: AnthropicClient(standIn.apiKey, standIn.url)`.
As a process of its own: `python -m tests.standIn --port 8100`, then over HTTP
`GET /_bill`, `GET /_requests`, `POST /_behave`, `/_release`, `/_clock`, `/_reset`.

Tokens are UTF-8 bytes: four to one of input, three to one of output, so that a client which
estimates a broken stream from its text arrives at the bill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields, replace
from typing import Any

from tests.standInCache import BYTES_PER_INPUT_TOKEN, CachePlan, PromptCache, buildBlocks, countUp
from tests.standInHttp import Broken, Call, ClientLeft, RequestRecord, readCall, sendEvent
from tests.standInProtocol import (
    Behaviour,
    BillEntry,
    RequestError,
    buildChunk,
    buildDefaultReply,
    buildEntry,
    buildError,
    buildMessage,
    buildModelList,
    buildRetryHeaders,
    buildUsage,
    charge,
    checkBody,
    cutToTokens,
    wrapChunk,
)

API_KEY = "stand-in-key"
KEY_HEADERS = ("x-api-key", "authorization")
# A reset overtakes what was just sent, and the client is billed for that.
RESET_GRACE_SECONDS = 0.05


class StandIn:
    """The server, in a thread of its own.

    Args:
        apiKey: Any other gets 401.
        port: Where it listens; a free one when 0.
        minimumTokens: The shortest cached prefix by model, where the table doesn't suit.
        clock: Seconds; `advance` adds to it.

    Attributes:
        bill: Every request that cost something, in the order of their ends.
        requests: Every request to the API, in the order of their arrival.
    """

    def __init__(
        self,
        apiKey: str = API_KEY,
        port: int = 0,
        minimumTokens: dict[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.apiKey = apiKey
        self.port = port
        self.bill: list[BillEntry] = []
        self.requests: list[RequestRecord] = []
        self._behaviours: deque[Behaviour] = deque()
        self._cache = PromptCache(minimumTokens or {})
        self._clock = clock
        self._ahead = 0.0
        self._gates: dict[str, asyncio.Event] = {}
        self._changed = threading.Condition(threading.RLock())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> StandIn:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._shutDown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def behave(self, **what: Any) -> None:
        """Appends a behaviour; see `Behaviour`. The first that matches a request is used."""
        unknown = what.keys() - {item.name for item in fields(Behaviour)}
        if unknown:
            raise ValueError(f"No such behaviour: {', '.join(sorted(unknown))}.")
        with self._changed:
            self._behaviours.append(Behaviour(**what))

    def release(self, gate: str) -> None:
        """Opens a gate for good."""
        self._loop.call_soon_threadsafe(lambda: self._findGate(gate).set())

    def advance(self, seconds: float) -> None:
        """Lets time pass for the prompt cache."""
        self._ahead += seconds

    def reset(self) -> None:
        """Forgets behaviours, requests, bill and prompt cache."""
        with self._changed:
            self._behaviours.clear()
            self.bill.clear()
            self.requests.clear()
            self._cache = PromptCache(self._cache.minimumTokens)

    def waitForRequests(self, count: int, seconds: float = 10.0) -> None:
        """Blocks until so many requests have arrived."""
        self._waitUntil(lambda: len(self.requests) >= count, seconds)

    def waitForBill(self, count: int, seconds: float = 10.0) -> None:
        """Blocks until so many requests are billed; one that was left is so a moment later."""
        self._waitUntil(lambda: len(self.bill) >= count, seconds)

    def _waitUntil(self, reached: Callable[[], bool], seconds: float) -> None:
        with self._changed:
            if not self._changed.wait_for(reached, seconds):
                raise TimeoutError("The stand-in waited in vain.")

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _shutDown(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _findGate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def _now(self) -> float:
        return self._clock() + self._ahead

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (call := await readCall(reader, writer)) is not None:
                await self._route(call)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ClientLeft):
            pass
        except Broken as end:
            if end.reset:
                await asyncio.sleep(RESET_GRACE_SECONDS)
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        finally:
            writer.close()

    async def _route(self, call: Call) -> None:
        if call.path.startswith("/_"):
            await self._control(call)
            return
        call.requestId = f"req_{len(self.requests) + 1:06}"
        try:
            body = self._record(call)
            self._checkKey(call)
            await self._answerApi(call, body)
        except RequestError as error:
            await call.answer(error.status, buildError(error.status, error.message, call.requestId))

    def _record(self, call: Call) -> Any:
        try:
            body = json.loads(call.raw) if call.raw else None
        except ValueError:
            body = call.raw.decode(errors="replace")
        headers = {name: value for name, value in call.headers.items() if name not in KEY_HEADERS}
        call.record = RequestRecord(call.requestId, call.path, headers, body)
        with self._changed:
            self.requests.append(call.record)
            self._changed.notify_all()
        return body

    def _checkKey(self, call: Call) -> None:
        sent = {call.headers.get("x-api-key"), call.headers.get("authorization", "").removeprefix("Bearer ")}
        if self.apiKey not in sent:
            raise RequestError(401, "invalid x-api-key")
        if "anthropic-version" not in call.headers:
            raise RequestError(400, "anthropic-version: header is required")

    async def _answerApi(self, call: Call, body: Any) -> None:
        route = (call.method, call.path.split("?")[0])
        if route == ("GET", "/v1/models"):
            await call.answer(200, buildModelList())
        elif route == ("POST", "/v1/messages/count_tokens"):
            checkBody(body, counting=True)
            size = sum(len(block.text.encode()) for block in buildBlocks(body))
            await call.answer(200, {"input_tokens": countUp(size, BYTES_PER_INPUT_TOKEN)})
        elif route == ("POST", "/v1/messages"):
            checkBody(body)
            await self._answerMessage(call, body, self._takeBehaviour(body))
        else:
            raise RequestError(404, "Not found.")

    def _takeBehaviour(self, body: dict[str, Any]) -> Behaviour:
        text = "\n".join(block.text for block in buildBlocks(body))
        with self._changed:
            for behaviour in self._behaviours:
                if behaviour.match in text:
                    if behaviour.times is not None:
                        behaviour.times -= 1
                        if not behaviour.times:
                            self._behaviours.remove(behaviour)
                    return replace(behaviour)
        return Behaviour()

    async def _answerMessage(self, call: Call, body: dict[str, Any], behaviour: Behaviour) -> None:
        if behaviour.drop:
            raise Broken
        if behaviour.status != 200:
            error = buildError(behaviour.status, behaviour.message, call.requestId)
            await call.answer(behaviour.status, error, buildRetryHeaders(behaviour))
            return
        plan = self._cache.plan(body["model"], buildBlocks(body), self._now())
        entry = buildEntry(call.requestId, body, plan)
        call.watch()
        try:
            await self._waitToBegin(call, behaviour, plan, entry)
            self._cache.write(plan, self._now())
            await self._say(call, body, behaviour, entry)
        except (ClientLeft, ConnectionError):
            entry.outcome = entry.outcome or "left"
            raise ClientLeft from None
        except Broken:
            entry.outcome = "broken"
            raise
        finally:
            await call.unwatch()
            self._charge(entry)

    async def _waitToBegin(self, call: Call, behaviour: Behaviour, plan: CachePlan, entry: BillEntry) -> None:
        try:
            if behaviour.hang:
                await call.waitFor(asyncio.Event())
            if behaviour.gate:
                await call.waitFor(self._findGate(behaviour.gate))
        except ClientLeft:
            entry.inputTokens += plan.cacheReadTokens + plan.cacheWrite5mTokens + plan.cacheWrite1hTokens
            entry.cacheReadTokens = entry.cacheWrite5mTokens = entry.cacheWrite1hTokens = 0
            entry.outputTokens = 0
            entry.outcome = "abandoned"
            raise

    def _charge(self, entry: BillEntry) -> None:
        """Puts an entry on the bill, once; a whole reply's is there before its last byte is sent."""
        with self._changed:
            if not any(billed is entry for billed in self.bill):
                self.bill.append(entry)
            self._changed.notify_all()

    async def _say(self, call: Call, body: dict[str, Any], behaviour: Behaviour, entry: BillEntry) -> None:
        text = buildDefaultReply(body) if behaviour.text is None else behaviour.text
        said = cutToTokens(text, body["max_tokens"])
        stop = behaviour.stop if said == text else "max_tokens"
        message: dict[str, Any] = buildMessage(entry)
        if body.get("stream"):
            await self._stream(call, message, re.findall(r"\s*\S+|\s+$", said), stop, behaviour, entry)
            return
        charge(entry, said)
        entry.outcome = "completed"
        self._charge(entry)
        message |= {"content": [{"type": "text", "text": said}], "stop_reason": stop}
        await call.unwatch()
        await call.answer(200, message | {"usage": buildUsage(entry)})

    async def _stream(
        self,
        call: Call,
        message: dict[str, Any],
        chunks: list[str],
        stop: str,
        behaviour: Behaviour,
        entry: BillEntry,
    ) -> None:
        kinds = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
        await call.send(call.buildHead(200, kinds))
        await sendEvent(call, "message_start", {"message": message})
        block = {"type": "text", "text": ""}
        await sendEvent(call, "content_block_start", {"index": 0, "content_block": block})
        await sendEvent(call, "ping", {})
        for number in range(len(chunks) + 1):
            if await self._happens(call, behaviour, number):
                return
            if number < len(chunks):
                delta = {"type": "text_delta", "text": chunks[number]}
                await sendEvent(call, "content_block_delta", {"index": 0, "delta": delta})
                charge(entry, chunks[number])
        await sendEvent(call, "content_block_stop", {"index": 0})
        delta = {"stop_reason": stop, "stop_sequence": None}
        usage = {"output_tokens": entry.outputTokens}
        await sendEvent(call, "message_delta", {"delta": delta, "usage": usage})
        entry.outcome = "completed"
        self._charge(entry)
        # The next request may follow the last byte at once, and isn't a sign of leaving.
        await call.unwatch()
        call.writer.write(buildChunk("message_stop", {}) + b"0\r\n\r\n")
        await call.writer.drain()

    async def _happens(self, call: Call, behaviour: Behaviour, number: int) -> bool:
        """Does what is due before a chunk; true when the stream is over."""
        if behaviour.delaySeconds:
            await asyncio.sleep(behaviour.delaySeconds)
        if behaviour.pauseAfter == number:
            await call.waitFor(self._findGate(behaviour.pauseGate))
        if behaviour.breakAfter == number:
            raise Broken(reset=True)
        if behaviour.errorAfter == number:
            await sendEvent(call, "error", {"error": {"type": behaviour.errorType, "message": "As told."}})
            raise Broken
        if behaviour.garbageAfter == number:
            await call.send(wrapChunk(b"event: content_block_delta\ndata: {not json\n\n"))
            raise Broken
        if behaviour.endAfter == number:
            await call.send(b"0\r\n\r\n")
            raise Broken
        return False

    async def _control(self, call: Call) -> None:
        sent = json.loads(call.raw) if call.raw else {}
        match (call.method, call.path):
            case ("GET", "/_bill"):
                answer: Any = [asdict(entry) for entry in self.bill]
            case ("GET", "/_requests"):
                answer = [asdict(record) for record in self.requests]
            case ("POST", "/_behave"):
                answer = {}
                for what in sent if isinstance(sent, list) else [sent]:
                    self.behave(**what)
            case ("POST", "/_release"):
                answer = {}
                self._findGate(sent["gate"]).set()
            case ("POST", "/_clock"):
                answer = {}
                self.advance(float(sent["seconds"]))
            case ("POST", "/_reset"):
                answer = {}
                self.reset()
            case _:
                await call.answer(404, {})
                return
        await call.answer(200, answer)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a stand-in for the Messages API on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--apiKey", default=API_KEY)
    arguments = parser.parse_args()
    with StandIn(arguments.apiKey, arguments.port) as standIn:
        print(json.dumps({"url": standIn.url}), flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
