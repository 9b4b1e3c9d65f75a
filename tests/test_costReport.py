"""The report over the ledger: its sums, its choices and its formats."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime

import pytest
from django.core.management import CommandError, call_command

from agents.models import Agent
from costs.costTracker import LedgerLine, recordCosts
from costs.models import CostRecord
from costs.reports import ReportQuery, computeReport
from costs.usage import Usage
from pm6.exceptions import InvalidInputError
from simulations.models import Branch, Session, Simulation, Turn


def makeSimulation(slug: str) -> Simulation:
    return Simulation.objects.create(
        slug=slug,
        title=slug,
        playerRole="guest",
        opening="Hello",
        openingSituation="bar",
        fallbackAgent="greta",
    )


def makeTurn(simulation: Simulation, number: int = 1) -> Turn:
    session = Session.objects.create(simulation=simulation, seed=1)
    branch = Branch.objects.create(session=session, situation="bar", state={})
    return Turn.objects.create(
        session=session,
        branch=branch,
        number=number,
        sequence=number,
        status="done",
        clientKey="k",
        intent="greet",
        intentPath="option",
        situation="bar",
        stateBefore={},
        worldRevision=1,
        mode="live",
    )


def makeAgent(simulation: Simulation, slug: str) -> Agent:
    return Agent.objects.create(
        simulation=simulation, slug=slug, name=slug, role="r", persona="p", fallbackLine="f"
    )


def onDay(records: list[CostRecord], day: int, hour: int = 12) -> None:
    CostRecord.objects.filter(pk__in=[one.pk for one in records]).update(
        createdAt=datetime(2026, 11, day, hour, tzinfo=UTC)
    )


@pytest.fixture
def ledger(db) -> dict:
    """Two simulations; on the inn's second day a hit, a retried call and a compaction."""
    inn, castle = makeSimulation("inn"), makeSimulation("castle")
    greta = makeAgent(inn, "greta")
    turn, other = makeTurn(inn), makeTurn(castle)
    call = {"source": "model", "clientKind": "anthropic", "model": "claude-sonnet-5-5", "mode": "live"}
    here = {"simulationId": inn.pk, "turnId": turn.pk, "agentId": greta.pk}
    onDay(recordCosts([LedgerLine(simulationId=castle.pk, turnId=other.pk, **call, priceNano=5)]), 1)
    onDay(
        recordCosts(
            [
                LedgerLine(**here, source="hit", mode="live", savedNano=900),
                LedgerLine(**here, source="shared", mode="live", savedNano=50),
                LedgerLine(**here, **call, status="failed"),
                LedgerLine(**here, **call, attempt=2, usage=Usage(10, 20, 30, 40, 50), priceNano=1_000_000),
                LedgerLine(**here, **call, purpose="compaction", usage=Usage(1, 2), priceNano=7),
            ]
        ),
        2,
    )
    return {"inn": inn, "castle": castle, "greta": greta}


def show(*args: str) -> str:
    out = io.StringIO()
    call_command("costReport", *args, stdout=out)
    return out.getvalue()


def test_sumsOfADay(ledger):
    first, second = computeReport(ReportQuery())
    assert (first.group, first.turns, first.replies, first.costNano) == (("2026-11-01",), 1, 1, 5)
    assert second.group == ("2026-11-02",)
    # The failed attempt and the compaction are calls and no replies.
    assert (second.turns, second.replies, second.hits, second.calls) == (1, 3, 1, 3)
    assert second.hitShare == pytest.approx(1 / 3)
    assert (second.inputTokens, second.outputTokens) == (11, 22)
    assert (second.cacheReadTokens, second.cacheWriteTokens) == (30, 90)
    assert (second.costNano, second.savedNano) == (1_000_007, 950)


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (("simulation",), [("castle",), ("inn",)]),
        (("agent",), [("castle/-",), ("inn/greta",)]),
        (("model",), [("-",), ("claude-sonnet-5-5",)]),
        (("purpose",), [("compaction",), ("reply",)]),
        (("mode",), [("live",)]),
        (
            ("day", "purpose"),
            [("2026-11-01", "reply"), ("2026-11-02", "compaction"), ("2026-11-02", "reply")],
        ),
        (("agent", "simulation"), [("castle/-", "castle"), ("inn/greta", "inn")]),
    ],
)
def test_groupsInOneQuery(ledger, django_assert_num_queries, by, groups):
    with django_assert_num_queries(1):
        rows = computeReport(ReportQuery(by=by))
    assert [row.group for row in rows] == groups
    assert sum(row.costNano for row in rows) == 1_000_012
    assert sum(row.calls for row in rows) == 4


def test_agentsOfTheSameNameStayApart(ledger):
    twin = makeAgent(ledger["castle"], "greta")
    recordCosts([LedgerLine(simulationId=ledger["castle"].pk, agentId=twin.pk, mode="live", source="hit")])
    rows = computeReport(ReportQuery(by=("agent",)))
    assert [row.group for row in rows] == [("castle/-",), ("castle/greta",), ("inn/greta",)]


@pytest.mark.parametrize(
    ("choice", "cost"),
    [
        ({"since": date(2026, 11, 2)}, 1_000_007),
        ({"until": date(2026, 11, 1)}, 5),
        ({"since": date(2026, 11, 1), "until": date(2026, 11, 2)}, 1_000_012),
        ({"simulation": "castle"}, 5),
        ({"simulation": "nowhere"}, 0),
        ({"until": date(2026, 10, 31)}, 0),
    ],
)
def test_choices(ledger, choice, cost):
    assert sum(row.costNano for row in computeReport(ReportQuery(**choice))) == cost


def test_lastDayCountsToItsEnd(ledger):
    onDay(list(CostRecord.objects.all()), 2, hour=23)
    assert computeReport(ReportQuery(until=date(2026, 11, 1))) == []
    assert len(computeReport(ReportQuery(until=date(2026, 11, 2)))) == 1


@pytest.mark.parametrize("by", [(), ("weather",)])
def test_unknownGroupingIsRefused(by):
    with pytest.raises(InvalidInputError, match="grouped by"):
        computeReport(ReportQuery(by=by))


def test_table(ledger):
    text = show("--by", "simulation", "day")
    row = next(line for line in text.splitlines() if "inn" in line)
    assert [cell.strip() for cell in row.strip("│┃ ").split("│")] == [
        "inn", "2026-11-02", "1", "3", "1", "33.3%", "3", "11", "22", "30", "90", "$0.0010", "<$0.0001",
    ]  # fmt: skip


def test_bracketsInNamesAreNoMarkup(ledger):
    CostRecord.objects.update(model="[red]odd[/red]")
    assert "[red]odd[/red]" in show("--by", "model")


@pytest.mark.django_db
def test_emptyLedgerSaysSo():
    assert "ledger is empty" in show()
    assert json.loads(show("--format", "json")) == []
    assert show("--format", "csv").startswith("day,turns,replies,hits,hitShare,calls")


def test_json(ledger):
    rows = json.loads(show("--format", "json", "--by", "purpose", "--since", "2026-11-02"))
    assert rows[0] == {
        "purpose": "compaction",
        "turns": 1,
        "replies": 0,
        "hits": 0,
        "hitShare": None,
        "calls": 1,
        "inputTokens": 1,
        "outputTokens": 2,
        "cacheReadTokens": 0,
        "cacheWriteTokens": 0,
        "costNano": 7,
        "savedNano": 0,
    }
    assert rows[1]["hitShare"] == 0.3333


@pytest.mark.parametrize("model", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_csvEscapesFormulae(ledger, model):
    CostRecord.objects.update(model=model)
    rows = list(csv.DictReader(io.StringIO(show("--format", "csv", "--by", "model"))))
    assert [row["model"] for row in rows] == [f"'{model}"]
    assert rows[0]["costNano"] == "1000012"


@pytest.mark.parametrize(
    "args", [("--by", "weather"), ("--since", "soon"), ("--since", "2026-11-02", "--until", "2026-11-01")]
)
def test_badChoicesAreRefused(args):
    with pytest.raises(CommandError):
        show(*args)
