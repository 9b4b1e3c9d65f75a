"""Tells every process that a simulation's content changed."""

from __future__ import annotations

from typing import Any

from django.db.models import F


def raiseRevision(simulation: Any) -> None:
    """Raises a simulation's revision; runs in the transaction that changed the content.

    Args:
        simulation: The row; the apps below `simulations` know it only by their foreign keys.
    """
    type(simulation)._default_manager.filter(pk=simulation.pk).update(revision=F("revision") + 1)
