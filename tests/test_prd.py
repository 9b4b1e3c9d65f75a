"""`docs/prd.md` names every requirement, with a state, and a test for what works."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATES = {"works", "partly", "planned"}
EXPECTED = [f"FR{number}" for number in range(1, 48)] + [f"NFR{number}" for number in range(1, 19)]


def readRows() -> list[list[str]]:
    lines = (ROOT / "docs" / "prd.md").read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines
        if line.startswith(("| FR", "| NFR"))
    ]


def testEveryRequirementIsNamedOnce():
    assert [row[0] for row in readRows()] == EXPECTED


def testEveryRowSaysAState():
    assert [row for row in readRows() if len(row) != 5 or row[2] not in STATES or not row[1]] == []


def testWhatWorksHasATest():
    assert [row[0] for row in readRows() if row[2] == "works" and not row[3]] == []


def testNamedTestsExist():
    assert [row for row in readRows() if row[3] and not (ROOT / row[3]).is_file()] == []
