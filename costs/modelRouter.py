"""Which models may answer, from the one that is wanted down to the cheapest."""

from __future__ import annotations

from fractions import Fraction

from django.conf import settings

from costs.pricing import getPrices
from pm6.exceptions import UnknownPriceError

# The ladder is of models that cost money; a kind that costs nothing has no rungs.
PRICED_KIND = "anthropic"


def buildModelLadder(wanted: str) -> tuple[str, ...]:
    """Returns the wanted model and, below it, the cheaper ones of `PM6_MODEL_LADDER`.

    A model outside the ladder is followed by those of the ladder whose input is cheaper. One
    without a known price stands alone: reserving for it is refused with its name, rather than
    another model answering in its place unnoticed.
    """
    ladder = tuple(settings.PM6_MODEL_LADDER)
    if wanted in ladder:
        return ladder[ladder.index(wanted) :]
    limit = _findInputPrice(wanted)
    if limit is None:
        return (wanted,)
    prices = {model: _findInputPrice(model) for model in ladder}
    return (wanted, *(model for model, price in prices.items() if price is not None and price < limit))


def _findInputPrice(model: str) -> Fraction | None:
    try:
        return getPrices(model, PRICED_KIND).inputNano
    except UnknownPriceError:
        return None
