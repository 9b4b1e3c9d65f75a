"""What a model call used, in the classes that are priced apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; the classes don't overlap, as in Anthropic's usage object.

    Attributes:
        inputTokens: Input that was neither read from nor written to the prompt cache.
        outputTokens: Output.
        cacheReadTokens: Input read from the prompt cache.
        cacheWrite5mTokens: Input written to it for five minutes.
        cacheWrite1hTokens: Input written to it for an hour.
        estimated: True when the call ended early and the output was counted from its text.
    """

    inputTokens: int = 0
    outputTokens: int = 0
    cacheReadTokens: int = 0
    cacheWrite5mTokens: int = 0
    cacheWrite1hTokens: int = 0
    estimated: bool = False
