"""Plays in the admin, to read."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from costs.adminBase import RecordAdmin, moneyColumn
from simulations.models import Reply, Session, Turn


class ReplyInline(TabularInline):
    model = Reply
    fields = ("position", "agent", "status", "source", "text", "model", "costNano", "savedNano")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Session)
class SessionAdmin(RecordAdmin):
    """Sessions are records: they are played, not edited."""

    list_display = (
        "createdAt", "simulation", "player", "mode", "status",
        moneyColumn("spentNano", "Spent"), moneyColumn("savedNano", "Saved"),
    )  # fmt: skip
    list_filter = ("status", "mode", "simulation")
    list_select_related = ("simulation", "player")
    exclude = ("guestKey",)


@admin.register(Turn)
class TurnAdmin(RecordAdmin):
    """Turns are records: append-only."""

    list_display = ("session", "number", "status", "inputText", "intent", "intentPath", "totalMs")
    list_filter = ("status", "intentPath")
    list_select_related = ("session",)
    inlines = (ReplyInline,)
