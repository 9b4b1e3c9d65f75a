"""A server as a child process, for as long as somebody needs one."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pm6.exceptions import ConfigurationError

START_SECONDS = 60


@contextmanager
def runServer(application: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Gives the host and port of a server that runs until the block ends.

    Args:
        application: The ASGI application, such as `pm6site.asgi:application`.
        environment: The child's environment; this process's when left out.

    Raises:
        ConfigurationError: It ended, or took too long to start.
    """
    port = findFreePort()
    command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port), application]
    server = subprocess.Popen(command, env=environment)  # noqa: S603  no word of it is a player's
    try:
        waitForPort(server, port)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def findFreePort() -> int:
    """Returns a port of 127.0.0.1 that nothing uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def waitForPort(server: subprocess.Popen[bytes], port: int) -> None:
    """Returns when a server takes connections.

    Raises:
        ConfigurationError: It ended, or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ConfigurationError("The server did not start.", hint="Run `pm6 serve` to see why.")
