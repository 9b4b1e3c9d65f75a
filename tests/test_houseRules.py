"""House rules that no other tool checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("pm6", "pm6site", "simulations", "agents", "costs")
PAGE_ENDINGS = {".html", ".js", ".mjs", ".css", ".svg"}
MARKERS = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
LONGEST_FILE = 400
# Names and licences are written as addresses; nothing is loaded from them.
HARMLESS_ADDRESS = re.compile(r"www\.w3\.org|licen[cs]e|copyright", re.IGNORECASE)


def listCode(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def listPageFiles(*folders: str) -> list[Path]:
    files = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in files if path.suffix in PAGE_ENDINGS)


def findLines(files: list[Path], pattern: str | re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]


def testPagesSetTextAndNeverMarkup():
    markup = r"\.innerHTML|\.outerHTML|insertAdjacentHTML"
    assert findLines(listPageFiles("static", "templates"), markup) == []


def testPagesLoadNothingFromOutside():
    lines = findLines(listPageFiles("static", "templates"), r"https?://|[\"'(]//\w")
    assert [line for line in lines if not HARMLESS_ADDRESS.search(line)] == []


def testNothingIsPutOff():
    files = [*listCode(*ROOMS, "tests", "benchmarks"), *listPageFiles("static", "templates")]
    assert findLines(files, MARKERS) == []


def testFilesStaySmall():
    files = [path for path in listCode(*ROOMS) if "migrations" not in path.parts]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {str(path): length for path, length in lengths.items() if length > LONGEST_FILE} == {}


OWN_COMMANDS = sorted(name for name, app in get_commands().items() if app in ROOMS)


@pytest.mark.parametrize("name", OWN_COMMANDS)
def testCommandExplainsItself(name):
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("pm6", name)
    unexplained = [action.dest for action in parser._actions if action.help in (None, "")]
    assert len(command.help) > 10
    assert unexplained == []


def testExampleNamesEverySetting():
    settings = (ROOT / "pm6site" / "settings.py").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    read = set(re.findall(r"env(?:iron\.get|\.\w+)\(\s*\"([A-Z][A-Z0-9_]+)\"", settings))
    explained = set(re.findall(r"^# ([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))
    assert read == explained


def testExampleGivesTheDefaults():
    settings = (ROOT / "pm6site" / "settings.py").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    texts = dict(re.findall(r"env\.str\(\s*\"([A-Z0-9_]+)\", default=\"([^\"]*)\"", settings))
    numbers = dict(re.findall(r"env\.(?:int|float)\(\s*\"([A-Z0-9_]+)\", default=([\d.]+)\)", settings))
    shown = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", example, flags=re.MULTILINE))
    assert {name: shown[name] for name in texts} == texts
    assert {name: float(shown[name]) for name in numbers} == {k: float(v) for k, v in numbers.items()}


def testSecretsStayOutOfTheRepository():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
    assert "/var/" in ignored
