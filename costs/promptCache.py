"""Whether the provider's prompt cache takes a prefix, and for how long it is kept.

The minimum number of tokens that Anthropic caches depends on the model and does not fall from
one generation to the next: see "Cache limitations" in its page on prompt caching
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching), read in the version of
October 2026. Below the minimum there is neither a discount nor a warning: the prefix is simply
not cached. A model that isn't in the table is taken to have the largest minimum, so that
"cacheable" is never said in vain; the usage of real calls shows what the cache really did.
"""

from __future__ import annotations

import re
from typing import Literal

Lifetime = Literal["5m", "1h"]

LARGEST_MINIMUM = 4096
MINIMUM_TOKENS = {
    "claude-opus-5-5": 512,
    "claude-sonnet-5-5": 512,
    "claude-haiku-5-5": 512,
    "claude-fable-5-1": 512,
    "claude-fable-5": 512,
    "claude-mythos-5-1": 512,
    "claude-mythos-5": 512,
    "claude-opus-5": 512,
    "claude-sonnet-5": 1024,
    "claude-opus-4-8": 1024,
    "claude-opus-4-7": 2048,
    "claude-opus-4-6": 4096,
    "claude-opus-4-5": 4096,
    "claude-opus-4-1": 1024,
    # The page says 1,024; users measured that nothing below 2,048 is cached.
    "claude-sonnet-4-6": 2048,
    "claude-sonnet-4-5": 1024,
    "claude-haiku-4-5": 4096,
}

DATE = re.compile(r"[-@]\d{8}$")


def getMinimumTokens(model: str) -> int:
    """Returns the smallest prefix that the model caches; dated names count as their family."""
    return MINIMUM_TOKENS.get(DATE.sub("", model), LARGEST_MINIMUM)


def isCacheable(model: str, tokens: int) -> bool:
    """Returns whether a prefix of so many tokens is long enough to be cached."""
    return tokens >= getMinimumTokens(model)


def chooseLifetime() -> Lifetime:
    """Returns how long a cached prefix is kept.

    Five minutes: each read renews it for nothing, and an hour's write costs twice the input
    where five minutes' costs 1.25 times.
    """
    return "5m"
