"""Stored replies: found by their signatures, sorted into what may be served, and stored anew."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from costs.models import ResponseSignature, ResponseVariant
from costs.preparedSql import PreparedQuery, Slot
from costs.schemas import Effect, SignatureComponents
from costs.signatureCompute import computeDigest, readMask, writeMask
from pm6.exceptions import SignatureMatchError

Standing = Literal["servable", "waiting", "doubtful"]
VariantRow = namedtuple(
    "VariantRow",
    "id signature__digest signature__mask signature__components text status condition weight effects "
    "agentEpoch simulationEpoch fingerprint checkResult costNano model",
)
KNOWN = (ResponseVariant.Status.APPROVED.value, ResponseVariant.Status.PENDING.value)


@dataclass(frozen=True, slots=True)
class StoredVariant:
    """A variant as a turn needs it.

    Attributes:
        specificity: How many components of its key are not `any`, a condition counting as one.
        mask: The components that are `any`.
    """

    id: int
    digest: str
    mask: frozenset[str]
    specificity: int
    text: str
    status: str
    condition: str
    weight: float
    effects: tuple[Effect, ...]
    agentEpoch: int
    simulationEpoch: int
    fingerprint: str
    checkResult: str
    costNano: int
    model: str


def findVariants(digests: Collection[str], mode: str) -> dict[str, list[StoredVariant]]:
    """Returns the approved and pending variants of some signatures, by digest, in one query.

    Args:
        digests: The signatures to look up.
        mode: The session's mode: what was made in test is never served outside it.
    """
    made = [ResponseVariant.MadeIn.AUTHORED, ResponseVariant.MadeIn.LIVE]
    if mode == "test":
        made = [ResponseVariant.MadeIn.AUTHORED, ResponseVariant.MadeIn.TEST]
    if not digests:
        return {}
    keys = {f"digest{i}": digest for i, digest in enumerate(digests)}
    rows = _prepareVariants(len(keys)).fetch(**keys, first=made[0], second=made[1])
    found: dict[str, list[StoredVariant]] = {}
    for row in map(VariantRow._make, rows):
        found.setdefault(row.signature__digest, []).append(_readVariant(row))
    return found


@lru_cache(maxsize=64)
def _prepareVariants(count: int) -> PreparedQuery:
    digest, madeIn = ResponseSignature._meta.get_field("digest"), ResponseVariant._meta.get_field("madeIn")
    return PreparedQuery(
        lambda: (
            ResponseVariant.objects.filter(
                signature__digest__in=[Slot(f"digest{i}", digest) for i in range(count)],
                status__in=KNOWN,
                madeIn__in=[Slot("first", madeIn), Slot("second", madeIn)],
            )
            .order_by()
            .values_list(*VariantRow._fields)
        )
    )


def _readVariant(row: Any) -> StoredVariant:
    mask = readMask(row.signature__mask)
    known = len(row.signature__components["state"]) + 2 - len(mask)
    return StoredVariant(
        id=row.id,
        digest=row.signature__digest,
        mask=mask,
        specificity=known + bool(row.condition),
        text=row.text,
        status=row.status,
        condition=row.condition,
        weight=row.weight,
        effects=tuple(Effect.model_validate(effect) for effect in row.effects),
        agentEpoch=row.agentEpoch,
        simulationEpoch=row.simulationEpoch,
        fingerprint=row.fingerprint,
        checkResult=row.checkResult,
        costNano=row.costNano,
        model=row.model,
    )


def judgeStanding(
    variant: StoredVariant, *, agentEpoch: int, simulationEpoch: int, fingerprint: str, servePending: bool
) -> Standing:
    """Returns whether a variant may be served now.

    `doubtful` is one of an older epoch, or one whose prompt or bucket edges have changed since;
    `waiting` is a pending one that the simulation, or an automatic check, doesn't let through.
    """
    current = (variant.agentEpoch, variant.simulationEpoch) == (agentEpoch, simulationEpoch)
    if not current or (variant.fingerprint and variant.fingerprint != fingerprint):
        return "doubtful"
    if variant.status == ResponseVariant.Status.APPROVED:
        return "servable"
    return "servable" if servePending and not variant.checkResult else "waiting"


def findNearest(
    components: SignatureComponents, agentId: int, mode: str, limit: int = 200
) -> list[StoredVariant]:
    """Returns approved variants to the same intent in other states, the nearest state first."""
    signatures = (
        ResponseSignature.objects.filter(
            agent_id=agentId,
            situationType=components.situationType,
            components__intent=components.intent,
            components__language=components.language,
            variants__status=ResponseVariant.Status.APPROVED,
        )
        .values_list("digest", "components")
        .order_by("id")
        .distinct()[:limit]
    )
    distances = {
        digest: _countDifferences(components.state, stored["state"]) for digest, stored in signatures
    }
    byDigest = findVariants(distances, mode) if distances else {}
    variants = [
        v for found in byDigest.values() for v in found if v.status == ResponseVariant.Status.APPROVED
    ]
    return sorted(variants, key=lambda v: (distances[v.digest], v.id))


def _countDifferences(left: Mapping[str, str], right: Mapping[str, str]) -> int:
    return sum(left.get(name) != right.get(name) for name in {*left, *right})


def getSignature(
    simulationId: int, agentId: int, components: SignatureComponents, mask: Collection[str] = ()
) -> ResponseSignature:
    """Returns the row of a signature, made if it is new.

    Raises:
        SignatureMatchError: The stored components don't hash to their signature.
    """
    digest = computeDigest(components)
    signature, created = ResponseSignature.objects.get_or_create(
        digest=digest,
        defaults={
            "simulation_id": simulationId,
            "agent_id": agentId,
            "situationType": components.situationType,
            "mask": writeMask(mask),
            "components": components.model_dump(),
        },
    )
    if not created:
        checkSignature(signature)
    return signature


def checkSignature(signature: ResponseSignature) -> None:
    """Raises SignatureMatchError where the stored components don't hash to the signature."""
    if computeDigest(SignatureComponents.model_validate(signature.components)) != signature.digest:
        raise SignatureMatchError(
            f"The components of signature {signature.digest} don't hash to it.",
            hint="Somebody changed the row by hand; retire its variants and warm them anew.",
            details={"digest": signature.digest},
        )


def listMasks(simulationId: int) -> dict[tuple[int, str], tuple[frozenset[str], ...]]:
    """Returns the masks in use by agent id and situation type, the full key not among them."""
    rows: Sequence[tuple[int, str, str]] = list(
        ResponseSignature.objects.filter(simulation_id=simulationId, variants__status__in=KNOWN)
        .exclude(mask="")
        .values_list("agent_id", "situationType", "mask")
        .order_by("agent_id", "situationType", "mask")
        .distinct()
    )
    masks: dict[tuple[int, str], tuple[frozenset[str], ...]] = {}
    for agentId, situationType, mask in rows:
        masks[agentId, situationType] = (*masks.get((agentId, situationType), ()), readMask(mask))
    return masks
