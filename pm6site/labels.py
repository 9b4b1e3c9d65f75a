"""Labels that read as English: camelCase names of fields as words."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.db.models.signals import class_prepared
from django.utils.text import camel_case_to_spaces

OWN_APPS = {"simulations", "agents", "costs"}


def labelFields(sender: type[Model], **kwargs: Any) -> None:
    """Gives every field without a label of its own one; migrations don't see it."""
    if sender._meta.app_label not in OWN_APPS:
        return
    for field in sender._meta.local_fields:
        if getattr(field, "_verbose_name", None) is None:
            field.verbose_name = camel_case_to_spaces(field.name)


# Connected when the app's module is imported, which is before any model is.
class_prepared.connect(labelFields, dispatch_uid="pm6.labels")
