"""A place of its own for a measurement: fresh folder, fresh SQLite file, scripted models."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT / "simulations" / "packs"
INN = ROOT / "tests" / "fixtures" / "packs" / "villageInn"
NO_LIMIT = str(10**7)


@dataclass(frozen=True, slots=True)
class Home:
    """A folder that a measured process keeps its data in, and the environment that leads there."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "pm6site.settings",
            "PM6_HOME": str(self.folder),
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "SECRET_KEY": "only-for-measuring",
            "PM6_LLM": "scripted",
            "PM6_MESSAGES_PER_MINUTE": NO_LIMIT,
            "PM6_GUEST_SESSIONS_PER_HOUR": NO_LIMIT,
            "LOG_LEVEL": "WARNING",
        }

    def manage(self, *words: str) -> None:
        """Runs a management command of pm6 here."""
        subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def enter(self) -> None:
        """Makes this process itself live here, with the database migrated; before Django is set up."""
        import django
        from django.core.management import call_command

        os.environ.update(self.environment)
        django.setup()
        call_command("migrate", interactive=False, verbosity=0)


@contextmanager
def makeHome() -> Iterator[Home]:
    """Gives a fresh home that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pm6-bench-", ignore_cleanup_errors=True) as folder:
        # The server looks for it and would warn.
        (Path(folder) / "var" / "static").mkdir(parents=True)
        yield Home(Path(folder))


def findPack(name: str) -> Path:
    """Returns the folder of a pack: one that ships, `villageInn`, or a path."""
    for folder in (PACKS / name, INN if name == INN.name else PACKS / name):
        if (folder / "simulation.yaml").is_file():
            return folder
    return Path(name)
