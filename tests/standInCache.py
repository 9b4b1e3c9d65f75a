"""The prompt cache as the Messages API keeps it, and the tokens that the stand-in counts."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

BYTES_PER_INPUT_TOKEN = 4
BYTES_PER_OUTPUT_TOKEN = 3
LIFETIMES = {"5m": 300.0, "1h": 3600.0}
LOOKBACK_BLOCKS = 20
MOST_BREAKPOINTS = 4

# The shortest prefix that is cached at all; a shorter one is silently not. First match counts.
MINIMUM_TOKENS = [
    (r"claude-((haiku|sonnet|opus)-5-5|(opus|fable|mythos)-5)", 512),
    (r"claude-opus-4-7|claude-sonnet-4-6", 2048),
    (r"claude-haiku-4-5|claude-opus-4-[56]", 4096),
    (r"", 1024),
]


def findMinimumTokens(model: str) -> int:
    return next(tokens for pattern, tokens in MINIMUM_TOKENS if re.match(pattern, model))


def countUp(size: int, unit: int) -> int:
    return -(-size // unit)


@dataclass(frozen=True)
class Block:
    """One piece of a prompt in the order of the wire; `ttl` where a cached prefix ends."""

    place: str
    text: str
    ttl: str = ""


@dataclass(frozen=True)
class CachePlan:
    """What one request reads and writes; the entries come to be when its response begins."""

    inputTokens: int
    cacheReadTokens: int = 0
    cacheWrite5mTokens: int = 0
    cacheWrite1hTokens: int = 0
    entries: tuple[tuple[str, str], ...] = ()


@dataclass
class PromptCache:
    """Entries by model and exact prefix, each with its lifetime."""

    minimumTokens: dict[str, int] = field(default_factory=dict)
    _expiries: dict[str, tuple[str, float]] = field(default_factory=dict)

    def plan(self, model: str, blocks: list[Block], now: float) -> CachePlan:
        """Returns how a request's input is billed, and renews what it reads."""
        tokens = countPrefixes(blocks)
        keys = buildKeys(model, blocks)
        minimum = self.minimumTokens.get(model, findMinimumTokens(model))
        stops = [i for i, block in enumerate(blocks) if block.ttl and tokens[i] >= minimum]
        read = self._findRead(keys, stops, now)
        readTokens = tokens[read] if read >= 0 else 0
        written = [i for i in stops if i > read]
        hourEnd = max((tokens[i] for i in written if blocks[i].ttl == "1h"), default=readTokens)
        lastEnd = tokens[written[-1]] if written else readTokens
        return CachePlan(
            inputTokens=tokens[-1] - lastEnd,
            cacheReadTokens=readTokens,
            cacheWrite5mTokens=lastEnd - hourEnd,
            cacheWrite1hTokens=hourEnd - readTokens,
            entries=tuple((keys[i], blocks[i].ttl) for i in written),
        )

    def write(self, plan: CachePlan, now: float) -> None:
        for key, ttl in plan.entries:
            self._expiries[key] = (ttl, now + LIFETIMES[ttl])

    def _findRead(self, keys: list[str], stops: list[int], now: float) -> int:
        """Returns the end of the longest cached prefix, -1 without one."""
        inReach = {i for stop in stops for i in range(max(0, stop - LOOKBACK_BLOCKS), stop + 1)}
        for i in sorted(inReach, reverse=True):
            ttl, expiry = self._expiries.get(keys[i], ("", 0.0))
            if expiry > now:
                self._expiries[keys[i]] = (ttl, now + LIFETIMES[ttl])
                return i
        return -1


def countPrefixes(blocks: list[Block]) -> list[int]:
    """Returns the tokens up to each block's end; differences are what the classes are billed."""
    size, counts = 0, []
    for block in blocks:
        size += len(block.text.encode())
        counts.append(countUp(size, BYTES_PER_INPUT_TOKEN))
    return counts


def buildKeys(model: str, blocks: list[Block]) -> list[str]:
    digest = hashlib.sha256(model.encode())
    keys = []
    for block in blocks:
        digest.update(json.dumps([block.place, block.text]).encode())
        keys.append(digest.hexdigest())
    return keys


def buildBlocks(body: dict[str, Any]) -> list[Block]:
    """Returns a request's prompt in the order that counts: tools, system, messages."""
    blocks = [Block("tool", json.dumps(withoutCache(tool)), readTtl(tool)) for tool in body.get("tools", [])]
    blocks += [Block("system", item["text"], readTtl(item)) for item in listContent(body.get("system", []))]
    for message in body["messages"]:
        blocks += [
            Block(message["role"], item["text"], readTtl(item)) for item in listContent(message["content"])
        ]
    return blocks


def listContent(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def withoutCache(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "cache_control"}


def readTtl(item: dict[str, Any]) -> str:
    control = item.get("cache_control")
    return str(control.get("ttl", "5m")) if control else ""
