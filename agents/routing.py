"""Which agents answer an input; the others cost nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Reason = Literal["named", "intent", "keyword", "situation", "fallback", "notNeeded"]
NAMED = re.compile(r"@([A-Za-z][A-Za-z0-9]{0,39})")


@dataclass(frozen=True, slots=True)
class Routed:
    agent: str
    chosen: bool
    reason: Reason


def findNamed(text: str, agents: Sequence[str]) -> list[str]:
    """Returns the agents that a text names with "@", in its order."""
    bySlug = {slug.casefold(): slug for slug in agents}
    named = [bySlug[word.casefold()] for word in NAMED.findall(text) if word.casefold() in bySlug]
    return list(dict.fromkeys(named))


def routeInput(
    text: str,
    *,
    present: Sequence[str],
    everyone: Sequence[str],
    intentAgents: Sequence[str],
    keywords: Mapping[str, re.Pattern[str] | None],
    most: int,
    fallback: str,
) -> tuple[Routed, ...]:
    """Decides who answers: named, then called by the intent, then by a keyword, then by the room.

    Args:
        text: What the player said; empty for an option.
        present: Agents of the situation, the first speaking first.
        everyone: All agents; one who is named answers though not in the room.
        intentAgents: Who answers the intent first, if present.
        keywords: Agent to the pattern of its keywords.
        most: How many answer at most; named agents always do, up to this number.
        fallback: Answers when nobody else would.

    Returns:
        Every agent considered, the chosen ones first and in speaking order.
    """
    named = findNamed(text, everyone)
    ranked: dict[str, Reason] = dict.fromkeys(named, "named")
    if not named:
        for agent in intentAgents:
            if agent in present:
                ranked.setdefault(agent, "intent")
        for agent in present:
            pattern = keywords.get(agent)
            if pattern is not None and text and pattern.search(text):
                ranked.setdefault(agent, "keyword")
        for agent in present:
            ranked.setdefault(agent, "situation")
    if not ranked:
        ranked[fallback] = "fallback"
    chosen = [Routed(agent, True, reason) for agent, reason in list(ranked.items())[:most]]
    names = {routed.agent for routed in chosen}
    others = [agent for agent in dict.fromkeys((*ranked, *present)) if agent not in names]
    return (*chosen, *(Routed(agent, False, "notNeeded") for agent in others))


def compileKeywords(keywords: Sequence[str]) -> re.Pattern[str] | None:
    """Returns a pattern that finds any of the keywords as whole words; None of none."""
    if not keywords:
        return None
    words = "|".join(re.escape(word) for word in keywords)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
