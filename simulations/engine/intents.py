"""From the player's words to an intent: the option, the exact words, a pattern, else free."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import re2

from costs.signatureCompute import computeTextHash
from pm6.exceptions import InvalidInputError

FREE = "free:"


@dataclass(frozen=True, slots=True)
class IntentMatch:
    """What the player wants and how that was found: `option`, `exact`, `pattern` or `free`."""

    intent: str
    path: str


@dataclass(frozen=True, slots=True)
class IntentLookup:
    """All phrases and patterns of a world, ready to be asked.

    Attributes:
        phrases: Normalised phrase to intent.
        patterns: Compiled pattern and intent, in the author's order.
    """

    phrases: Mapping[str, str]
    patterns: tuple[tuple[re2._Regexp, str], ...]

    def match(self, text: str) -> IntentMatch:
        """Returns the intent of free text, without a model."""
        words = normalizeText(text)
        if intent := self.phrases.get(words):
            return IntentMatch(intent, "exact")
        for pattern, intent in self.patterns:
            if pattern.fullmatch(words):
                return IntentMatch(intent, "pattern")
        return IntentMatch(FREE + computeTextHash(words), "free")


def normalizeText(text: str) -> str:
    """Returns words without what doesn't change their meaning: case, blanks, end marks, Unicode form."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    kept = "".join(" " if unicodedata.category(letter)[0] in "ZC" else letter for letter in folded)
    return " ".join(kept.split()).strip(" .,!?;:…\"'-–—")


def buildLookup(intents: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> IntentLookup:
    """Builds the lookup from (slug, phrases, patterns); the first to claim a phrase has it."""
    phrases: dict[str, str] = {}
    patterns = []
    for slug, examples, expressions in intents:
        for phrase in examples:
            phrases.setdefault(normalizeText(phrase), slug)
        patterns += [(compilePattern(expression), slug) for expression in expressions]
    return IntentLookup(phrases, tuple(patterns))


def compilePattern(expression: str) -> re2._Regexp:
    """Compiles an author's pattern with RE2, whose time is linear in the text.

    Raises:
        InvalidInputError: It is no valid RE2 expression.
    """
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        raise InvalidInputError(
            f"The pattern {expression!r} is not valid.", hint="Patterns are RE2 regular expressions."
        ) from error
