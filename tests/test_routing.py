"""Who answers: named, then called by the intent, then by a keyword, then by the room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.routing import Routed, compileKeywords, findNamed, routeInput

EVERYONE = ["finance", "defence", "press", "king"]
KEYWORDS = {"finance": compileKeywords(["tax", "budget"]), "press": compileKeywords(["news"]), "king": None}


def route(text: str = "", **changes: Any) -> tuple[Routed, ...]:
    facts: dict[str, Any] = {
        "present": ["finance", "defence", "press"], "everyone": EVERYONE, "intentAgents": (),
        "keywords": KEYWORDS, "most": 1, "fallback": "press",
    }  # fmt: skip
    return routeInput(text, **{**facts, **changes})


def chosen(routed: tuple[Routed, ...]) -> list[tuple[str, str]]:
    return [(one.agent, one.reason) for one in routed if one.chosen]


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ("", {}, [("finance", "situation")]),
        ("Any news?", {}, [("press", "keyword")]),
        ("Any newspapers?", {}, [("finance", "situation")]),
        ("A TAX on news", {"most": 2}, [("finance", "keyword"), ("press", "keyword")]),
        ("", {"intentAgents": ["defence"]}, [("defence", "intent")]),
        ("news", {"intentAgents": ["defence"], "most": 2}, [("defence", "intent"), ("press", "keyword")]),
        ("", {"intentAgents": ["king"]}, [("finance", "situation")]),
        ("@press, a word", {"intentAgents": ["defence"]}, [("press", "named")]),
        ("@King @FINANCE hear me", {"most": 3}, [("king", "named"), ("finance", "named")]),
        ("@king @king", {"most": 2}, [("king", "named")]),
        ("@nobody", {}, [("finance", "situation")]),
        ("", {"present": []}, [("press", "fallback")]),
        ("", {"most": 9}, [("finance", "situation"), ("defence", "situation"), ("press", "situation")]),
    ],
)
def test_whoAnswers(text, changes, expected):
    assert chosen(route(text, **changes)) == expected


def test_theOthersAreOnRecordToo():
    routed = route("@king")
    assert routed == (
        Routed("king", True, "named"),
        Routed("finance", False, "notNeeded"),
        Routed("defence", False, "notNeeded"),
        Routed("press", False, "notNeeded"),
    )


words = st.lists(st.sampled_from(["@finance", "@king", "@nobody", "tax", "news", "hello", "@"]), max_size=6)
agents = st.lists(st.sampled_from(EVERYONE), unique=True)


@given(words.map(" ".join), agents, agents, st.integers(1, 5))
def test_somebodyAlwaysAnswersAndNeverTooMany(text, present, intentAgents, most):
    routed = route(text, present=present, intentAgents=intentAgents, most=most)
    names = [one.agent for one in routed]
    speaking = chosen(routed)
    assert 1 <= len(speaking) <= most
    assert len(names) == len(set(names))
    assert {*present} <= {*names}
    assert all(one.chosen == (one.reason != "notNeeded") for one in routed)
    assert [one.chosen for one in routed] == sorted((one.chosen for one in routed), reverse=True)
    if named := findNamed(text, EVERYONE):
        assert [agent for agent, _ in speaking] == named[:most]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_anyTextIsRouted(text):
    assert chosen(route(text))


def test_keywordsAreWholeWordsAndNoPatterns():
    pattern = compileKeywords(["a.c", "zinsen"])
    assert pattern is not None
    assert pattern.search("the A.C, please")
    assert not pattern.search("abc")
    assert not pattern.search("Zinsenlast")
    assert compileKeywords([]) is None
