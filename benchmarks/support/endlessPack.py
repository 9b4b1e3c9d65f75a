"""A pack that can be played without end, made of another one."""

from __future__ import annotations

import shutil
from pathlib import Path

from ruamel.yaml import YAML

SLUG = "endless"
ENDINGS = ("win", "lose")


def writeEndlessPack(source: Path, target: Path) -> Path:
    """Copies a pack without its endings; the first stored reply to anything is enough to be a hit."""
    shutil.copytree(source, target)
    yaml = YAML(typ="safe")
    file = target / "simulation.yaml"
    top = yaml.load(file)
    top |= {"slug": SLUG, "turnLimit": 0, "targetVariants": 1}
    top["rules"] = {slug: rule for slug, rule in top["rules"].items() if rule["kind"] not in ENDINGS}
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(top, out)
    return target
