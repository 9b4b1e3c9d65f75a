"""Prices: a golden table from usage to exact nano-dollars, and bounds that really bound."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costs.models import PriceRule
from costs.pricing import (
    OVERHEAD_TOKENS,
    Prices,
    computeBoundNano,
    computePriceNano,
    computeTotalInput,
    forgetPriceRules,
    getPrices,
    priceUsage,
)
from costs.usage import Usage
from pm6.exceptions import UnknownPriceError

HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

# Computed by hand from the published dollars per million tokens (times 1,000 is nano-dollars
# per token): input / output / cache read / 5 min write / 1 h write
#   haiku 5.5    0.10 / 0.50 / 0.01 / 0.125 / 0.20, above 100,000 input tokens five times that
#   sonnet 5.5   2 / 10 / 0.10 / 2.50 / 4
#   opus 5.5     4 / 20 / 0.20 / 5 / 8
#   haiku 4.5    1 / 5 / 0.10 / 1.25 / 2
#   opus 4.1     15 / 75 / 1.50 / 18.75 / 30
#   sonnet 4.5   3 / 15 / 0.30 / 3.75 / 6, above 200,000 it is 6 / 22.50 / 0.60 / 7.50 / 12
#   haiku 3      0.25 / 1.25 / 0.03 / 0.30 / 0.50
#   claude 2     8 / 24, without cache prices: 8 / 10 / 16
GOLDEN = [
    # model, (input, output, cache read, 5 min write, 1 h write), nano-dollars
    pytest.param(SONNET, (0, 0, 0, 0, 0), 0, id="nothing"),
    pytest.param(SONNET, (1, 0, 0, 0, 0), 2_000, id="sonnet, one token in"),
    pytest.param(SONNET, (0, 1, 0, 0, 0), 10_000, id="sonnet, one token out"),
    pytest.param(SONNET, (1_000, 200, 0, 0, 0), 4_000_000, id="sonnet, plain"),
    pytest.param(SONNET, (100, 200, 0, 2_000, 0), 7_200_000, id="sonnet, 5 min write"),
    pytest.param(SONNET, (100, 200, 0, 0, 2_000), 10_200_000, id="sonnet, 1 h write"),
    pytest.param(SONNET, (100, 200, 2_000, 0, 0), 2_400_000, id="sonnet, read at 0.05"),
    pytest.param(SONNET, (10, 20, 3_000, 400, 500), 3_520_000, id="sonnet, read and both writes"),
    pytest.param(SONNET, (1_000_000, 0, 0, 0, 0), 2_000_000_000, id="sonnet, a million in"),
    pytest.param(OPUS, (1_000, 200, 0, 0, 0), 8_000_000, id="opus, plain"),
    pytest.param(OPUS, (50, 300, 0, 4_096, 0), 26_680_000, id="opus, 5 min write"),
    pytest.param(OPUS, (50, 300, 0, 0, 4_096), 38_968_000, id="opus, 1 h write"),
    pytest.param(OPUS, (50, 300, 4_096, 0, 0), 7_019_200, id="opus, read at 0.05"),
    pytest.param(OPUS, (7, 11, 13, 17, 19), 487_600, id="opus, every class"),
    pytest.param(HAIKU, (1_000, 200, 0, 0, 0), 200_000, id="haiku, plain"),
    pytest.param(HAIKU, (3, 5, 4_097, 0, 0), 43_770, id="haiku, read at 0.1"),
    pytest.param(HAIKU, (3, 5, 0, 4_097, 0), 514_925, id="haiku, 5 min write"),
    pytest.param(HAIKU, (3, 5, 0, 0, 4_097), 822_200, id="haiku, 1 h write"),
    pytest.param(HAIKU, (100_000, 10, 0, 0, 0), 10_005_000, id="haiku, at the tier"),
    pytest.param(HAIKU, (100_001, 10, 0, 0, 0), 50_025_500, id="haiku, above the tier"),
    pytest.param(HAIKU, (1, 10, 100_000, 0, 0), 5_025_500, id="haiku, above the tier by reads"),
    pytest.param(HAIKU, (1, 0, 0, 50_000, 50_000), 81_250_500, id="haiku, above the tier by writes"),
    pytest.param(HAIKU, (0, 1_000_000, 0, 0, 0), 500_000_000, id="haiku, output is no tier"),
    pytest.param("claude-haiku-5-5-20261001", (1_000, 200, 0, 0, 0), 200_000, id="haiku, dated name"),
    pytest.param("claude-haiku-4-5", (1_000, 200, 300, 400, 500), 3_530_000, id="older haiku"),
    pytest.param("claude-opus-4-1", (3, 1, 1, 1, 1), 170_250, id="older opus"),
    pytest.param("claude-sonnet-4-5", (200_000, 1, 0, 0, 0), 600_015_000, id="older sonnet at its tier"),
    pytest.param("claude-sonnet-4-5", (200_000, 1, 1, 0, 0), 1_200_023_100, id="older sonnet above it"),
    pytest.param("claude-3-haiku", (1, 1, 1, 1, 1), 2_330, id="oldest haiku"),
    pytest.param("claude-2", (1, 1, 1, 1, 1), 66_000, id="without cache prices"),
]


@pytest.fixture(autouse=True)
def freshRules():
    forgetPriceRules()
    yield
    forgetPriceRules()


def buildUsage(counts: tuple[int, int, int, int, int]) -> Usage:
    return Usage(*counts)


def addRule(**changes) -> PriceRule:
    values = {
        "model": SONNET,
        "validFrom": datetime(2026, 11, 1, tzinfo=UTC),
        "inputNano": 1_500,
        "outputNano": 7_500,
        "cacheReadNano": 150,
        "cacheWrite5mNano": 1_875,
        "cacheWrite1hNano": 3_000,
    }
    rule = PriceRule.objects.create(**{**values, **changes})
    forgetPriceRules()
    return rule


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "counts", "expected"), GOLDEN)
def test_goldenTable(model, counts, expected):
    prices, nano = priceUsage(model, "anthropic", buildUsage(counts), AT)
    assert (nano, prices.source) == (expected, "genai-prices")


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "counts", "expected"), GOLDEN[:-1])
def test_agreesWithThePriceListsOwnSum(model, counts, expected):
    """Our classes don't overlap and theirs do: their input holds the cached tokens.

    Without the last line: the list has no cache prices for it, and ours are never below input.
    """
    import genai_prices

    usage = buildUsage(counts)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=computeTotalInput(usage),
            output_tokens=usage.outputTokens,
            cache_read_tokens=usage.cacheReadTokens,
            cache_write_tokens=usage.cacheWrite5mTokens + usage.cacheWrite1hTokens,
            cache_write_1h_tokens=usage.cacheWrite1hTokens,
        ),
        model,
        provider_id="anthropic",
        genai_request_timestamp=AT,
    )
    assert theirs.total_price * 1_000_000_000 == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model", ["claude-unknown-9", "", "gpt-5", "claude-opus-5-5-turbo", "claude-sonnet-9"]
)
def test_unknownModelIsRefused(model):
    with pytest.raises(UnknownPriceError) as caught:
        getPrices(model, "anthropic")
    assert caught.value.details == {"model": model}
    with pytest.raises(UnknownPriceError):
        computeBoundNano(model, "anthropic", 10, 10)


@pytest.mark.parametrize("kind", ["local", "scripted"])
def test_localAndScriptedAreAnExplicitZero(kind):
    prices, nano = priceUsage("SmolLM2-135M-Instruct", kind, Usage(10_000, 500))
    assert (nano, prices.source, prices.asDict()["inputNano"]) == (0, "zero", 0)
    assert computeBoundNano("whatever", kind, 10**6, 10**6) == 0


@pytest.mark.django_db
def test_priceRuleGoesFirstFromItsDay():
    addRule()
    usage = Usage(1_000, 200, 40, 30, 20)
    before = priceUsage(SONNET, "anthropic", usage, datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    after = priceUsage(SONNET, "anthropic", usage, datetime(2026, 11, 1, tzinfo=UTC))
    assert (before[1], before[0].source) == (4_159_000, "genai-prices")
    assert (after[1], after[0].source) == (3_122_250, "rule")


@pytest.mark.django_db
def test_latestRuleThatIsValidHolds():
    addRule()
    addRule(validFrom=datetime(2026, 11, 10, tzinfo=UTC), inputNano=9)
    addRule(validFrom=datetime(2026, 12, 24, tzinfo=UTC), inputNano=1)
    addRule(model=OPUS, validFrom=datetime(2026, 11, 15, tzinfo=UTC), inputNano=3)
    assert getPrices(SONNET, "anthropic", at=AT).inputNano == 9


@pytest.mark.django_db
def test_ruleMakesAnUnknownModelPayable():
    addRule(model="my-endpoint-model")
    assert priceUsage("my-endpoint-model", "anthropic", Usage(2, 1), AT)[1] == 10_500


@pytest.mark.django_db
def test_rulesAreReadOnceForManyCalls(django_assert_num_queries):
    getPrices(SONNET, "anthropic")
    with django_assert_num_queries(0):
        for _ in range(5):
            getPrices(SONNET, "anthropic")
            getPrices("x", "local")


def test_fractionsAreRoundedUpOnceAtTheEnd():
    third = Fraction(1, 3)
    prices = Prices(third, third, third, third, third, "rule")
    assert computePriceNano(prices, Usage(1, 1, 1)) == 1
    assert computePriceNano(prices, Usage(1, 1, 1, 1)) == 2
    half = Prices(*[Fraction(1, 2)] * 5, "rule")
    assert half.asDict()["inputNano"] == "0.5"


@pytest.mark.django_db
def test_frozenPricesAreWholeNumbersWherePossible():
    assert getPrices(OPUS, "anthropic", at=AT).asDict() == {
        "inputNano": 4_000,
        "outputNano": 20_000,
        "cacheReadNano": 200,
        "cacheWrite5mNano": 5_000,
        "cacheWrite1hNano": 8_000,
        "source": "genai-prices",
    }


@pytest.mark.django_db
def test_boundByHand():
    assert OVERHEAD_TOKENS == 640
    # 1,000 bytes and the overhead at an hour's write, 200 tokens out.
    assert computeBoundNano(SONNET, "anthropic", 1_000, 200, AT) == 1_640 * 4_000 + 200 * 10_000
    # 99,360 bytes and the overhead are 100,000: one byte more reaches the dear tier.
    assert computeBoundNano(HAIKU, "anthropic", 99_360, 1, AT) == 100_000 * 200 + 500
    assert computeBoundNano(HAIKU, "anthropic", 99_361, 1, AT) == 100_001 * 1_000 + 2_500


@pytest.mark.django_db
class TestBound:
    """Whatever a call uses within its bytes and its limit, it costs no more than its bound."""

    @given(
        st.sampled_from([HAIKU, SONNET, OPUS, "claude-sonnet-4-5", "claude-2"]),
        st.lists(st.integers(0, 150_000), min_size=4, max_size=4),
        st.integers(0, 20_000),
        st.integers(0, 500),
    )
    def test_isNeverBelowThePrice(self, model, classes, output, spare):
        usage = Usage(classes[0], output, *classes[1:])
        inputBytes = max(0, computeTotalInput(usage) - OVERHEAD_TOKENS)
        bound = computeBoundNano(model, "anthropic", inputBytes + spare, output + spare, AT)
        assert priceUsage(model, "anthropic", usage, AT)[1] <= bound


def test_priceListIsLoadedByPricedCallsOnly():
    code = (
        "import django, sys; django.setup();"
        "import costs.pricing, costs.costTracker, costs.budgets, costs.modelRouter, costs.reports;"
        "costs.pricing.getPrices('m', 'local');"
        "costs.costTracker.hitLine(simulationId=1, mode='live', savedNano=5);"
        "sys.exit('genai_prices' in sys.modules)"
    )
    env = {"DJANGO_SETTINGS_MODULE": "pm6site.settings", "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0
