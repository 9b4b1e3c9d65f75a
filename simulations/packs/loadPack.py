"""A pack's parts as rows: new ones made, unchanged ones updated, edited ones kept and named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import F

from agents.models import Agent
from costs.budgets import dollarsToNano, ensureBudget
from costs.models import ResponseSignature, ResponseVariant
from costs.responseCache import getSignature
from costs.schemas import SignatureComponents, StrictModel
from costs.signatureCompute import ANY, Mask
from simulations.engine.world import World, compileWorld
from simulations.models import (
    Intent,
    Rule,
    Simulation,
    SituationType,
    StateVariable,
    WorldEvent,
)
from simulations.packs.checkPack import buildMask, checkPack
from simulations.packs.packFormat import ResponsePart
from simulations.packs.readPack import Pack, packError, readPack

SHIPPED = Path(__file__).parent
PART_MODELS: tuple[tuple[str, type[models.Model]], ...] = (
    ("variables", StateVariable),
    ("intents", Intent),
    ("situationTypes", SituationType),
    ("rules", Rule),
    ("events", WorldEvent),
)
TOP_ONLY = {"schemaVersion", "budgets", "variables", "intents", "situationTypes", "rules", "events"}


@dataclass(slots=True)
class LoadReport:
    """What loading a pack did; `kept` lists rows that were edited since and left as they are."""

    slug: str
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    kept: list[str] = field(default_factory=list)


def listShippedPacks() -> list[Path]:
    """Returns the folders of the packs that ship with pm6."""
    return sorted(path.parent for path in SHIPPED.glob("*/simulation.yaml"))


def loadPack(folder: Path, *, overwrite: bool = False, owner: User | None = None) -> LoadReport:
    """Reads, checks and writes a pack, all or nothing.

    Args:
        folder: The pack.
        overwrite: Whether rows that were edited since the last load are written over.
        owner: Whom a new simulation belongs to.

    Raises:
        PackError: Something in the files is wrong; every problem is named with file and line.
    """
    pack = readPack(folder)
    if problems := checkPack(pack):
        raise packError(folder.name, problems)
    with transaction.atomic():
        return PackWriter(pack, overwrite).write(owner)


class PackWriter:
    """Writes one pack; a row knows by a hash whether it still is as a pack last wrote it."""

    def __init__(self, pack: Pack, overwrite: bool):
        self.pack = pack
        self.overwrite = overwrite
        self.report = LoadReport(pack.simulation.slug)

    def write(self, owner: User | None) -> LoadReport:
        simulation = self.writeSimulation(owner)
        for name, model in PART_MODELS:
            self.writeParts(simulation, model, getattr(self.pack.simulation, name))
        self.writeAgents(simulation)
        self.writeResponses(simulation)
        if self.report.created or self.report.updated or self.report.removed:
            Simulation.objects.filter(pk=simulation.pk).update(revision=F("revision") + 1)
        return self.report

    def writeSimulation(self, owner: User | None) -> Simulation:
        top = self.pack.simulation
        values = top.model_dump(exclude=TOP_ONLY)
        budget = top.budgets.session
        values["sessionBudgetNano"] = dollarsToNano(budget) if budget else None
        existing = Simulation.objects.select_for_update().filter(slug=top.slug).first()
        row = existing or Simulation(slug=top.slug, owner=owner)
        self.writeRow(row, values, isNew=existing is None)
        if top.budgets.simulation:
            ensureBudget("simulation", dollarsToNano(top.budgets.simulation), simulation=row)
        return row

    def writeParts(self, simulation: Simulation, model: type[Any], parts: Mapping[str, StrictModel]) -> None:
        existing = {row.slug: row for row in model.objects.filter(simulation=simulation)}
        for position, (slug, part) in enumerate(parts.items()):
            row = existing.get(slug) or model(simulation=simulation, slug=slug)
            values = part.model_dump(mode="json", exclude_none=True) | {"position": position}
            self.writeRow(row, values, isNew=slug not in existing)
        self.removeOthers(model, [row for slug, row in existing.items() if slug not in parts])

    def writeAgents(self, simulation: Simulation) -> None:
        existing = {row.slug: row for row in Agent.objects.filter(simulation=simulation)}
        for position, (slug, agent) in enumerate(self.orderAgents().items()):
            row = existing.get(slug) or Agent(simulation=simulation, slug=slug)
            values = agent.model_dump(mode="json", exclude={"schemaVersion", "slug"}) | {"position": position}
            self.writeRow(row, values, isNew=slug not in existing)
        self.removeOthers(
            Agent,
            [
                row
                for slug, row in existing.items()
                if slug not in self.pack.agents and not row.replies.exists()
            ],
        )

    def orderAgents(self) -> dict[str, Any]:
        """Returns the agents in the order in which the situation types name them."""
        named = [slug for s in self.pack.simulation.situationTypes.values() for slug in s.agents]
        return {slug: self.pack.agents[slug] for slug in dict.fromkeys([*named, *self.pack.agents])}

    def writeRow(self, row: Any, values: Mapping[str, Any], *, isNew: bool) -> None:
        """Writes one row, unless somebody edited it since a pack last wrote it."""
        current = {name: getattr(row, name) for name in values}
        wanted = hashValues(values)
        if not isNew and hashValues(current) == wanted:
            if row.packHash != wanted:
                row.packHash = wanted
                row.save(update_fields=["packHash"])
            self.report.unchanged += 1
            return
        if not isNew and hashValues(current) != row.packHash and not self.overwrite:
            self.report.kept.append(f"{row._meta.verbose_name} {getattr(row, 'slug', row.pk)}")
            return
        for name, value in values.items():
            setattr(row, name, value)
        row.packHash = wanted
        row.save()
        if isNew:
            self.report.created += 1
        else:
            self.report.updated += 1

    def removeOthers(self, model: type[Any], rows: Iterable[Any]) -> None:
        """Removes rows that a pack wrote and no longer has; rows of the author's own stay."""
        for row in rows:
            if row.packHash:
                row.delete()
                self.report.removed += 1
            else:
                self.report.kept.append(f"{row._meta.verbose_name} {row.slug}")

    def writeResponses(self, simulation: Simulation) -> None:
        """Writes the authored replies, approved, under their signatures."""
        simulation.refresh_from_db()
        world = compileWorld(simulation)
        existing = self.readAuthored(simulation)
        wanted: set[tuple[str, str]] = set()
        for (agent, situationType), responseFile in self.pack.responses.items():
            for response in responseFile.responses:
                components, mask = buildKey(world, agent, situationType, response)
                signature = getSignature(simulation.pk, world.getAgent(agent).id, components, mask)
                for variant in response.variants:
                    wanted.add((signature.digest, variant.text))
                    row = existing.get((signature.digest, variant.text))
                    self.writeVariant(world, signature, components, variant, row)
        for key, row in existing.items():
            if key not in wanted:
                self.retire(row)

    def readAuthored(self, simulation: Simulation) -> dict[tuple[str, str], ResponseVariant]:
        rows = ResponseVariant.objects.filter(
            signature__simulation=simulation, madeIn=ResponseVariant.MadeIn.AUTHORED
        ).exclude(packHash="")
        return {(row.signature.digest, row.text): row for row in rows.select_related("signature")}

    def writeVariant(
        self,
        world: World,
        signature: ResponseSignature,
        components: SignatureComponents,
        variant: Any,
        row: ResponseVariant | None,
    ) -> None:
        values = variant.model_dump(mode="json", exclude_none=True)
        agent = world.agents[components.agent]
        current = {
            "agentEpoch": agent.epoch,
            "simulationEpoch": world.epoch,
            "fingerprint": world.fingerprint(components),
        }
        if row is None:
            ResponseVariant.objects.create(
                signature=signature,
                status=ResponseVariant.Status.APPROVED,
                packHash=hashValues(values),
                **values,
                **current,
            )
            self.report.created += 1
            return
        if row.status == ResponseVariant.Status.RETIRED and row.reviewer_id is None:
            # It was gone from the pack and is back.
            row.status = ResponseVariant.Status.APPROVED
            row.save(update_fields=["status", "updatedAt"])
            self.report.updated += 1
        self.writeRow(row, values, isNew=False)
        # The pack says these replies go with these personas: they are current again.
        if any(getattr(row, name) != value for name, value in current.items()):
            ResponseVariant.objects.filter(pk=row.pk).update(**current)
            self.report.updated += 1

    def retire(self, row: ResponseVariant) -> None:
        """Takes a reply out of service that the pack no longer has; what was said stays on record."""
        if row.status != ResponseVariant.Status.RETIRED:
            row.status = ResponseVariant.Status.RETIRED
            row.save(update_fields=["status", "updatedAt"])
            self.report.removed += 1


def buildKey(
    world: World, agent: str, situationType: str, response: ResponsePart
) -> tuple[SignatureComponents, Mask]:
    """Returns the components of an authored response and what is open in them."""
    variables = [v for v in world.situations[situationType].variables if v in world.variables]
    mask = buildMask(variables, response)
    components = SignatureComponents(
        simulation=world.slug,
        agent=agent,
        situationType=situationType,
        state={slug: response.when.get(slug, ANY) for slug in variables},
        intent=response.intent,
        language=world.language,
        previousIntent=ANY,
    )
    return components, mask


def hashValues(values: Mapping[str, Any]) -> str:
    """Returns a hash that tells whether a row still is as a pack wrote it."""

    return xxhash.xxh3_128_hexdigest(json.dumps(values, sort_keys=True, default=str).encode())
