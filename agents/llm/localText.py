"""What a small model says, before anybody sees it: cut at a sentence's end, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Dotted ones (e.g., p.m.) are told by their form.
ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "gen", "col", "sen", "gov", "lt", "sgt", "capt", "vs")
)
CLOSING = "\"'”’»)*]"
SENTENCE_END = re.compile(rf"[.!?…]+[{re.escape(CLOSING)}]*(?=\s|$)|[。！？]")
LAST_WORD = re.compile(r"(\S+?)\.$")

ABOUT_A_MODEL = re.compile(
    r"\b(?:language model|artificial intelligence|chat ?bot|open ?ai|anthropic|chat ?gpt|smol ?lm"
    r"|hugging ?face"
    r"|as an? (?:ai|assistant)|i(?:['’]m| am)(?: just| only)? an? (?:ai|assistant|virtual|digital|bot)\b"
    r"|ai (?:assistant|model)|assist you (?:today|with)|my (?:training|programming)|my knowledge cut-?off"
    r"|sprachmodell|künstliche intelligenz|modèle de langage|modelo de lenguaje)",
    re.IGNORECASE,
)
MARKUP = re.compile(
    r"<\|?/?[a-z_]+\|?>|\[/?INST\]|<<|>>|```|\*\*|^\s*#{1,6}\s|^\s*(?:[-*•]|\d+[.)])\s|\{\{|\{%|https?://|\\n",
    re.IGNORECASE | re.MULTILINE,
)
PROMPT_ECHO = re.compile(
    r"\b(?:stay in character|in character as|you are playing|your (?:role|persona|reply) is"
    r"|reply (?:in|with|as)\b|at most (?:one|two|three|\d+) sentences|system prompt"
    r"|the (?:situation|player'?s (?:intent|input)) is|the user (?:asks|says|wants)|instructions?:)",
    re.IGNORECASE,
)
ROLE_LABEL = re.compile(
    r"(?:^|[\n.!?\"”])\s*(?:user|player|assistant|system|human|question|answer|situation|intent|response)\s*:",
    re.IGNORECASE,
)
# A sentence this long that comes twice is a loop and not a figure of speech.
SHORTEST_LOOP = 20


def trimToSentence(text: str, maxSentences: int = 2) -> str:
    """Returns the first whole sentences of a text.

    Args:
        text: What the model said, perhaps cut off in a word.
        maxSentences: How many may stay.

    Returns:
        At most that many; empty when not even one sentence comes to its end.
    """
    plain = re.sub(r"\s+", " ", text).strip()
    ends = [match.end() for match in SENTENCE_END.finditer(plain) if not isAbbreviation(plain[: match.end()])]
    kept = plain[: ends[min(maxSentences, len(ends)) - 1]] if ends and maxSentences > 0 else ""
    return dropOpenQuote(kept.strip())


def stripSpeaker(text: str, agentName: str) -> str:
    """Returns the text without the speaker's own name before it, as in a play's script."""
    for name in findNames([agentName]):
        text = re.sub(rf"^\W*{re.escape(name)}\W*:\W*?(?=[\w\"“'‘])", "", text, count=1, flags=re.IGNORECASE)
    return text.strip()


def checkCharacter(text: str, agentName: str, otherNames: Iterable[str]) -> str:
    """Tells why a reply can't be shown as this character's.

    Args:
        text: The reply, trimmed.
        agentName: Who says it.
        otherNames: Everybody else who might be made to speak in it.

    Returns:
        The reason in words; empty when nothing is wrong.
    """
    if not re.search(r"\w", text):
        return "it is empty"
    if MARKUP.search(text):
        return "it holds markup"
    if ABOUT_A_MODEL.search(text):
        return "it speaks of being a model"
    if findLabel(text, otherNames) or ROLE_LABEL.search(text):
        return "it speaks for somebody else"
    if findLabel(text, [agentName]):
        return "it names its speaker like a script"
    if PROMPT_ECHO.search(text) or re.search(rf"\byou are {re.escape(agentName)}\b", text, re.IGNORECASE):
        return "it repeats its instructions"
    return "it repeats itself" if isLoop(text) else ""


def findNames(names: Iterable[str]) -> list[str]:
    """Returns full names, then their single words that are long enough to be one."""
    full = [name.strip() for name in names if name.strip()]
    words = [word for name in full for word in name.split() if len(word) > 2 and word[0].isupper()]
    return [*full, *dict.fromkeys(word for word in words if word not in full)]


def findLabel(text: str, names: Iterable[str]) -> str:
    """Returns the name that stands before a colon at the start of a line or sentence, if one does."""
    for name in findNames(names):
        if re.search(rf"(?:^|[\n.!?\"”])[\s\W]*{re.escape(name)}\W*:", text, re.IGNORECASE):
            return name
    return ""


def isAbbreviation(text: str) -> bool:
    """Tells whether a text ends in a full stop that ends no sentence."""
    word = LAST_WORD.search(text)
    if word is None:
        return False
    stem = word.group(1).lstrip("(\"'“‘").lower()
    dotted = re.fullmatch(r"[a-z](\.[a-z])*", stem) is not None and stem != "i"
    return dotted or stem in ABBREVIATIONS


def isLoop(text: str) -> bool:
    sentences = [part.strip().lower() for part in SENTENCE_END.split(text)]
    long = [sentence for sentence in sentences if len(sentence) >= SHORTEST_LOOP]
    return len(long) != len(set(long))


def dropOpenQuote(text: str) -> str:
    """Returns the text without a quotation mark that its cut left alone."""
    if text.count('"') == 1:
        text = text.replace('"', "")
    if text.count("“") != text.count("”"):
        text = text.replace("“", "").replace("”", "")
    return text.strip()
