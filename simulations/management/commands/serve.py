"""Starts the server; `quickstart` prepares what it needs and then ends here."""

from __future__ import annotations

import asyncio
import errno
import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand

from pm6.exceptions import ConfigurationError
from simulations.sessions.recovery import sweepLeftovers

CLOSE_SECONDS = 5
# Larger than any message of the protocol: what is larger still is cut off before it is kept.
MAX_FRAME_BYTES = 262_144


class Command(BaseCommand):
    help = "Starts the server: pages, API and sockets in one process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        checkSettings()
        checkPortFree(host, port)
        # Where `collectstatic` would put files; whitenoise warns when the folder is missing.
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        sweepLeftovers()
        serve(host, port, onReady=lambda: self.tell(f"Listening on http://{host}:{port}/ (Ctrl-C ends it)"))

    def tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def checkSettings() -> None:
    """Raises ConfigurationError for the first setting that a server must not run with."""
    found = checks.run_checks(tags=["pm6"], include_deployment_checks=True)
    for problem in found:
        if problem.is_serious():
            raise ConfigurationError(problem.msg, hint=problem.hint or "")


def checkPortFree(host: str, port: int) -> None:
    """Raises ConfigurationError when the server could not listen there."""
    if not 0 < port < 65536:
        raise ConfigurationError(f"{port} is no port.", hint="Take one between 1024 and 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} of {host} can't be used: {_describe(error)}.",
            hint=f"Stop what uses it, or take another one: make run PORT={_suggestPort(port)}",
        ) from error


def _describe(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there"
    return (error.strerror or str(error)).lower()


def _suggestPort(port: int) -> int:
    return port + 1 if 1024 <= port < 65535 else 8000


def serve(host: str, port: int, onReady: Any) -> None:
    """Serves until SIGINT or SIGTERM. No line per request: the ledger and the turns tell the story."""
    from channels.routing import get_default_application
    from daphne.endpoints import build_endpoint_description_strings
    from daphne.server import Server
    from twisted.internet import reactor as installedReactor

    # Its declared type is that of the interface, not of the object.
    reactor: Any = installedReactor
    reactor.addSystemEventTrigger("before", "shutdown", _endModelCalls)
    Server(
        application=get_default_application(),
        endpoints=build_endpoint_description_strings(host=host, port=port),
        ready_callable=onReady,
        server_name="pm6",
        websocket_max_message_size=MAX_FRAME_BYTES,
        websocket_max_frame_size=MAX_FRAME_BYTES,
    ).run()


async def endModelCalls() -> None:
    from agents.llm.clients import closeClients
    from simulations.engine.interact import drainTurns

    await drainTurns()
    await closeClients()


def _endModelCalls() -> Any:
    """Cuts the calls that run, so that what they used is recorded, and ends the embedded model."""
    from twisted.internet.defer import Deferred

    waiting = asyncio.wait_for(endModelCalls(), CLOSE_SECONDS)
    return Deferred.fromFuture(asyncio.ensure_future(waiting)).addErrback(lambda _: None)
