"""The protocol's page, made from its models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from costs.schemas import StrictModel
from simulations import protocol

FROM_CLIENT = (protocol.Say, protocol.Resume, protocol.Ping)
PARTS = (
    protocol.SessionView,
    protocol.AgentView,
    protocol.VariableView,
    protocol.SceneView,
    protocol.OptionView,
    protocol.TurnView,
    protocol.ReplyView,
    protocol.AppliedEffect,
    protocol.TurnNote,
    protocol.MoneyView,
)


def buildPage() -> str:
    """Returns the page in Markdown."""
    lines = ["# The play socket", "", inspect.cleandoc(protocol.__doc__ or "").split("\n", 1)[1].strip(), ""]
    lines += ["This page is generated; `make docs` writes it anew.", ""]
    lines += ["## From the client", "", *describeAll(FROM_CLIENT)]
    lines += ["## From the server", "", *describeAll(get_args(protocol.ServerMessage))]
    lines += ["## Parts of messages", "", *describeAll(PARTS)]
    return "\n".join(lines).rstrip() + "\n"


def describeAll(models: tuple[type[StrictModel], ...]) -> Iterator[str]:
    for model in models:
        yield from describeModel(model)


def describeModel(model: type[StrictModel]) -> Iterator[str]:
    """Yields a heading, what the model is, and a table of its fields."""
    kind = model.model_fields.get("type")
    name = get_args(kind.annotation)[0] if kind else model.__name__
    text, meanings = readDocstring(model)
    yield from (f"### `{name}`", "")
    if text:
        yield from (text, "")
    yield from ("| field | type | meaning |", "| --- | --- | --- |")
    for field, info in model.model_fields.items():
        yield f"| `{field}` | {nameType(info.annotation)} | {meanings.get(field, '')} |"
    yield ""


def readDocstring(model: type[StrictModel]) -> tuple[str, dict[str, str]]:
    """Returns what a docstring says of the model, and of each field under its Attributes."""
    if not model.__doc__ or model.__doc__ == StrictModel.__doc__:
        return "", {}
    text, _, attributes = inspect.cleandoc(model.__doc__).partition("Attributes:")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE)
    return " ".join(text.split()), {name: " ".join(words.split()) for name, words in entries}


def nameType(annotation: Any) -> str:
    """Returns a type in the words of JSON."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is list:
        return f"list of {nameType(inner[0])}"
    if origin is dict:
        return f"object of {nameType(inner[1])}"
    if inner:
        return " or ".join(dict.fromkeys(nameType(part) for part in inner))
    names: dict[Any, str] = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "boolean",
        type(None): "null",
    }
    return names.get(annotation) or str(getattr(annotation, "__name__", "any"))
