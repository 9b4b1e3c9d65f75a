"""Worlds in the admin: a simulation and its parts."""

from __future__ import annotations

from django.contrib import admin

from costs.adminBase import ContentAdmin
from simulations.models import Intent, Rule, Simulation, SituationType, StateVariable, WorldEvent


@admin.register(Simulation)
class SimulationAdmin(ContentAdmin):
    list_display = ("title", "slug", "language", "allowGuests", "epoch", "revision")
    search_fields = ("title", "slug")
    readonly_fields = ("epoch", "revision", "createdAt")

    def findSimulation(self, obj: Simulation) -> Simulation:
        return obj


class PartAdmin(ContentAdmin):
    list_display: tuple[str, ...] = ("title", "slug", "simulation")
    list_filter = ("simulation",)
    list_select_related = ("simulation",)
    search_fields = ("title", "slug")


@admin.register(SituationType)
class SituationTypeAdmin(PartAdmin):
    list_display = ("title", "slug", "simulation", "agentsPerTurn", "sharing")


@admin.register(Intent)
class IntentAdmin(PartAdmin):
    list_display = ("title", "slug", "simulation", "words")


@admin.register(StateVariable)
class StateVariableAdmin(PartAdmin):
    list_display = ("title", "slug", "simulation", "kind", "initial")


@admin.register(Rule)
class RuleAdmin(PartAdmin):
    list_display = ("title", "slug", "simulation", "kind", "condition")


@admin.register(WorldEvent)
class WorldEventAdmin(PartAdmin):
    list_display = ("title", "slug", "simulation", "then")
