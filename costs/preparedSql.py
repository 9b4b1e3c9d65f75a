"""SQL that Django builds once and runs often, for the few statements of the hit path.

Building a statement from a queryset takes several times what the database takes to run it. What
is prepared here is still Django's own: its compiler, its columns, its conversions, both databases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.expressions import Expression


class Slot(Expression):
    """Stands in a queryset for a value that is given with each run."""

    def __init__(self, name: str, field: models.Field):
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def convert(self, values: Mapping[str, Any], connection: Any) -> Any:
        return self.output_field.get_db_prep_value(values[self.name], connection)


class PreparedQuery:
    """A `values_list` queryset, compiled at its first run on a database."""

    def __init__(self, build: Callable[[], models.QuerySet]):
        """
        Args:
            build: Returns the queryset, with `Slot`s for the values that change.
        """
        self.build = build
        self.compiled: dict[str, tuple[Any, str, tuple[Any, ...], Any]] = {}

    def fetch(self, **values: Any) -> Iterator[tuple[Any, ...]]:
        """Runs it with a value for each slot; returns the rows, converted as Django does."""
        connection = connections[DEFAULT_DB_ALIAS]
        compiled = self.compiled.get(connection.vendor)
        if compiled is None:
            compiled = self.compiled[connection.vendor] = self._compile()
        compiler, sql, params, converters = compiled
        given = [param.convert(values, connection) if isinstance(param, Slot) else param for param in params]
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            rows = cursor.fetchall()
        return map(tuple, compiler.apply_converters(rows, converters) if converters else rows)

    def _compile(self) -> tuple[Any, str, tuple[Any, ...], Any]:
        compiler = self.build().query.get_compiler(DEFAULT_DB_ALIAS)
        sql, params = compiler.as_sql()
        converters = compiler.get_converters([column[0] for column in compiler.select])
        return compiler, sql, tuple(params), converters


def insertRows(rows: Sequence[models.Model]) -> None:
    """Inserts new rows of one model in one statement and gives them their keys; sends no signals."""
    if not rows:
        return
    connection = connections[DEFAULT_DB_ALIAS]
    sql, fields = _insertSql(type(rows[0]), len(rows), connection.vendor)
    values = [
        field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        keys = cursor.fetchall()
    for row, (key,) in zip(rows, keys, strict=True):
        row.pk = key
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def updateRow(row: models.Model, names: tuple[str, ...]) -> None:
    """Writes some fields of a row that is there; sends no signals."""
    connection = connections[DEFAULT_DB_ALIAS]
    sql, fields = _updateSql(type(row), names, connection.vendor)
    values = [field.get_db_prep_save(field.pre_save(row, False), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, row._meta.pk.get_db_prep_save(row.pk, connection)])


@lru_cache(maxsize=64)
def _insertSql(model: type[models.Model], count: int, vendor: str) -> tuple[str, list[Any]]:
    fields = [field for field in model._meta.local_concrete_fields if not field.primary_key]
    columns = ", ".join(_quote(field.column) for field in fields)
    marks = ", ".join(["(" + ", ".join(["%s"] * len(fields)) + ")"] * count)
    table, key = _quote(model._meta.db_table), _quote(model._meta.pk.column)
    return f"INSERT INTO {table} ({columns}) VALUES {marks} RETURNING {key}", fields  # noqa: S608


@lru_cache(maxsize=64)
def _updateSql(model: type[models.Model], names: tuple[str, ...], vendor: str) -> tuple[str, list[Any]]:
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    changes = ", ".join(f"{_quote(field.column)} = %s" for field in fields)
    table, key = _quote(model._meta.db_table), _quote(model._meta.pk.column)
    return f"UPDATE {table} SET {changes} WHERE {key} = %s", fields  # noqa: S608


def _quote(name: str | None) -> str:
    assert name
    return connections[DEFAULT_DB_ALIAS].ops.quote_name(name)
