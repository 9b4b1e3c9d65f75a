"""Which of the stored replies is served: a pure function of candidates, what was heard and a draw.

The order (conditions, least heard, most specific, weighted random) follows Yarn Spinner's
saliency strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from costs.responseCache import StoredVariant


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate and what became of it; `ruledOut` is empty while it stood to the end."""

    variant: StoredVariant
    heard: int
    ruledOut: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen and why.

    Attributes:
        variant: None when no candidate fits.
        heard: How often this session heard it lately.
        draw: The number in [0, 1) that decided among equals.
    """

    variant: StoredVariant | None
    heard: int
    considered: tuple[Considered, ...]
    draw: float


def chooseVariant(
    candidates: Sequence[StoredVariant],
    heard: Mapping[int, int],
    fits: Callable[[str], bool],
    draw: float,
) -> Choice:
    """Chooses one of the servable candidates.

    Args:
        candidates: In any order; the result doesn't depend on it.
        heard: Variant id to how often this session heard it.
        fits: Whether a condition (CEL) holds now; only asked for conditions that aren't empty.
        draw: In [0, 1).
    """
    ordered = sorted(candidates, key=lambda variant: variant.id)
    fitting = [v for v in ordered if not v.condition or fits(v.condition)]
    least = min((heard.get(v.id, 0) for v in fitting), default=0)
    fresh = [v for v in fitting if heard.get(v.id, 0) == least]
    top = max((v.specificity for v in fresh), default=0)
    finalists = [v for v in fresh if v.specificity == top]
    chosen = pickWeighted(finalists, draw)

    def explain(v: StoredVariant) -> str:
        if v not in fitting:
            return "condition"
        if v not in fresh:
            return "heard"
        if v not in finalists:
            return "lessSpecific"
        return "" if v is chosen else "draw"

    return Choice(
        variant=chosen,
        heard=least if chosen else 0,
        considered=tuple(Considered(v, heard.get(v.id, 0), explain(v)) for v in ordered),
        draw=draw,
    )


def pickWeighted(variants: Sequence[StoredVariant], draw: float) -> StoredVariant | None:
    """Returns the variant on whose share of the weights the draw falls; None of none."""
    point = draw * sum(variant.weight for variant in variants)
    for variant in variants:
        point -= variant.weight
        if point < 0:
            return variant
    return variants[-1] if variants else None
