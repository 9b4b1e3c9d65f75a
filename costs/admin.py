"""Stored replies and money in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from costs.adminBase import ContentAdmin, RecordAdmin, moneyColumn
from costs.models import Budget, BudgetReservation, CostRecord, PriceRule, ResponseSignature, ResponseVariant
from costs.pricing import forgetPriceRules


class VariantInline(TabularInline):
    model = ResponseVariant
    fields = ("text", "status", "condition", "weight", "effects", "madeIn", "agentEpoch")
    readonly_fields = ("madeIn", "agentEpoch")
    extra = 0


@admin.register(ResponseSignature)
class SignatureAdmin(ContentAdmin):
    """Signatures are computed and not edited; their variants are."""

    readonly_fields = ("simulation", "agent", "digest", "situationType", "mask", "components", "createdAt")

    list_display = ("agent", "situationType", "intentWord", "variantCount")
    list_filter = ("simulation", "agent", "situationType")
    list_select_related = ("agent", "simulation")
    inlines = (VariantInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(variantTotal=Count("variants"))

    @admin.display(description="Intent")
    def intentWord(self, obj: ResponseSignature) -> str:
        return obj.components["intent"]

    @admin.display(description="Variants", ordering="variantTotal")
    def variantCount(self, obj: Any) -> int:
        return obj.variantTotal


@admin.register(ResponseVariant)
class VariantAdmin(ContentAdmin):
    list_display = ("__str__", "status", "madeIn", "model", moneyColumn("costNano", "Cost"))
    list_filter = ("status", "madeIn", "signature__simulation")
    list_select_related = ("signature",)
    search_fields = ("text",)
    readonly_fields = (
        "signature", "madeIn", "clientKind", "model", "agentEpoch", "simulationEpoch", "fingerprint",
        "checkResult", "costNano", "reviewer",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def findSimulation(self, obj: ResponseVariant) -> Any:
        return obj.signature.simulation


@admin.register(CostRecord)
class CostRecordAdmin(RecordAdmin):
    """The ledger: read only, since it must add up."""

    list_display = (
        "createdAt", "simulation", "agent", "purpose", "source", "status", "model",
        moneyColumn("priceNano", "Cost"), moneyColumn("savedNano", "Saved"),
    )  # fmt: skip
    list_filter = ("source", "purpose", "status", "mode", "simulation")
    list_select_related = ("simulation", "agent")
    show_full_result_count = False


@admin.register(Budget)
class BudgetAdmin(ModelAdmin):
    list_display = (
        "scope", "simulation", "session", moneyColumn("limitNano", "Limit"),
        moneyColumn("settledNano", "Spent"), moneyColumn("reservedNano", "Set aside"),
        moneyColumn("leftNano", "Left"),
    )  # fmt: skip
    list_filter = ("scope",)
    list_select_related = ("simulation", "session")
    readonly_fields = ("settledNano", "reservedNano", "updatedAt")
    raw_id_fields = ("session",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Without its row a scope would have no limit; raise or lower the limit instead."""
        return False


@admin.register(BudgetReservation)
class ReservationAdmin(RecordAdmin):
    """Money set aside: read only, since it ends by itself."""

    list_display = ("createdAt", "budget", "status", moneyColumn("amountNano", "Amount"), "expiresAt")
    list_filter = ("status",)
    list_select_related = ("budget",)


@admin.register(PriceRule)
class PriceRuleAdmin(ModelAdmin):
    list_display = ("model", "validFrom", "inputNano", "outputNano", "note")

    def save_model(self, request: HttpRequest, obj: PriceRule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        forgetPriceRules()
