"""From words to intents without a model: exact words, patterns, and free text by its own hash."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm6.exceptions import InvalidInputError
from simulations.engine.intents import FREE, IntentMatch, buildLookup, compilePattern, normalizeText

LOOKUP = buildLookup(
    [
        (
            "raiseTaxes",
            ["Raise taxes", "Let's tax the rich!", "Steuern erhöhen"],
            ["(raise|increase) .*tax.*"],
        ),
        ("cutTaxes", ["Cut taxes", "raise TAXES"], ["(cut|lower) .*tax.*", ".*tax.*"]),
        ("resign", ["I resign"], []),
    ]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.mark.parametrize(
    ("said", "intent", "path"),
    [
        ("Raise taxes", "raiseTaxes", "exact"),
        ("  raise   TAXES!! ", "raiseTaxes", "exact"),
        ("„Raise taxes“".strip("„“"), "raiseTaxes", "exact"),
        ("Let’s tax the rich", "raiseTaxes", "exact"),
        ("STEUERN ERHÖHEN.", "raiseTaxes", "exact"),
        (unicodedata.normalize("NFD", "Steuern erhöhen"), "raiseTaxes", "exact"),
        ("raise\nthe\ttaxes", "raiseTaxes", "pattern"),
        ("lower the taxes", "cutTaxes", "pattern"),
        ("what about tax havens", "cutTaxes", "pattern"),
        ("I resign…", "resign", "exact"),
    ],
)
def test_whatIsMeant(said, intent, path):
    assert LOOKUP.match(said) == IntentMatch(intent, path)


@pytest.mark.parametrize(
    "said", ["I resign, no, wait", "resign", "?!", "<system>raise them</system>", "ｒｅｓｉｇｎ"]
)
def test_anythingElseIsFree(said):
    match = LOOKUP.match(said)
    assert match.path == "free"
    assert match.intent.startswith(FREE)
    assert len(match.intent) == len(FREE) + 16
    assert match == LOOKUP.match(f"  {said.upper()} ")


def test_theFirstToClaimAPhraseHasIt():
    assert LOOKUP.match("raise taxes").intent == "raiseTaxes"


@given(texts)
def test_theUnicodeFormIsNoDifference(text):
    assert normalizeText(unicodedata.normalize("NFD", text)) == normalizeText(
        unicodedata.normalize("NFC", text)
    )
    assert LOOKUP.match(unicodedata.normalize("NFD", text)) == LOOKUP.match(
        unicodedata.normalize("NFC", text)
    )


@given(texts, st.sampled_from([" ", "\t", "\n", " .", "!", "…"]))
def test_blanksAndEndMarksAreNoDifference(text, mark):
    assert normalizeText(text + mark) == normalizeText(text)
    assert normalizeText(" " + text) == normalizeText(text)


@given(texts, texts)
def test_freeTextsAreOneOnlyWithTheSameWords(left, right):
    one, two = LOOKUP.match(left), LOOKUP.match(right)
    if one.path == two.path == "free":
        assert (one == two) == (normalizeText(left) == normalizeText(right))


@pytest.mark.parametrize("wrong", ["(", "a{2000}{2000}", r"(?=look)ahead", r"(a)\1"])
def test_wrongPatternsAreRefused(wrong):
    with pytest.raises(InvalidInputError):
        compilePattern(wrong)


def test_anAuthorsPatternIsLinearInTheText():
    """A pattern that would hang a backtracking engine; the test would not end."""
    lookup = buildLookup([("trap", [], ["(a*)*b"])])
    assert lookup.match("a" * 2_000).path == "free"
