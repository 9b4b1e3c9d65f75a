"""What the events of one streamed reply add up to: its text, its usage, how it ended."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from agents.llm.client import Finished, ModelRequest, PartialUsage, StopReason
from costs.usage import Usage
from pm6.exceptions import ModelUnavailableError

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "maxTokens",
    "refusal": "refusal",
    "pause_turn": "paused",
    "model_context_window_exceeded": "contextExceeded",
}

BYTES_PER_OUTPUT_TOKEN = 3
BYTES_PER_INPUT_TOKEN = 4


def countUp(size: int, unit: int) -> int:
    """Returns how many units hold `size`, the last one perhaps not full."""
    return -(-size // unit)


def readUsage(usage: Any) -> Usage:
    """Returns a usage object of the Messages API in our classes.

    An endpoint that doesn't split cache writes by lifetime means the default, five minutes.
    """
    split = usage.cache_creation
    written = usage.cache_creation_input_tokens or 0
    return Usage(
        inputTokens=int(usage.input_tokens),
        outputTokens=int(usage.output_tokens),
        cacheReadTokens=usage.cache_read_input_tokens or 0,
        cacheWrite5mTokens=split.ephemeral_5m_input_tokens if split else written,
        cacheWrite1hTokens=split.ephemeral_1h_input_tokens if split else 0,
    )


class StreamReading:
    """Takes the raw events of one call and keeps `partial` up to date with them.

    Args:
        request: The call, for the estimate of one that nothing came back from.
        partial: Where a cancelled caller still reads what was used.
    """

    def __init__(self, request: ModelRequest, partial: PartialUsage):
        self.request = request
        self.partial = partial
        self.model = request.model
        self.stopReason = ""
        self.complete = False
        self._texts: list[str] = []
        self._bytesReceived = 0
        self._began = False
        self._started = time.perf_counter()
        self._firstTokenMs = 0.0

    def take(self, event: Any) -> str:
        """Takes one event and returns the text that it adds.

        Raises:
            ModelUnavailableError: The event is not of the form that the protocol promises.
        """
        try:
            return self._take(event)
        except (AttributeError, TypeError, ValueError):
            raise buildMalformed("an event that can't be read") from None

    def finish(self) -> Finished:
        """Returns the end of the call.

        Raises:
            ModelUnavailableError: The stream ended before it said so.
        """
        if not (self.complete and self.stopReason):
            raise buildMalformed("no end")
        return Finished(
            text="".join(self._texts),
            # An unknown reason is treated like a pause: charged, neither stored nor tried again.
            stop=STOP_REASONS.get(self.stopReason, "paused"),
            usage=self.partial.usage,
            model=self.model,
            requestId=self.partial.requestId,
            firstTokenMs=self._firstTokenMs,
            totalMs=self._elapsedMs(),
        )

    def settle(self, *, abandoned: bool) -> None:
        """Estimates what was used when the final count never came.

        Args:
            abandoned: Whether we left while the provider was at work. Then even a call without
                a first event is taken to have cost its input; when the provider failed by
                itself, it has not.
        """
        if self.stopReason:
            return
        usage = self.partial.usage
        if self._began:
            received = countUp(self._bytesReceived, BYTES_PER_OUTPUT_TOKEN)
            output = max(usage.outputTokens, received)
            self.partial.usage = replace(usage, outputTokens=output, estimated=True)
        elif abandoned:
            tokens = countUp(self.request.countBytes(), BYTES_PER_INPUT_TOKEN)
            self.partial.usage = Usage(inputTokens=tokens, estimated=True)

    def _take(self, event: Any) -> str:
        match event.type:
            case "message_start":
                self._takeStart(event.message)
            case "content_block_start":
                return self._takeText(getattr(event.content_block, "text", ""))
            case "content_block_delta":
                return self._takeDelta(event.delta)
            case "message_delta":
                self._takeEnd(event)
            case "message_stop":
                self.complete = True
        return ""

    def _takeStart(self, message: Any) -> None:
        self.partial.usage = readUsage(message.usage)
        self.partial.requestId = self.partial.requestId or message.id
        self.model = message.model or self.model
        self._began = True

    def _takeDelta(self, delta: Any) -> str:
        if delta.type == "thinking_delta":
            # Never shown, but billed like text.
            self._bytesReceived += len(delta.thinking.encode())
            return ""
        return self._takeText(delta.text) if delta.type == "text_delta" else ""

    def _takeText(self, text: str) -> str:
        if text and not self._texts:
            self._firstTokenMs = self._elapsedMs()
        if text:
            self._texts.append(text)
            self._bytesReceived += len(text.encode())
        return text

    def _takeEnd(self, event: Any) -> None:
        output = int(event.usage.output_tokens)
        self.partial.usage = replace(self.partial.usage, outputTokens=output)
        self.stopReason = event.delta.stop_reason or self.stopReason

    def _elapsedMs(self) -> float:
        return (time.perf_counter() - self._started) * 1000


def buildMalformed(what: str) -> ModelUnavailableError:
    return ModelUnavailableError(f"The model's answer has {what}.", details={"reason": "malformedStream"})
