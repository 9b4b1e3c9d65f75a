"""What a token costs, and what a call cost or can cost at most, in nano-dollars.

Prices per token are exact fractions; a call is rounded up once, at its end. `Usage` keeps its
classes apart, as Anthropic's usage object does: `inputTokens` holds no cached token. The price
list means all input by "input tokens", so only a tier is chosen by the sum of the classes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from django.utils import timezone

from costs.models import PriceRule
from costs.usage import Usage
from pm6.exceptions import UnknownPriceError

PriceSource = Literal["genai-prices", "rule", "zero"]

ZERO_KINDS = frozenset({"local", "scripted"})
PROVIDER = "anthropic"
RULES_SECONDS = 30.0

# What a provider adds to the text of a request: the frame of each message and, where tools are
# offered, their system prompt (at most 588 tokens at the time of writing).
OVERHEAD_TOKENS = 640

# Dollars per million tokens, times this, are nano-dollars per token.
NANO_PER_LISTED = 1000

# Anthropic's multiples of the input price, for listed models without cache prices.
WRITE_5M_FACTOR = Fraction(5, 4)
WRITE_1H_FACTOR = Fraction(2)


@dataclass(frozen=True, slots=True)
class Prices:
    """Nano-dollars per token of each class.

    Attributes:
        source: Where they come from: the shipped list, a price rule, or a kind that is free.
    """

    inputNano: Fraction
    outputNano: Fraction
    cacheReadNano: Fraction
    cacheWrite5mNano: Fraction
    cacheWrite1hNano: Fraction
    source: PriceSource

    def asDict(self) -> dict[str, Any]:
        """Returns the prices as they are frozen on a ledger line."""
        return {
            "inputNano": _showFraction(self.inputNano),
            "outputNano": _showFraction(self.outputNano),
            "cacheReadNano": _showFraction(self.cacheReadNano),
            "cacheWrite5mNano": _showFraction(self.cacheWrite5mNano),
            "cacheWrite1hNano": _showFraction(self.cacheWrite1hNano),
            "source": self.source,
        }

    @property
    def dearestInputNano(self) -> Fraction:
        return max(self.inputNano, self.cacheReadNano, self.cacheWrite5mNano, self.cacheWrite1hNano)


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Prices of a call whose total input is above `above` tokens."""

    above: int
    prices: Prices


ZERO = Prices(Fraction(0), Fraction(0), Fraction(0), Fraction(0), Fraction(0), "zero")

_rules: tuple[float, tuple[PriceRule, ...]] | None = None


def getPrices(model: str, clientKind: str, totalInputTokens: int = 0, at: datetime | None = None) -> Prices:
    """Returns the prices of one call.

    Args:
        model: Name as in requests.
        clientKind: Kind of the client; local and scripted ones cost nothing.
        totalInputTokens: All input of the call, cached or not; it chooses the tier, and the
            tier's price holds for all of the call's tokens.
        at: The moment of the call; now when left out.

    Raises:
        UnknownPriceError: Neither a price rule nor the price list knows the model.
    """
    tiers = _getTiers(model, clientKind, at or timezone.now())
    return [tier.prices for tier in tiers if totalInputTokens > tier.above][-1]


def computePriceNano(prices: Prices, usage: Usage) -> int:
    """Returns what the usage costs, rounded up once."""
    exact = (
        usage.inputTokens * prices.inputNano
        + usage.outputTokens * prices.outputNano
        + usage.cacheReadTokens * prices.cacheReadNano
        + usage.cacheWrite5mTokens * prices.cacheWrite5mNano
        + usage.cacheWrite1hTokens * prices.cacheWrite1hNano
    )
    return math.ceil(exact)


def computeTotalInput(usage: Usage) -> int:
    """Returns all input tokens of a call, cached or not."""
    return usage.inputTokens + usage.cacheReadTokens + usage.cacheWrite5mTokens + usage.cacheWrite1hTokens


def priceUsage(model: str, clientKind: str, usage: Usage, at: datetime | None = None) -> tuple[Prices, int]:
    """Returns the prices of a finished call and what it cost in nano-dollars."""
    prices = getPrices(model, clientKind, computeTotalInput(usage), at)
    return prices, computePriceNano(prices, usage)


def computeBoundNano(
    model: str, clientKind: str, inputBytes: int, maxTokens: int, at: datetime | None = None
) -> int:
    """Returns what a call can cost at most.

    A token is a byte at least, so every byte counts as a token of the dearest input class, in
    the dearest tier that so much input can reach; `OVERHEAD_TOKENS` stand for what the provider
    adds.

    Args:
        model: Name as in requests.
        clientKind: Kind of the client.
        inputBytes: UTF-8 bytes of everything sent.
        maxTokens: Upper bound of the output.
        at: The moment of the call; now when left out.
    """
    most = inputBytes + OVERHEAD_TOKENS
    tiers = [tier for tier in _getTiers(model, clientKind, at or timezone.now()) if most > tier.above]
    dearestInput = max(tier.prices.dearestInputNano for tier in tiers)
    dearestOutput = max(tier.prices.outputNano for tier in tiers)
    return math.ceil(most * dearestInput + maxTokens * dearestOutput)


def forgetPriceRules() -> None:
    """Makes this process read the price rules anew; others do so within `RULES_SECONDS`."""
    global _rules
    _rules = None


def _getTiers(model: str, clientKind: str, at: datetime) -> tuple[PriceTier, ...]:
    if clientKind in ZERO_KINDS:
        return (PriceTier(-1, ZERO),)
    rule = _findRule(model, at)
    if rule is not None:
        return (PriceTier(-1, _readRule(rule)),)
    return _readTiers(model, _getListed(model, at))


def _findRule(model: str, at: datetime) -> PriceRule | None:
    valid = [rule for rule in _loadRules() if rule.model == model and rule.validFrom <= at]
    return max(valid, key=lambda rule: rule.validFrom, default=None)


def _loadRules() -> tuple[PriceRule, ...]:
    """Returns all rules; the few there are stay in the process for half a minute."""
    global _rules
    now = time.monotonic()
    if _rules is None or now - _rules[0] > RULES_SECONDS:
        _rules = (now, tuple(PriceRule.objects.all()))
    return _rules[1]


def _readRule(rule: PriceRule) -> Prices:
    return Prices(
        inputNano=Fraction(rule.inputNano),
        outputNano=Fraction(rule.outputNano),
        cacheReadNano=Fraction(rule.cacheReadNano),
        cacheWrite5mNano=Fraction(rule.cacheWrite5mNano),
        cacheWrite1hNano=Fraction(rule.cacheWrite1hNano),
        source="rule",
    )


def _getListed(model: str, at: datetime) -> Any:
    """Returns the price list's entry for a model.

    The list is 1.6 MB of Python, so it is loaded by the first call that is priced: a process
    that only serves hits never pays for it.
    """
    import genai_prices

    try:
        priced = genai_prices.calc_price(
            genai_prices.Usage(), model, provider_id=PROVIDER, genai_request_timestamp=at
        )
    except LookupError as error:
        raise _refuse(model) from error
    return priced.model_price


def _readTiers(model: str, listed: Any) -> tuple[PriceTier, ...]:
    names = ("input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h")
    fields = {name: getattr(listed, f"{name}_mtok", None) for name in names}
    starts = {tier.start for value in fields.values() for tier in getattr(value, "tiers", ())}
    return tuple(
        PriceTier(above, _readListed(model, {name: _pick(value, above) for name, value in fields.items()}))
        for above in (-1, *sorted(starts))
    )


def _pick(value: Any, above: int) -> Fraction | None:
    """Returns the listed price of one class, in nano-dollars a token, in the tier above `above`."""
    if value is None:
        return None
    dollars: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if tier.start <= above:
            dollars = tier.price
    return Fraction(dollars) * NANO_PER_LISTED


def _readListed(model: str, listed: dict[str, Fraction | None]) -> Prices:
    inputNano, outputNano = listed["input"], listed["output"]
    if not inputNano or not outputNano:
        # A listed zero is a gap in the list, and would void every limit.
        raise _refuse(model)
    write5m = listed["cache_write_5m"] or listed["cache_write"] or inputNano * WRITE_5M_FACTOR
    return Prices(
        inputNano=inputNano,
        outputNano=outputNano,
        cacheReadNano=listed["cache_read"] or inputNano,
        cacheWrite5mNano=write5m,
        cacheWrite1hNano=listed["cache_write_1h"] or inputNano * WRITE_1H_FACTOR,
        source="genai-prices",
    )


def _refuse(model: str) -> UnknownPriceError:
    return UnknownPriceError(f"The price of the model '{model}' is not known.", details={"model": model})


def _showFraction(value: Fraction) -> int | str:
    if value.denominator == 1:
        return value.numerator
    return str(Decimal(value.numerator) / Decimal(value.denominator))
