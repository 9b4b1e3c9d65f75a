"""Packs: loading twice, edited rows, and every way in which a pack can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import call_command

from agents.models import Agent
from costs.models import ResponseSignature, ResponseVariant
from pm6.exceptions import PackError
from simulations.models import Intent, Session, Simulation, StateVariable
from simulations.packs.loadPack import listShippedPacks, loadPack
from tests.conftest import PACKS

INN = PACKS / "villageInn"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the inn to spoil."""
    return Path(shutil.copytree(INN, tmp_path / "villageInn"))


def replaceIn(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refuse(folder: Path) -> list[str]:
    """Loads a pack that must be refused; returns its problems, having checked that nothing was written."""
    with pytest.raises(PackError) as caught:
        loadPack(folder)
    assert not Simulation.objects.exists()
    assert not ResponseVariant.objects.exists()
    return caught.value.details["problems"]


@pytest.mark.django_db
def test_theInnLoadsAndLoadingAgainChangesNothing():
    first = loadPack(INN)
    revision = Simulation.objects.get().revision
    second = loadPack(INN)
    assert first.created > 30
    assert (second.created, second.updated, second.removed, second.kept) == (0, 0, 0, [])
    assert Simulation.objects.get().revision == revision
    assert ResponseVariant.objects.exclude(status="approved").count() == 0


@pytest.mark.django_db
def test_everyShippedPackLoads():
    for pack in listShippedPacks():
        assert loadPack(pack).created


@pytest.mark.django_db
def test_anEditedRowIsKeptAndListed():
    loadPack(INN)
    Agent.objects.filter(slug="greta").update(persona="Edited by hand.")
    kept = loadPack(INN).kept
    assert len(kept) == 1
    assert "greta" in kept[0]
    assert Agent.objects.get(slug="greta").persona == "Edited by hand."
    loadPack(INN, overwrite=True)
    assert Agent.objects.get(slug="greta").persona != "Edited by hand."


@pytest.mark.django_db
def test_aChangedFileUpdatesTheRowAndRaisesTheRevision(folder):
    loadPack(folder)
    before = Simulation.objects.get().revision
    replaceIn(folder / "simulation.yaml", "title: Pour a round", "title: Pour two rounds")
    report = loadPack(folder)
    assert report.updated == 1
    assert Intent.objects.get(slug="pourRound").title == "Pour two rounds"
    assert Simulation.objects.get().revision == before + 1


@pytest.mark.django_db
def test_aReplyThatIsGoneFromThePackIsRetired(folder):
    loadPack(folder)
    path = next((folder / "responses").glob("*/*.yaml"))
    total = ResponseVariant.objects.filter(status="approved").count()
    text = path.read_text()
    path.unlink()
    report = loadPack(folder)
    assert report.removed == ResponseVariant.objects.filter(status="retired").count() > 0
    assert ResponseVariant.objects.filter(status="approved").count() == total - report.removed
    path.write_text(text)
    loadPack(folder)
    assert ResponseVariant.objects.filter(status="approved").count() == total


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("simulation.yaml", "fallbackAgent: greta", "fallbackAgent: nobody", "no agent nobody"),
        ("simulation.yaml", "agents: [greta", "agents: [ghost", "no agent ghost"),
        ("simulation.yaml", "intent: pourRound", "intent: flyAway", "no intent flyAway"),
        ("simulation.yaml", "nextSituation: backRoom", "nextSituation: attic", "no situation type attic"),
        ("simulation.yaml", "state.debt <= 0.0", "state.gold <= 0.0", "no state variable"),
        ("simulation.yaml", "state.debt <= 0.0", "state.debt <=", "not valid CEL"),
        ("simulation.yaml", "slug: villageInn", "slug: villageInn\nsurprise: 1", "surprise"),
        ("agents/greta.yaml", "slug: greta", "slug: gertrude", "its slug is gertrude"),
        ("agents/greta.yaml", "schemaVersion: 1", "schemaVersion: 7", "schemaVersion"),
    ],
)
def test_aWrongPackIsRefusedWithFileAndLine(folder, file, old, new, said):
    replaceIn(folder / file, old, new)
    problems = refuse(folder)
    hits = [problem for problem in problems if said in problem]
    assert hits
    assert hits[0].startswith(f"{file}:")
    assert int(hits[0].split(":")[1]) >= 1


@pytest.mark.django_db
def test_aMissingAgentIsNamed(folder):
    (folder / "agents" / "orrin.yaml").unlink()
    assert any("no agent orrin" in problem for problem in refuse(folder))


@pytest.mark.django_db
def test_aBucketGapIsNamed(folder):
    text = (folder / "simulation.yaml").read_text()
    first = text.index("toValue:")
    number = text[first:].split(":", 1)[1].strip().split()[0].strip(",}")
    replaceIn(folder / "simulation.yaml", f"toValue: {number}", f"toValue: {float(number) - 0.5}")
    assert any("gap" in problem for problem in refuse(folder))


@pytest.mark.django_db
def test_aCycleOfEventsIsNamed(folder):
    text = (folder / "simulation.yaml").read_text()
    replaceIn(
        folder / "simulation.yaml",
        "events:\n",
        "events:\n  one: {title: One, text: One., then: two}\n  two: {title: Two, text: Two., then: one}\n",
    )
    assert "events:" in text
    assert any("lead back to it" in problem for problem in refuse(folder))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"a: [", b"a: &x 1\nb: *x\n", b"- 1\n", b"", b"a: !!python/object:os.system x\n"],
)
def test_aBrokenFileIsRefused(folder, content):
    (folder / "simulation.yaml").write_bytes(content)
    assert refuse(folder)


@pytest.mark.django_db
def test_anUnknownFolderIsNoPack(tmp_path):
    with pytest.raises(PackError):
        loadPack(tmp_path)


@pytest.mark.django_db
def test_theCommandTellsWhatItDid(capsys):
    call_command("loadPack", str(INN))
    assert "villageInn" in capsys.readouterr().out
    assert StateVariable.objects.exists()
    assert not Session.objects.exists()
    assert ResponseSignature.objects.exists()
