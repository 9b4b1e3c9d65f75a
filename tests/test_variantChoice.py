"""Which stored reply is served: a pure function, the same for every order and every process."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from costs.responseCache import StoredVariant, judgeStanding
from costs.signatureCompute import computeDraw
from costs.variantChoice import chooseVariant, pickWeighted


def build(number: int, **changes: Any) -> StoredVariant:
    facts: dict[str, Any] = {
        "digest": "d", "mask": frozenset(), "specificity": 3, "text": f"reply {number}", "status": "approved",
        "condition": "", "weight": 1.0, "effects": (), "agentEpoch": 1, "simulationEpoch": 1,
        "fingerprint": "f", "checkResult": "", "costNano": 0, "model": "",
    }  # fmt: skip
    return StoredVariant(id=number, **{**facts, **changes})


variants = st.lists(
    st.builds(
        build,
        st.integers(1, 50),
        specificity=st.integers(1, 4),
        weight=st.floats(0.001, 100),
        condition=st.sampled_from(["", "holds", "fails"]),
    ),
    max_size=8,
    unique_by=lambda variant: variant.id,
)
counts = st.dictionaries(st.integers(1, 50), st.integers(0, 4))
draws = st.floats(0, 1, exclude_max=True)


def choose(candidates: list[StoredVariant], heard: dict[int, int], draw: float) -> Any:
    return chooseVariant(candidates, heard, lambda condition: condition == "holds", draw)


@given(variants, counts, draws, st.randoms())
def test_theOrderOfTheCandidatesIsNoDifference(candidates, heard, draw, dice):
    turned = list(candidates)
    dice.shuffle(turned)
    assert choose(candidates, heard, draw) == choose(turned, heard, draw)


@given(variants, counts, draws)
def test_theRulesOfChoiceHold(candidates, heard, draw):
    choice = choose(candidates, heard, draw)
    fitting = [variant for variant in candidates if variant.condition != "fails"]
    assert (choice.variant is None) == (not fitting)
    assert [one.variant.id for one in choice.considered] == sorted(variant.id for variant in candidates)
    if choice.variant is None:
        assert {one.ruledOut for one in choice.considered} <= {"condition"}
        return
    least = min(heard.get(variant.id, 0) for variant in fitting)
    fresh = [variant for variant in fitting if heard.get(variant.id, 0) == least]
    assert choice.variant in fresh
    assert choice.heard == least
    assert choice.variant.specificity == max(variant.specificity for variant in fresh)
    assert [one.variant for one in choice.considered if not one.ruledOut] == [choice.variant]


@given(variants, counts, draws)
def test_hearingWhatWasChosenBringsTheOthersForward(candidates, heard, draw):
    first = choose(candidates, heard, draw).variant
    assume(first is not None)
    assert first is not None
    others = [
        v for v in candidates if v.condition != "fails" and heard.get(v.id, 0) == heard.get(first.id, 0)
    ]
    assume(len(others) > 1)
    again = choose(candidates, {**heard, first.id: heard.get(first.id, 0) + 1}, draw).variant
    assert again is not None
    assert again.id != first.id


def test_conditionsAreAskedOnlyWhereThereIsOne():
    asked: list[str] = []
    chooseVariant([build(1), build(2, condition="x")], {}, lambda one: bool(asked.append(one)), 0.0)
    assert asked == ["x"]


def test_weightsAreFollowed():
    candidates = [build(1, weight=1), build(2, weight=3)]
    picked = Counter(pickWeighted(candidates, number / 1000).id for number in range(1000))
    assert picked == {1: 250, 2: 750}
    assert pickWeighted([], 0.5) is None


def test_drawsAreEvenAndWithoutState():
    draws = [computeDraw(7, turn, "greta", "variant") for turn in range(20_000)]
    assert draws == [computeDraw(7, turn, "greta", "variant") for turn in range(20_000)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = Counter(int(draw * 10) for draw in draws)
    assert all(1_800 < tenths[tenth] < 2_200 for tenth in range(10))


@given(st.integers(0, 2**62), st.integers(0, 5000), st.sampled_from(["greta", "orrin"]), st.integers(0, 9))
def test_everyArgumentOfADrawCounts(seed, turn, agent, take):
    draw = computeDraw(seed, turn, agent, "variant", take)
    others = [
        computeDraw(seed + 1, turn, agent, "variant", take),
        computeDraw(seed, turn + 1, agent, "variant", take),
        computeDraw(seed, turn, agent + "x", "variant", take),
        computeDraw(seed, turn, agent, "ladder", take),
        computeDraw(seed, turn, agent, "variant", take + 1),
    ]
    assert 0 <= draw < 1
    assert draw not in others


@given(
    st.sampled_from(["approved", "pending"]),
    st.sampled_from(["", "wrong"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_whatMayBeServed(status, checkResult, servePending, isCurrent, isSamePrompt):
    variant = build(1, status=status, checkResult=checkResult)
    standing = judgeStanding(
        variant,
        agentEpoch=1 if isCurrent else 2,
        simulationEpoch=1,
        fingerprint="f" if isSamePrompt else "g",
        servePending=servePending,
    )
    if not (isCurrent and isSamePrompt):
        assert standing == "doubtful"
    elif status == "approved":
        assert standing == "servable"
    else:
        assert standing == ("servable" if servePending and not checkResult else "waiting")
