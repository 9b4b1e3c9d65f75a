"""What all admin pages share: content that raises the revision, records that nobody edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from unfold.admin import ModelAdmin

from costs.budgets import formatNano
from costs.contentRevision import raiseRevision
from pm6.exceptions import PM6Error


class ContentAdmin(ModelAdmin):
    """Authored content: every change reaches all processes from the next turn on."""

    def findSimulation(self, obj: Any) -> Any:
        return obj.simulation

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            self.publish(self.findSimulation(obj))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            simulation = self.findSimulation(obj)
            super().delete_model(request, obj)
            if simulation != obj:
                self.publish(simulation)

    def publish(self, simulation: Any) -> None:
        """Raises the revision, unless the content couldn't be played any more."""
        raiseRevision(simulation)
        simulation.checkContent()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self.tellRefusal(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self.tellRefusal(request, super().delete_view, *args, **kwargs)

    def tellRefusal(self, request: HttpRequest, view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Shows a refusal of ours as a message, with nothing written."""
        try:
            with transaction.atomic():
                return view(request, *args, **kwargs)
        except PM6Error as error:
            messages.error(request, f"{error.message} {error.hint}")
            return HttpResponseRedirect(request.get_full_path())

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
