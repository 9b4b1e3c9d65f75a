"""A JSON column whose content a pydantic type describes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticError

from pm6.exceptions import PM6Error


class TypedJsonField(models.JSONField):
    """A plain JSONField that is validated by a pydantic type when a form or import is cleaned.

    Reading never validates, so one bad row can't break a whole list.

    Args:
        schema: The pydantic type, such as `list[Effect]`.
    """

    def __init__(self, *args: Any, schema: Any = None, **kwargs: Any):
        self.adapter = TypeAdapter(schema) if schema is not None else None
        super().__init__(*args, **kwargs)

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        if self.adapter is None:
            return
        try:
            self.adapter.validate_python(value)
        except PydanticError as error:
            raise ValidationError(
                [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            ) from error


def cleanField(name: str, check: Callable[[Any], Any], value: Any) -> None:
    """Runs a check of ours for a form.

    Raises:
        ValidationError: The check refused the value; its words stand at the field.
    """
    try:
        check(value)
    except PM6Error as error:
        raise ValidationError({name: f"{error.message} {error.hint}"}) from error
