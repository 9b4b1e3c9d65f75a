from costs.models.money import Budget, BudgetReservation, CostRecord, PriceRule
from costs.models.response import Flight, ResponseSignature, ResponseVariant

__all__ = [
    "Budget",
    "BudgetReservation",
    "CostRecord",
    "Flight",
    "PriceRule",
    "ResponseSignature",
    "ResponseVariant",
]
