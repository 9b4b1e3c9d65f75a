"""State changes: relative, in order, inside the schema, each on record."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from costs.schemas import LARGEST_CHANGE, Bucket, Effect
from costs.stateBucketing import checkBuckets, computeBucketWord
from simulations.engine.world import Variable
from simulations.engine.worldState import CausedEffect, applyEffects, clamp, formatValue
from simulations.packs.packFormat import Visibility

BUCKETS = (Bucket(name="low", fromValue=0, toValue=30), Bucket(name="high", fromValue=30, toValue=100))


def buildVariable(slug: str, kind: str, initial: Any, **changes: Any) -> Variable:
    facts = {
        "title": slug, "minimum": 0.0, "maximum": 100.0, "unit": "%", "better": "higher", "help": "",
        "buckets": (), "choices": (), "visibility": Visibility(),
    }  # fmt: skip
    return Variable(slug=slug, kind=kind, initial=initial, **{**facts, **changes})


VARIABLES = (
    buildVariable("approval", "number", 50.0, buckets=BUCKETS),
    buildVariable("debt", "number", -5.0, minimum=-10.0, maximum=-1.0),
    buildVariable("weather", "choice", "clear", choices=("clear", "rain", "storm")),
    buildVariable("war", "flag", False),
)
WORLD: Any = SimpleNamespace(variables={variable.slug: variable for variable in VARIABLES})
INITIAL = {variable.slug: variable.initial for variable in VARIABLES}

slugs = st.sampled_from([*INITIAL, "unknown"])
amounts = st.floats(-LARGEST_CHANGE, LARGEST_CHANGE)
effects = st.one_of(
    st.builds(Effect, variable=slugs, add=amounts),
    st.builds(
        Effect, variable=slugs, set=st.one_of(st.booleans(), st.sampled_from(["rain", "storm", "fog", ""]))
    ),
    st.builds(Effect, variable=slugs, toggle=st.just(True)),
)
states = st.fixed_dictionaries(
    {
        "approval": st.floats(0, 100),
        "debt": st.floats(-10, -1),
        "weather": st.sampled_from(["clear", "rain", "storm"]),
        "war": st.booleans(),
    }
)


def apply(state: dict, *changes: Effect, source: str = "intent") -> tuple[dict, list]:
    return applyEffects(WORLD, state, [CausedEffect(effect, source) for effect in changes])


@given(states, st.lists(effects, max_size=12))
def test_stateStaysWithinTheSchemaWhateverHappens(state, changes):
    before = dict(state)
    after, applied = apply(state, *changes)
    assert state == before
    assert set(after) == set(INITIAL)
    assert 0 <= after["approval"] <= 100
    assert -10 <= after["debt"] <= -1
    assert after["weather"] in ("clear", "rain", "storm")
    assert isinstance(after["war"], bool)
    for change in applied:
        assert isinstance(change.after, str) or math.isfinite(change.after)


@given(states, st.lists(effects, max_size=12))
def test_whatIsOnRecordLeadsFromBeforeToAfter(state, changes):
    after, applied = apply(state, *changes)
    walked = dict(state)
    for change in applied:
        assert walked[change.variable] == change.before != change.after
        walked[change.variable] = change.after
    assert walked == after


@given(states)
def test_nothingChangesNothing(state):
    assert apply(state) == (state, [])


def test_limitsHoldAtTheEndAndNotInBetween():
    after, applied = apply(INITIAL, Effect(variable="approval", add=80), Effect(variable="approval", add=-40))
    assert after["approval"] == 90
    assert [change.source for change in applied] == ["intent", "intent"]


def test_theLimitIsOnRecordAsACauseOfItsOwn():
    after, applied = apply(INITIAL, Effect(variable="approval", add=80), source="greta")
    assert after["approval"] == 100
    assert [(change.source, change.before, change.after) for change in applied] == [
        ("greta", 50, 130),
        ("limit", 130, 100),
    ]


def test_repeatedTenthsLeaveNoDust():
    after, _ = apply(INITIAL, *[Effect(variable="approval", add=0.1)] * 30)
    assert after["approval"] == 53.0


@pytest.mark.parametrize(
    "effect",
    [
        Effect(variable="unknown", add=1),
        Effect(variable="weather", add=1),
        Effect(variable="war", add=1),
        Effect(variable="approval", set="rain"),
        Effect(variable="approval", toggle=True),
        Effect(variable="weather", toggle=True),
        Effect(variable="weather", set="fog"),
        Effect(variable="weather", set=True),
        Effect(variable="war", set="true"),
    ],
)
def test_theWrongKindDoesNothing(effect):
    assert apply(INITIAL, effect) == (INITIAL, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"add": 1, "toggle": True},
        {"add": math.nan},
        {"add": math.inf},
        {"add": 2 * LARGEST_CHANGE},
        {"toggle": False},
        {"add": 1, "note": "more"},
    ],
)
def test_anEffectIsExactlyOneChangeOfAFiniteAmount(wrong):
    with pytest.raises(ValidationError):
        Effect(variable="approval", **wrong)


@given(st.floats(0, 100))
def test_everyNumberHasExactlyOneWord(value):
    assert computeBucketWord(value, BUCKETS) == ("low" if value < 30 else "high")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_clampGivesTheNearestAllowedValue(value):
    clamped = clamp(VARIABLES[0], value)
    assert 0 <= clamped <= 100
    assert clamped == value or (clamped == 0 and value < 0) or (clamped == 100 and value > 100)


def test_wordsForValues():
    assert computeBucketWord(100.0, BUCKETS) == "high"
    assert computeBucketWord(True, ()) == "true"
    assert computeBucketWord("storm", ()) == "storm"
    assert [formatValue(VARIABLES[0], value) for value in (True, False, "storm", 12.0, 12.34, -0.5)] == [
        "yes", "no", "storm", "12%", "12.3%", "-0.5%",
    ]  # fmt: skip


def test_bucketsWithGapsAreNamed():
    gap = (BUCKETS[0], Bucket(name="high", fromValue=40, toValue=100))
    assert checkBuckets(BUCKETS, 0, 100) == []
    assert "gap" in checkBuckets(gap, 0, 100)[0]
    assert "reach" in checkBuckets(BUCKETS, 0, 200)[0]
