"""What the server calls: pages and API through Django, sockets through Channels."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pm6site.settings")
httpApplication = get_asgi_application()

# Only now are the apps loaded that the sockets' code needs.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import re_path  # noqa: E402

from simulations.play.routing import websocketUrls  # noqa: E402


async def refuseSocket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Closes a socket of an unknown address before it opens, where the router would raise."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


socketRouter = URLRouter([*websocketUrls, re_path(r"", refuseSocket)])  # type: ignore[arg-type]

application = ProtocolTypeRouter(
    {
        "http": httpApplication,
        # The origin is looked at before a cookie is: a foreign page never gets as far as the session.
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(socketRouter)),
    }
)
