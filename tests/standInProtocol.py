"""What the stand-in is told, checks and says: the Messages API's bodies and events."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from tests.standInCache import (
    BYTES_PER_OUTPUT_TOKEN,
    LIFETIMES,
    MOST_BREAKPOINTS,
    CachePlan,
    buildBlocks,
    countUp,
    listContent,
)

MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass
class Behaviour:
    """What happens to a request.

    Attributes:
        match: Only to requests with this text in them; empty means any.
        times: To how many requests; None means all from now on.
        text: The reply; a sentence of the stand-in's own when left out.
        status: An HTTP error instead of a reply, with `retryAfter` or `retryAfterMs`.
        message: What the error says.
        stop: The stop reason, such as `refusal`.
        gate: The response doesn't begin before `release(gate)`.
        hang: It never begins.
        drop: The connection is closed instead.
        delaySeconds: Waited before each chunk.
        pauseAfter: After so many chunks nothing comes until `release(pauseGate)`.
        breakAfter: After so many chunks the connection is reset.
        errorAfter: After so many chunks comes an error event of type `errorType`.
        endAfter: After so many chunks the stream ends as if it were complete.
        garbageAfter: After so many chunks comes an event that isn't JSON.
    """

    match: str = ""
    times: int | None = 1
    text: str | None = None
    status: int = 200
    message: str = "As told."
    retryAfter: float | None = None
    retryAfterMs: float | None = None
    stop: str = "end_turn"
    gate: str = ""
    hang: bool = False
    drop: bool = False
    delaySeconds: float = 0.0
    pauseAfter: int | None = None
    pauseGate: str = ""
    breakAfter: int | None = None
    errorAfter: int | None = None
    errorType: str = "overloaded_error"
    endAfter: int | None = None
    garbageAfter: int | None = None


@dataclass
class BillEntry:
    """What one request cost, in the classes of the usage object.

    `outcome`: completed, broken (by us), left (by the client) or abandoned (left before the
    response began; billed for its input at the full price).
    """

    requestId: str
    model: str
    inputTokens: int = 0
    outputTokens: int = 0
    cacheReadTokens: int = 0
    cacheWrite5mTokens: int = 0
    cacheWrite1hTokens: int = 0
    outcome: str = ""
    text: str = ""


class RequestError(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


def checkBody(body: Any, counting: bool = False) -> None:
    """Refuses what the API refuses, and what pm6 must never send."""
    if not isinstance(body, dict):
        raise RequestError(400, "The body is not a JSON object.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise RequestError(400, "model: field required")
    if not counting and (not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1):
        raise RequestError(400, "max_tokens: must be a whole number of at least 1")
    gone = body.keys() & {"temperature", "top_p", "top_k"}
    if gone:
        raise RequestError(400, f"{', '.join(sorted(gone))}: not supported by this model")
    checkThinking(body)
    checkMessages(body.get("messages"))
    for item in listContent(body.get("system", [])):
        checkTextBlock("system", item)
    checkBreakpoints(body)


def checkThinking(body: dict[str, Any]) -> None:
    kind = body.get("thinking", {}).get("type")
    if kind == "disabled" and re.match(r"claude-(opus|sonnet)-5-5|claude-(fable|mythos)-5", body["model"]):
        raise RequestError(400, '"thinking.type.disabled" is not supported for this model.')
    if kind == "between_tools" and not body["model"].startswith("claude-sonnet-5-5"):
        raise RequestError(400, '"thinking.type.between_tools" is not supported for this model.')


def checkMessages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "messages: at least one message is required")
    for number, message in enumerate(messages):
        if message.get("role") != ("assistant" if number % 2 else "user"):
            raise RequestError(400, "messages: roles must alternate and begin with the user")
        for item in listContent(message.get("content", "")):
            checkTextBlock(f"messages.{number}", item)
    if messages[-1]["role"] != "user":
        raise RequestError(400, "messages: the last one must be the user's")


def checkTextBlock(place: str, item: dict[str, Any]) -> None:
    if item.get("type") != "text" or not isinstance(item.get("text"), str) or not item["text"].strip():
        raise RequestError(400, f"{place}: text content blocks must be non-empty")
    if item.keys() - {"type", "text", "cache_control"}:
        raise RequestError(400, f"{place}: unknown field in a text block")
    control = item.get("cache_control")
    if control is not None and (
        control.get("type") != "ephemeral" or control.get("ttl", "5m") not in LIFETIMES
    ):
        raise RequestError(400, f"{place}: invalid cache_control")


def checkBreakpoints(body: dict[str, Any]) -> None:
    ttls = [block.ttl for block in buildBlocks(body) if block.ttl]
    if len(ttls) > MOST_BREAKPOINTS:
        raise RequestError(400, f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided.")
    if ttls != sorted(ttls):
        raise RequestError(400, "A 1h cache_control block must not come after a 5m one.")


def buildEntry(requestId: str, body: dict[str, Any], plan: CachePlan) -> BillEntry:
    return BillEntry(
        requestId=requestId,
        model=body["model"],
        inputTokens=plan.inputTokens,
        outputTokens=1,
        cacheReadTokens=plan.cacheReadTokens,
        cacheWrite5mTokens=plan.cacheWrite5mTokens,
        cacheWrite1hTokens=plan.cacheWrite1hTokens,
    )


def charge(entry: BillEntry, said: str) -> None:
    """Adds text that was sent; even an empty reply has a token."""
    entry.text += said
    entry.outputTokens = max(1, countUp(len(entry.text.encode()), BYTES_PER_OUTPUT_TOKEN))


def buildUsage(entry: BillEntry) -> dict[str, Any]:
    return {
        "input_tokens": entry.inputTokens,
        "output_tokens": entry.outputTokens,
        "cache_read_input_tokens": entry.cacheReadTokens,
        "cache_creation_input_tokens": entry.cacheWrite5mTokens + entry.cacheWrite1hTokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": entry.cacheWrite5mTokens,
            "ephemeral_1h_input_tokens": entry.cacheWrite1hTokens,
        },
        "service_tier": "standard",
    }


def buildMessage(entry: BillEntry) -> dict[str, Any]:
    return {
        "id": entry.requestId.replace("req", "msg"),
        "type": "message",
        "role": "assistant",
        "model": entry.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": buildUsage(entry),
    }


def buildDefaultReply(body: dict[str, Any]) -> str:
    """Returns two sentences, the same for the same last message."""
    asked = listContent(body["messages"][-1]["content"])[-1]["text"]
    number = zlib.crc32(asked.encode()) % 10_000
    return f"I have thought it over, and my answer is number {number}. We shall see what comes of it."


def cutToTokens(text: str, maxTokens: int) -> str:
    return text.encode()[: maxTokens * BYTES_PER_OUTPUT_TOKEN].decode(errors="ignore")


def buildError(status: int, message: str, requestId: str) -> dict[str, Any]:
    kind = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": requestId}


def buildRetryHeaders(behaviour: Behaviour) -> dict[str, str]:
    headers = {}
    if behaviour.retryAfter is not None:
        headers["retry-after"] = f"{behaviour.retryAfter:g}"
    if behaviour.retryAfterMs is not None:
        headers["retry-after-ms"] = f"{behaviour.retryAfterMs:g}"
    return headers


def buildModelList() -> dict[str, Any]:
    rows = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-09-01T00:00:00Z"}
        for name in MODELS
    ]
    return {"data": rows, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}


def buildChunk(name: str, data: dict[str, Any]) -> bytes:
    return wrapChunk(f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode())


def wrapChunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"
