"""What a small model says is cut at a sentence's end and checked before anybody sees it."""

from __future__ import annotations

import pytest

from agents.llm.localText import checkCharacter, stripSpeaker, trimToSentence

OTHERS = ("Otto Falk", "Mira")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("One. Two. Three.", "One. Two."),
        ("One. Two. Thr", "One. Two."),
        ("One sentence only. And then it bro", "One sentence only."),
        ("No end in sight", ""),
        ("", ""),
        ("  Spaces\n\nand lines. ", "Spaces and lines."),
        ("Really?! Yes… No.", "Really?! Yes…"),
        ("Dr. Berg spoke at 3.5 percent. Then left. Gone.", "Dr. Berg spoke at 3.5 percent. Then left."),
        (
            "We meet at 5 p.m. in the hall, e.g. tomorrow. Good. Bye.",
            "We meet at 5 p.m. in the hall, e.g. tomorrow. Good.",
        ),
        ("No. I won't. Never.", "No. I won't."),
        ('"We agree." He left. More.', '"We agree." He left.'),
        ('"We agree. He left. More."', "We agree. He left."),
        ("“We agree. He left. More.”", "We agree. He left."),
        ("J. Smith signs. Done.", "J. Smith signs. Done."),
    ],
)
def testTrimming(said, kept):
    assert trimToSentence(said) == kept


def testAnotherNumberOfSentences():
    assert trimToSentence("One. Two. Three.", 1) == "One."
    assert trimToSentence("One. Two. Three.", 9) == "One. Two. Three."


@pytest.mark.parametrize(
    "text",
    [
        "Not this year, I'm afraid.",
        "My assistant will call Otto Falk about the budget.",
        "The truth is simple: we can't pay.",
        "Ask Mira; she knows. I don't!",
        "As a minister, I have seen worse.",
        "“Order!” I say. Otto: that was my answer's name."[:16],
        "Approval stands at {approval} today.",
        "Nein, das können wir uns nicht leisten.",
        "I am an Aidan by birth.",
    ],
)
def testFineReplies(text):
    assert checkCharacter(text, "Anna Berg", OTHERS) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" … !", "empty"),
        ("As an AI, I have no opinion.", "model"),
        ("I'm just a language model.", "model"),
        ("I’m an AI assistant.", "model"),
        ("I am an assistant here.", "model"),
        ("How can I assist you today?", "model"),
        ("I was made by Hugging Face.", "model"),
        ("Otto Falk: I disagree.", "somebody else"),
        ("I agree. Otto: Me too.", "somebody else"),
        ('"mira": never', "somebody else"),
        ("User: what now?", "somebody else"),
        ("Well.\nAssistant: yes", "somebody else"),
        ("Anna Berg: I agree.", "speaker"),
        ("Anna: I agree.", "speaker"),
        ("You are Anna Berg, the minister.", "instructions"),
        ("I must stay in character.", "instructions"),
        ("I answer in at most two sentences.", "instructions"),
        ("<|im_start|>assistant", "markup"),
        ("Yes.</s>", "markup"),
        ("**Yes.**", "markup"),
        ("## Reply\nYes.", "markup"),
        ("1. First we pay.", "markup"),
        ("[INST] Yes.", "markup"),
        ("See https://example.com now.", "markup"),
        ("The people are the life of it. The people are the life of it.", "repeats itself"),
    ],
)
def testBadReplies(text, reason):
    assert reason in checkCharacter(text, "Anna Berg", OTHERS)


def testNobodyElseIsFine():
    assert checkCharacter("I agree.", "Anna Berg", []) == ""
    assert checkCharacter("I agree.", "", [""]) == ""


@pytest.mark.parametrize(
    "said", ["Anna Berg: We agree.", "**Anna Berg:** We agree.", "anna: We agree.", "We agree."]
)
def testSpeakersOwnNameIsTakenOff(said):
    assert stripSpeaker(said, "Anna Berg") == "We agree."
