"""Lines of the ledger: every model call whatever its end, and every hit with what it saved."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, TypedDict, Unpack

from costs.models import CostRecord
from costs.preparedSql import insertRows
from costs.pricing import priceUsage
from costs.usage import Usage
from pm6.exceptions import UnknownPriceError

logger = logging.getLogger("pm6.costs")


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One `CostRecord` before it is written; the fields are the record's."""

    simulationId: int
    mode: str
    source: str
    sessionId: uuid.UUID | None = None
    turnId: int | None = None
    agentId: int | None = None
    purpose: str = CostRecord.Purpose.REPLY.value
    status: str = CostRecord.Status.DONE.value
    clientKind: str = ""
    model: str = ""
    attempt: int = 1
    requestId: str = ""
    errorCode: str = ""
    usage: Usage = field(default_factory=Usage)
    priceNano: int = 0
    savedNano: int = 0
    prices: dict[str, Any] = field(default_factory=dict)
    firstTokenMs: float = 0.0
    totalMs: float = 0.0


LINE_COLUMNS = tuple(one.name for one in fields(LedgerLine) if one.name != "usage")


class LineFacts(TypedDict, total=False):
    """What a caller may say of a line besides its money; as in `LedgerLine`."""

    simulationId: int
    mode: str
    sessionId: uuid.UUID | None
    turnId: int | None
    agentId: int | None
    purpose: str
    status: str
    attempt: int
    requestId: str
    errorCode: str
    firstTokenMs: float
    totalMs: float


def computeLine(
    usage: Usage,
    *,
    model: str,
    clientKind: str,
    at: datetime | None = None,
    reservedNano: int = 0,
    **facts: Unpack[LineFacts],
) -> LedgerLine:
    """Returns the line of a model call, priced, with the prices frozen on it.

    Args:
        usage: What the call used; empty for one that never reached the model.
        model: Name as in the request.
        clientKind: Kind of the client.
        at: The moment of the call, for dated prices; now when left out.
        reservedNano: What was set aside for the call. Should its price have vanished since,
            the call is charged that: it was made, so it leaves a line.
        **facts: The rest of the line; `simulationId` and `mode` are needed.
    """
    priceNano, prices = _priceCall(usage, model, clientKind, at, reservedNano)
    return LedgerLine(
        source=CostRecord.Source.MODEL.value,
        model=model,
        clientKind=clientKind,
        usage=usage,
        priceNano=priceNano,
        prices=prices,
        **facts,
    )


def hitLine(
    *,
    savedNano: int = 0,
    source: str = CostRecord.Source.HIT.value,
    model: str = "",
    clientKind: str = "",
    **facts: Unpack[LineFacts],
) -> LedgerLine:
    """Returns the line of a reply that cost nothing, with what a call would have cost.

    Args:
        savedNano: What the reply cost when it was made, or what the shared call costs.
        source: `hit`, `shared` or `line`.
        model: The model that made the reply.
        clientKind: Kind of the client that made it.
        **facts: The rest of the line; `simulationId` and `mode` are needed.
    """
    return LedgerLine(source=source, model=model, clientKind=clientKind, savedNano=savedNano, **facts)


def recordCosts(lines: Iterable[LedgerLine]) -> list[CostRecord]:
    """Writes lines to the ledger, all in one query, and returns them as records."""
    records = [_buildRecord(line) for line in lines]
    insertRows(records)
    return records


def _priceCall(
    usage: Usage, model: str, clientKind: str, at: datetime | None, reservedNano: int
) -> tuple[int, dict[str, Any]]:
    try:
        prices, priceNano = priceUsage(model, clientKind, usage, at)
    except UnknownPriceError:
        if not reservedNano:
            raise
        logger.error("The price of %s vanished during a call; charged what was set aside.", model)
        return reservedNano, {"source": "reserved"}
    return priceNano, prices.asDict()


def _buildRecord(line: LedgerLine) -> CostRecord:
    columns = {name: getattr(line, name) for name in LINE_COLUMNS}
    keys = {f"{name}_id": columns.pop(f"{name}Id") for name in ("simulation", "session", "turn", "agent")}
    return CostRecord(**keys, **columns, **asdict(line.usage))
