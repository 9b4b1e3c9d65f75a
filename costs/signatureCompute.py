"""The structural signature: what a shared reply depends on, as one hash.

The encoding is canonical and versioned: JSON with sorted keys and no blanks, Unicode in NFC,
hashed with XXH3 of 128 bits (https://xxhash.com, collision-resistant against chance, not against
intent; intent can't reach it, since players' words enter only as their own hash).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

import xxhash

from costs.schemas import SignatureComponents

ENCODING = "pm6:1:"
ANY = "any"
INTENT = "intent"
PREVIOUS_INTENT = "previousIntent"

Mask = frozenset[str]


def computeDigest(components: SignatureComponents) -> str:
    """Returns the signature of components: 32 hexadecimal digits."""
    encoded = _encode(components.model_dump())
    if not encoded.isascii():
        # Before the keys are sorted: their order differs between Unicode's forms.
        encoded = _encode(_normalize(components.model_dump()))
    return xxhash.xxh3_128_hexdigest((ENCODING + encoded).encode())


def _encode(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _normalize(value: Any) -> Any:
    if isinstance(value, dict):
        return {_normalize(name): _normalize(inner) for name, inner in value.items()}
    return unicodedata.normalize("NFC", value)


def computeTextHash(text: str) -> str:
    """Returns 16 hexadecimal digits that stand for a normalised text."""
    return xxhash.xxh3_64_hexdigest(text.encode())


def maskComponents(components: SignatureComponents, mask: Mask) -> SignatureComponents:
    """Returns the components with what the mask names replaced by `any`.

    Args:
        components: A full key.
        mask: Slugs of state variables, `intent`, `previousIntent`.
    """
    return components.model_copy(
        update={
            "state": {name: ANY if name in mask else word for name, word in components.state.items()},
            "intent": ANY if INTENT in mask else components.intent,
            "previousIntent": ANY if PREVIOUS_INTENT in mask else components.previousIntent,
        }
    )


def readMask(text: str) -> Mask:
    """Returns the mask that a signature's `mask` column holds."""
    return frozenset(part for part in text.split(",") if part)


def writeMask(mask: Iterable[str]) -> str:
    """Returns a mask as the `mask` column holds it."""
    return ",".join(sorted(mask))


def computeDraw(seed: int, turn: int, agent: str, purpose: str, take: int = 0) -> float:
    """Returns a number in [0, 1) that depends on nothing but the arguments: a draw without state."""
    digest = xxhash.xxh3_64_intdigest(f"{seed}:{turn}:{agent}:{purpose}:{take}".encode())
    return (digest >> 11) / float(1 << 53)
