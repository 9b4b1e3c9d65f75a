"""Conditions in authored content: CEL, checked when saved, evaluated without a way out.

CEL has no loops and no side effects; its macros (`all`, `exists`, `map`, …) run over lists, so
at most one is allowed and nothing in the context is a long list.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cel

from pm6.exceptions import InvalidInputError

logger = logging.getLogger("pm6.simulations")
NAMES = {"state", "turn", "situation", "intent"}
MACROS = {"all", "exists", "exists_one", "existsOne", "map", "filter"}

# What an evaluation may raise: a missing name or place, the wrong type, an impossible sum.
FAILURES = (LookupError, ValueError, TypeError, RuntimeError, ArithmeticError)


@lru_cache(maxsize=4096)
def compileExpression(expression: str) -> Any:
    """Returns the compiled program.

    Raises:
        InvalidInputError: It doesn't parse, names something unknown or has two macros.
    """
    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise InvalidInputError(
            f"The condition {expression!r} is not valid CEL.",
            hint="Compare state variables, for example: state.approval < 20.0 && turn > 3",
            details={"parser": str(error).splitlines()[0][:200]},
        ) from error
    unknown = set(program.variables()) - NAMES
    macros = sum(expression.count(f".{macro}(") for macro in MACROS)
    if macros > 1:
        raise InvalidInputError(f"The condition {expression!r} has {macros} macros; one is allowed.")
    # Names that a macro binds are listed among the variables too.
    if len(unknown) > macros:
        raise InvalidInputError(
            f"The condition {expression!r} names {', '.join(sorted(unknown))}, which doesn't exist.",
            hint="Conditions know state, turn, situation and intent.",
        )
    return program


def buildContext(values: Mapping[str, Any]) -> cel.Context:
    """Returns values for many conditions: turning them into CEL's takes 200 times what a condition takes.

    For one thread, and for as long as the values hold.
    """
    return cel.Context(dict(values))


def evaluate(expression: str, context: cel.Context | dict[str, Any]) -> bool:
    """Returns whether a condition holds; one that fails is false, and logged as such."""
    try:
        return compileExpression(expression).execute(context) is True
    except (*FAILURES, InvalidInputError) as error:
        logger.warning("condition failed and counts as false: %s (%s)", expression, error)
        return False


def checkExpression(expression: str, state: Mapping[str, Any]) -> str:
    """Returns what is wrong with a condition over this state, or an empty text."""
    context = {"state": dict(state), "turn": 1, "situation": "", "intent": ""}
    try:
        result = compileExpression(expression).execute(context)
    except KeyError as error:
        return f"names {error}, which is no state variable"
    except FAILURES as error:
        return f"can't be evaluated: {error}"
    except InvalidInputError as error:
        return error.message
    return "" if isinstance(result, bool) else "is neither true nor false"
