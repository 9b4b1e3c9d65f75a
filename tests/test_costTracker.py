"""Lines of the ledger: priced once, frozen, written together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from costs.costTracker import LedgerLine, computeLine, hitLine, recordCosts
from costs.models import CostRecord, PriceRule
from costs.pricing import forgetPriceRules
from costs.usage import Usage
from pm6.exceptions import UnknownPriceError
from simulations.models import Session, Simulation

SONNET = "claude-sonnet-5-5"


@pytest.fixture(autouse=True)
def freshRules():
    forgetPriceRules()
    yield
    forgetPriceRules()


@pytest.fixture
def session(db) -> Session:
    simulation = Simulation.objects.create(
        slug="inn",
        title="Inn",
        playerRole="guest",
        opening="Hello",
        openingSituation="bar",
        fallbackAgent="greta",
    )
    return Session.objects.create(simulation=simulation, seed=1)


def placeOf(session: Session) -> dict:
    return {"simulationId": session.simulation_id, "sessionId": session.pk, "mode": "live"}


def test_callIsPricedAndItsPricesFrozen(session):
    usage = Usage(100, 200, 30, 40, 50, estimated=True)
    line = computeLine(
        usage, model=SONNET, clientKind="anthropic", status="cancelled", requestId="req_1", **placeOf(session)
    )
    (record,) = recordCosts([line])
    record.refresh_from_db()
    assert record.priceNano == 100 * 2_000 + 200 * 10_000 + 30 * 100 + 40 * 2_500 + 50 * 4_000
    assert record.prices["cacheReadNano"] == 100
    assert (record.source, record.status, record.estimated, record.requestId) == (
        "model",
        "cancelled",
        True,
        "req_1",
    )
    assert (record.inputTokens, record.outputTokens, record.cacheReadTokens) == (100, 200, 30)
    assert (record.cacheWrite5mTokens, record.cacheWrite1hTokens) == (40, 50)
    assert (record.session_id, record.simulation_id) == (session.pk, session.simulation_id)


def test_laterPriceRuleLeavesOldLinesAlone(session):
    facts = {"model": SONNET, "clientKind": "anthropic", **placeOf(session)}
    (record,) = recordCosts([computeLine(Usage(10), **facts)])
    PriceRule.objects.create(
        model=SONNET,
        validFrom=datetime(2026, 1, 1, tzinfo=UTC),
        inputNano=1,
        outputNano=1,
        cacheReadNano=1,
        cacheWrite5mNano=1,
        cacheWrite1hNano=1,
    )
    forgetPriceRules()
    assert computeLine(Usage(10), **facts).priceNano == 10
    record.refresh_from_db()
    assert (record.priceNano, record.prices["inputNano"]) == (20_000, 2_000)


def test_failedCallWithoutUsageLeavesALineThatCostsNothing(session):
    line = computeLine(
        Usage(),
        model=SONNET,
        clientKind="anthropic",
        status="failed",
        errorCode="modelUnavailable",
        attempt=2,
        **placeOf(session),
    )
    (record,) = recordCosts([line])
    assert (record.priceNano, record.errorCode, record.attempt) == (0, "modelUnavailable", 2)


@pytest.mark.parametrize("kind", ["local", "scripted"])
def test_ownModelsCostNothing(session, kind):
    line = computeLine(Usage(500, 100), model="own", clientKind=kind, **placeOf(session))
    assert (line.priceNano, line.prices["source"]) == (0, "zero")


def test_unknownPriceIsRefusedUnlessTheCallWasMade(session, caplog):
    facts = {"model": "claude-gone", "clientKind": "anthropic", **placeOf(session)}
    with pytest.raises(UnknownPriceError):
        computeLine(Usage(5), **facts)
    line = computeLine(Usage(5), reservedNano=900, **facts)
    assert (line.priceNano, line.prices) == (900, {"source": "reserved"})
    assert caplog.records[-1].levelname == "ERROR"


@pytest.mark.parametrize("source", ["hit", "shared", "line"])
def test_hitCostsNothingAndSaysWhatItSaved(session, source):
    (record,) = recordCosts([hitLine(savedNano=700, source=source, model=SONNET, **placeOf(session))])
    assert (record.source, record.priceNano, record.savedNano) == (source, 0, 700)
    assert (record.status, record.purpose) == ("done", "reply")


def test_linesAreWrittenInOneQuery(session, django_assert_num_queries):
    lines = [hitLine(savedNano=index, **placeOf(session)) for index in range(20)]
    with django_assert_num_queries(1):
        records = recordCosts(lines)
    assert [record.savedNano for record in records] == list(range(20))
    assert CostRecord.objects.count() == 20
    with django_assert_num_queries(0):
        assert recordCosts([]) == []


def test_lineSaysEveryColumnOfTheRecord():
    """A column that is added to the ledger is not forgotten here."""
    columns = {field.attname.replace("_id", "Id") for field in CostRecord._meta.concrete_fields}
    known = set(LedgerLine.__dataclass_fields__) | set(Usage.__dataclass_fields__)
    assert columns - {"id", "createdAt"} == known - {"usage"}
