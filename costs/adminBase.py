"""What all admin pages share: content that raises the revision, records that nobody edits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from costs.budgets import formatNano
from costs.contentRevision import raiseRevision


class ContentAdmin(ModelAdmin):
    """Authored content: every change reaches all processes from the next turn on."""

    def findSimulation(self, obj: Any) -> Any:
        return obj.simulation

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            raiseRevision(self.findSimulation(obj))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            simulation = self.findSimulation(obj)
            super().delete_model(request, obj)
            raiseRevision(simulation)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


class RecordAdmin(ModelAdmin):
    """Records of what happened. Nobody edits them: the ledger and the transcripts are evidence."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def moneyColumn(field: str, title: str) -> Any:
    """Returns an admin column that shows nano-dollars as dollars."""

    @admin.display(description=title, ordering=field)
    def show(obj: Any) -> str:
        return formatNano(getattr(obj, field) or 0)

    return show
