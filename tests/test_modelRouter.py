"""Which models may answer, and what their prompt caches take."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from costs.modelRouter import buildModelLadder
from costs.models import PriceRule
from costs.pricing import forgetPriceRules
from costs.promptCache import LARGEST_MINIMUM, chooseLifetime, getMinimumTokens, isCacheable

HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"


@pytest.fixture(autouse=True)
def ladder(settings):
    settings.PM6_MODEL_LADDER = [OPUS, SONNET, HAIKU]
    forgetPriceRules()
    yield
    forgetPriceRules()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (OPUS, (OPUS, SONNET, HAIKU)),
        (SONNET, (SONNET, HAIKU)),
        (HAIKU, (HAIKU,)),
    ],
)
def test_ladderStepsDownFromTheWantedModel(wanted, expected):
    assert buildModelLadder(wanted) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("claude-opus-4-1", ("claude-opus-4-1", OPUS, SONNET, HAIKU)),
        # Three dollars a million: dearer than Sonnet 5.5, cheaper than Opus 5.5.
        ("claude-sonnet-4-5", ("claude-sonnet-4-5", SONNET, HAIKU)),
        ("claude-haiku-4-5", ("claude-haiku-4-5", HAIKU)),
        # As dear as Sonnet 5.5: that is no step down.
        ("claude-sonnet-5", ("claude-sonnet-5", HAIKU)),
        ("claude-nobody-knows", ("claude-nobody-knows",)),
    ],
)
def test_modelOutsideTheLadderIsFollowedByCheaperOnes(wanted, expected):
    assert buildModelLadder(wanted) == expected


@pytest.mark.django_db
def test_priceRulesCount():
    free = {"outputNano": 1, "cacheReadNano": 1, "cacheWrite5mNano": 1, "cacheWrite1hNano": 1}
    PriceRule.objects.create(model="house", validFrom=datetime(2026, 1, 1, tzinfo=UTC), inputNano=150, **free)
    assert buildModelLadder("house") == ("house", HAIKU)


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        (OPUS, 512),
        (SONNET, 512),
        (HAIKU, 512),
        ("claude-haiku-5-5-20261001", 512),
        ("claude-haiku-5-5@20261001", 512),
        ("claude-haiku-4-5", 4096),
        ("claude-sonnet-4-6", 2048),
        ("claude-opus-5-9", LARGEST_MINIMUM),
        ("unknown", LARGEST_MINIMUM),
    ],
)
def test_minimumPrefix(model, minimum):
    assert getMinimumTokens(model) == minimum
    assert isCacheable(model, minimum)
    assert not isCacheable(model, minimum - 1)


def test_lifetime():
    assert chooseLifetime() == "5m"
