"""Rules: in order, each on the state that the ones before left; events in chains; an end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costs.expressions import checkExpression, compileExpression, evaluate
from costs.schemas import Effect
from pm6.exceptions import ForbiddenActionError, InvalidInputError
from simulations.engine.rules import Moment, applyRules, checkAllowed
from simulations.engine.world import EventSpec, RuleSpec
from tests.test_worldState import VARIABLES

STATE = {"approval": 50.0, "debt": -5.0, "weather": "clear", "war": False}


def rule(slug: str, condition: str = "true", kind: str = "effect", **changes: Any) -> RuleSpec:
    facts = {
        "title": slug.title(), "message": "", "effects": (), "event": "", "situation": "", "once": False,
        "cooldown": 0,
    }  # fmt: skip
    return RuleSpec(slug=slug, kind=kind, condition=condition, **{**facts, **changes})


def event(slug: str, add: float = 0, **changes: Any) -> EventSpec:
    effects = (Effect(variable="approval", add=add),) if add else ()
    facts = {"title": slug, "text": f"{slug} happens", "effects": effects, "situation": "", "then": ""}
    return EventSpec(slug=slug, **{**facts, **changes})


def build(*rules: RuleSpec, events: tuple[EventSpec, ...] = (), turnLimit: int = 0) -> Any:
    return SimpleNamespace(
        variables={variable.slug: variable for variable in VARIABLES},
        rules=rules,
        events={one.slug: one for one in events},
        turnLimit=turnLimit,
    )


def walk(world: Any, *, turn: int = 5, intent: str = "wait", fired: dict | None = None, **state: Any) -> Any:
    return applyRules(world, {**STATE, **state}, Moment(turn, "cabinet", intent), fired or {})


def more(amount: float) -> tuple[Effect, ...]:
    return (Effect(variable="approval", add=amount),)


def test_eachRuleSeesWhatTheOnesBeforeLeft():
    world = build(
        rule("first", effects=more(20)),
        rule("second", "state.approval >= 70.0", effects=more(5)),
        rule("third", "state.approval < 70.0", effects=more(-50)),
    )
    result = walk(world)
    assert result.state["approval"] == 75
    assert [change.source for change in result.applied] == ["rule:first", "rule:second"]
    assert result.firedRules == {"first": 5, "second": 5}


def test_theFirstEndIsTheEnd():
    world = build(
        rule("lost", "state.approval < 60.0", "lose", message="Voted out."),
        rule("won", "true", "win"),
        rule("after", effects=more(1)),
    )
    result = walk(world)
    assert (result.status, result.outcome, result.state) == ("lost", "Voted out.", STATE)
    assert [(note.kind, note.text) for note in result.notes] == [("lose", "Voted out.")]
    assert walk(world, approval=80.0).status == "won"


@pytest.mark.parametrize(("turn", "status"), [(9, "running"), (10, "ended"), (11, "ended")])
def test_theTimeIsOver(turn, status):
    assert walk(build(turnLimit=10), turn=turn).status == status
    assert walk(build(rule("won", kind="win"), turnLimit=10), turn=turn).status == "won"


@pytest.mark.parametrize(
    ("changes", "last", "fires"),
    [
        ({"once": True}, 1, False),
        ({"once": True}, None, True),
        ({"cooldown": 3}, 1, True),
        ({"cooldown": 3}, 2, False),
        ({"cooldown": 0}, 4, True),
        ({}, 4, True),
    ],
)
def test_onceAndCooldown(changes, last, fires):
    fired = {} if last is None else {"bonus": last}
    result = walk(build(rule("bonus", effects=more(1), **changes)), fired=fired)
    assert (result.state["approval"] == 51) == fires
    assert result.firedRules.get("bonus") == (5 if fires else last)


def test_eventsFollowOneAnotherAndNeverInACircle():
    chain = (event("strike", -5, then="riot"), event("riot", -10, situation="street", then="strike"))
    result = walk(build(rule("unrest", kind="event", event="strike", situation="square"), events=chain))
    assert result.state["approval"] == 35
    assert [note.slug for note in result.notes] == ["strike", "riot"]
    assert [change.source for change in result.applied] == ["event:strike", "event:riot"]
    assert result.nextSituation == "street"


def test_anEventThatIsGoneIsPassedOver():
    result = walk(build(rule("old", kind="event", event="gone", message="Something stirs.")))
    assert [(note.kind, note.text) for note in result.notes] == [("rule", "Something stirs.")]


def test_forbiddenThingsAreToldInTheAuthorsWords():
    world = build(rule("no", 'intent == "tax" && state.war', "forbid", message="Not in wartime."))
    checkAllowed(world, STATE, Moment(1, "cabinet", "tax"))
    checkAllowed(world, {**STATE, "war": True}, Moment(1, "cabinet", "talk"))
    with pytest.raises(ForbiddenActionError, match="wartime"):
        checkAllowed(world, {**STATE, "war": True}, Moment(1, "cabinet", "tax"))
    assert walk(world, intent="tax", war=True).firedRules == {}


conditions = st.sampled_from(
    ["true", "false", "state.approval > 50.0", "state.war", "turn > 3", "nonsense ==", "gone"]
)
someEffects = st.builds(Effect, variable=st.sampled_from(["approval", "debt"]), add=st.floats(-500, 500))
someRules = st.lists(
    st.builds(
        rule,
        st.sampled_from(["a", "b", "c", "d"]),
        conditions,
        st.sampled_from(["effect", "event", "move", "win", "lose", "forbid"]),
        effects=st.lists(someEffects, max_size=2).map(tuple),
        event=st.sampled_from(["", "strike", "riot"]),
        once=st.booleans(),
        cooldown=st.integers(0, 3),
    ),
    max_size=6,
)  # fmt: skip


@given(someRules, st.integers(1, 12), st.booleans())
def test_rulesAreDeterminedAndStayWithinTheSchema(rules, turn, war):
    world = build(*rules, events=(event("strike", -70, then="riot"), event("riot", 90, then="strike")))
    one, two = walk(world, turn=turn, war=war), walk(world, turn=turn, war=war)
    assert one == two
    assert 0 <= one.state["approval"] <= 100
    assert -10 <= one.state["debt"] <= -1
    assert one.status in ("running", "won", "lost")
    assert all(fired == turn for fired in one.firedRules.values())


@pytest.mark.parametrize(
    "wrong",
    [
        "state.approval <",
        "import os",
        "approval > 1",
        "state.x.all(a, state.y.all(b, true))",
        "money > 3 && turn > 1",
    ],
)
def test_wrongConditionsAreRefused(wrong):
    with pytest.raises(InvalidInputError):
        compileExpression(wrong)
    assert checkExpression(wrong, STATE)
    assert not evaluate(wrong, {"state": STATE})


@pytest.mark.parametrize(
    "failing", ["state.gone > 1.0", "state.weather > 3.0", "turn", "1 / 0 == 1", "[1][5] > 0"]
)
def test_aConditionThatFailsIsFalse(failing):
    context = Moment(1, "cabinet", "tax").context(STATE)
    assert not evaluate(failing, context)
    assert checkExpression(failing, STATE)


def test_conditionsSeeTheMoment():
    context = Moment(4, "cabinet", "tax").context(STATE)
    assert evaluate('turn == 4 && situation == "cabinet" && intent == "tax" && !state.war', context)
    assert checkExpression('state.weather in ["clear", "rain"]', STATE) == ""
