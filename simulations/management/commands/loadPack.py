"""Loads packs into the database."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandParser

from simulations.packs.loadPack import SHIPPED, LoadReport, listShippedPacks, loadPack


class Command(BaseCommand):
    help = "Loads a pack: a folder, or the name of one that ships with pm6. Edited rows are kept and listed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("packs", nargs="*", help="Folders or names; all shipped packs when left out.")
        parser.add_argument(
            "--overwrite", action="store_true", help="Write over rows that were edited since."
        )

    def handle(self, *args: object, **options: object) -> None:
        names = options["packs"] or [str(folder) for folder in listShippedPacks()]
        for name in names:  # type: ignore[attr-defined]
            shipped = SHIPPED / name
            folder = shipped if shipped.is_dir() else Path(name)
            self.tell(loadPack(folder, overwrite=bool(options["overwrite"])))

    def tell(self, report: LoadReport) -> None:
        self.stdout.write(
            f"{report.slug}: {report.created} new, {report.updated} updated, "
            f"{report.unchanged} unchanged, {report.removed} removed"
        )
        for name in report.kept:
            self.stdout.write(f"  kept as edited: {name} (use --overwrite to replace it)")
