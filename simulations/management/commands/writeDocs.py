"""Writes the pages of the documentation that are made from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser

from simulations.protocolDocs import buildPage

OWN_COMMANDS = {"simulations": "simulations/management/commands", "costs": "costs/management/commands"}


class Command(BaseCommand):
    help = "Writes docs/protocol.md and docs/commands.md from the code; --check only compares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Fail where a page is out of date.")

    def handle(self, *args: object, **options: Any) -> None:
        docs = Path(settings.BASE_DIR) / "docs"
        pages = {docs / "protocol.md": buildPage(), docs / "commands.md": buildCommandsPage()}
        stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
        if options["check"] and stale:
            names = ", ".join(path.name for path in stale)
            raise CommandError(f"Out of date: {names}. Run `make docs`.")
        for path in stale:
            path.write_text(pages[path])
            self.stdout.write(f"wrote {path.name}")


def buildCommandsPage() -> str:
    """Returns the page of commands: each one's own help."""
    lines = [
        "# Commands",
        "",
        "`pm6 NAME` is the same as `python manage.py NAME`.",
        "This page is generated; `make docs` writes it anew.",
        "",
    ]
    for name, app in sorted(listCommands()):
        parser = load_command_class(app, name).create_parser("pm6", name)
        lines += [
            f"## {name}",
            "",
            str(parser.description or ""),
            "",
            "| argument | meaning |",
            "| --- | --- |",
        ]
        lines += [
            f"| `{' '.join(action.option_strings) or action.dest}` | {action.help or ''} |"
            for action in parser._actions
            if isOwn(action)
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def listCommands() -> list[tuple[str, str]]:
    return [
        (path.stem, app)
        for app, folder in OWN_COMMANDS.items()
        for path in (Path(settings.BASE_DIR) / folder).glob("[a-z]*.py")
    ]


SHARED = {
    "help",
    "version",
    "verbosity",
    "settings",
    "pythonpath",
    "traceback",
    "no_color",
    "force_color",
    "skip_checks",
}


def isOwn(action: Any) -> bool:
    """Returns whether an argument is the command's and not every command's."""
    return action.dest not in SHARED
