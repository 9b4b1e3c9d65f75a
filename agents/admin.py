"""The cast in the admin."""

from django.contrib import admin

from agents.models import Agent
from costs.adminBase import ContentAdmin


@admin.register(Agent)
class AgentAdmin(ContentAdmin):
    list_display = ("name", "role", "simulation", "epoch")
    list_filter = ("simulation",)
    list_select_related = ("simulation",)
    search_fields = ("name", "role", "persona")
    readonly_fields = ("epoch",)
