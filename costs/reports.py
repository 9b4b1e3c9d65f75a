"""Sums over the ledger, grouped by what a reader asks for, in one query."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from costs.models import CostRecord
from pm6.exceptions import InvalidInputError

# What a reader groups by, and the columns that stand for it. An agent's slug is unique in its
# simulation only, so the two go together.
GROUPINGS: dict[str, tuple[str, ...]] = {
    "day": ("day",),
    "simulation": ("simulation__slug",),
    "agent": ("simulation__slug", "agent__slug"),
    "model": ("model",),
    "purpose": ("purpose",),
    "mode": ("mode",),
}
NOTHING = "-"

Source = CostRecord.Source

IS_REPLY = Q(purpose=CostRecord.Purpose.REPLY) & (~Q(source=Source.MODEL) | Q(status=CostRecord.Status.DONE))
SUMS: dict[str, Any] = {
    "turns": Count("turn", distinct=True),
    "replies": Count("pk", filter=IS_REPLY),
    "hits": Count("pk", filter=Q(source=Source.HIT)),
    "calls": Count("pk", filter=Q(source=Source.MODEL)),
    "inputTokens_": Sum("inputTokens", default=0),
    "outputTokens_": Sum("outputTokens", default=0),
    "cacheReadTokens_": Sum("cacheReadTokens", default=0),
    "cacheWriteTokens": Sum("cacheWrite5mTokens", default=0) + Sum("cacheWrite1hTokens", default=0),
    "costNano": Sum("priceNano", default=0),
    "savedNano_": Sum("savedNano", default=0),
}


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """What a report is about.

    Attributes:
        by: Groupings, the first one sorted by first; keys of `GROUPINGS`.
        since: First day, or None.
        until: Last day, counted in, or None.
        simulation: Slug, or empty for all.
    """

    by: tuple[str, ...] = ("day",)
    since: date | None = None
    until: date | None = None
    simulation: str = ""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The sums of one group; `group` holds its words in the order of `ReportQuery.by`."""

    group: tuple[str, ...] = field(default=())
    turns: int = 0
    replies: int = 0
    hits: int = 0
    calls: int = 0
    inputTokens: int = 0
    outputTokens: int = 0
    cacheReadTokens: int = 0
    cacheWriteTokens: int = 0
    costNano: int = 0
    savedNano: int = 0

    @property
    def hitShare(self) -> float | None:
        """Hits among replies; None where there was no reply."""
        return self.hits / self.replies if self.replies else None


FIGURES = (
    "turns",
    "replies",
    "hits",
    "hitShare",
    "calls",
    "inputTokens",
    "outputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "costNano",
    "savedNano",
)


def computeReport(query: ReportQuery) -> list[ReportRow]:
    """Returns the sums of each group, ordered by group; no rows where nothing was recorded."""
    unknown = [name for name in query.by if name not in GROUPINGS]
    if unknown or not query.by:
        raise InvalidInputError(f"A report is grouped by {', '.join(GROUPINGS)}.")
    columns = list(dict.fromkeys(column for name in query.by for column in GROUPINGS[name]))
    records = _filterRecords(query)
    if "day" in columns:
        records = records.annotate(day=TruncDate("createdAt"))
    grouped = records.order_by().values(*columns).annotate(**SUMS)
    # Sorted here: databases differ in where they put what has no value.
    return sorted((_buildRow(query, found) for found in grouped), key=lambda row: row.group)


def formatJson(query: ReportQuery, rows: Iterable[ReportRow]) -> str:
    """Returns the report as JSON: a list of objects with the groups and figures by name."""
    return json.dumps([_asDict(query, row) for row in rows], indent=2, ensure_ascii=False)


def formatCsv(query: ReportQuery, rows: Iterable[ReportRow]) -> str:
    """Returns the report as CSV; words that a spreadsheet would compute are escaped."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*query.by, *FIGURES])
    for row in rows:
        values = _asDict(query, row).values()
        writer.writerow([_escapeFormula(value) for value in values])
    return out.getvalue()


def _filterRecords(query: ReportQuery) -> QuerySet[CostRecord]:
    records = CostRecord.objects.all()
    if query.since:
        records = records.filter(createdAt__gte=_startOf(query.since))
    if query.until:
        records = records.filter(createdAt__lt=_startOf(query.until + timedelta(days=1)))
    if query.simulation:
        records = records.filter(simulation__slug=query.simulation)
    return records


def _startOf(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _buildRow(query: ReportQuery, found: dict[str, Any]) -> ReportRow:
    figures = {name.rstrip("_"): found[name] for name in SUMS}
    return ReportRow(group=tuple(_nameGroup(name, found) for name in query.by), **figures)


def _nameGroup(name: str, found: dict[str, Any]) -> str:
    return "/".join(str(found[column] or NOTHING) for column in GROUPINGS[name])


def _asDict(query: ReportQuery, row: ReportRow) -> dict[str, Any]:
    figures = {name: getattr(row, name) for name in FIGURES}
    if figures["hitShare"] is not None:
        figures["hitShare"] = round(figures["hitShare"], 4)
    return {**dict(zip(query.by, row.group, strict=True)), **figures}


def _escapeFormula(value: Any) -> Any:
    """Returns a word with an apostrophe before it if a spreadsheet would run it as a formula."""
    if isinstance(value, str) and value != NOTHING and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
