"""`manage.py costReport`: what was spent and saved."""

from __future__ import annotations

import io
import shutil
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table
from rich.text import Text

from costs.budgets import formatNano
from costs.reports import GROUPINGS, ReportQuery, ReportRow, computeReport, formatCsv, formatJson

COLUMNS = (
    "turns",
    "replies",
    "hits",
    "hit share",
    "calls",
    "input",
    "output",
    "cache read",
    "cache write",
    "cost",
    "saved",
)
# A table that is read by a program or a pipe is never folded to a terminal's width.
PIPE_WIDTH = 200


class Command(BaseCommand):
    help = "Sums the ledger: replies, hits, calls, tokens, cost and savings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--by",
            nargs="+",
            choices=tuple(GROUPINGS),
            default=["day"],
            help="Group by one or more of these.",
        )
        parser.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="First day.")
        parser.add_argument(
            "--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help="Last day, counted in."
        )
        parser.add_argument("--simulation", default="", metavar="SLUG", help="Only this simulation.")
        parser.add_argument(
            "--format",
            choices=("table", "json", "csv"),
            help="How it is shown; a table when left out.",
            default="table",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        query = ReportQuery(
            by=tuple(dict.fromkeys(options["by"])),
            since=options["since"],
            until=options["until"],
            simulation=options["simulation"],
        )
        if query.since and query.until and query.until < query.since:
            raise CommandError("--until is before --since.")
        rows = computeReport(query)
        show = {"json": self.showJson, "csv": self.showCsv, "table": self.showTable}
        show[options["format"]](query, rows)

    def showJson(self, query: ReportQuery, rows: list[ReportRow]) -> None:
        self.stdout.write(formatJson(query, rows))

    def showCsv(self, query: ReportQuery, rows: list[ReportRow]) -> None:
        self.stdout.write(formatCsv(query, rows), ending="")

    def showTable(self, query: ReportQuery, rows: list[ReportRow]) -> None:
        if not rows:
            self.stdout.write("The ledger is empty for this choice: nothing was spent and nothing saved.")
            return
        width = shutil.get_terminal_size().columns if self.stdout.isatty() else PIPE_WIDTH
        console = Console(file=io.StringIO(), width=width, highlight=False)
        with console.capture() as shown:
            console.print(_buildTable(query, rows))
        self.stdout.write(shown.get(), ending="")


def _buildTable(query: ReportQuery, rows: list[ReportRow]) -> Table:
    table = Table()
    for name in query.by:
        # Names are never cut: two days or agents must not look the same.
        table.add_column(name, overflow="fold")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for row in rows:
        # Text, so that a bracket in a name isn't read as markup.
        table.add_row(*(Text(word) for word in row.group), *_figures(row))
    return table


def _figures(row: ReportRow) -> list[str]:
    share = "-" if row.hitShare is None else f"{row.hitShare:.1%}"
    tokens = (row.inputTokens, row.outputTokens, row.cacheReadTokens, row.cacheWriteTokens)
    return [
        f"{row.turns:,}",
        f"{row.replies:,}",
        f"{row.hits:,}",
        share,
        f"{row.calls:,}",
        *(f"{count:,}" for count in tokens),
        formatNano(row.costNano),
        formatNano(row.savedNano),
    ]
