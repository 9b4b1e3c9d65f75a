"""The real application with two echoes beside it: what the server itself costs, measured in the same run."""

from __future__ import annotations

from typing import Any

from pm6site.asgi import application as realApplication

# Only now are the apps loaded.
from channels.generic.websocket import AsyncWebsocketConsumer  # isort: skip
from django.contrib.auth.models import User  # isort: skip
from django.db import transaction  # isort: skip
from django.utils import timezone  # isort: skip
from simulations.engine.database import inDatabase  # isort: skip

ECHO_USER = "echo"


class Echo(AsyncWebsocketConsumer):
    """Sends back what it gets."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


class OrmEcho(AsyncWebsocketConsumer):
    """Sends back what it gets after one small transaction: a row read and written."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await inDatabase(touchRow)
        await self.send(text_data=text_data)


def touchRow() -> None:
    with transaction.atomic():
        user, _ = User.objects.get_or_create(username=ECHO_USER)
        user.last_login = timezone.now()
        user.save(update_fields=["last_login"])


ECHOES = {"/ws/echo/": Echo.as_asgi(), "/ws/ormEcho/": OrmEcho.as_asgi()}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Sends the two echoes' addresses to them, and all else to pm6."""
    await ECHOES.get(scope.get("path", ""), realApplication)(scope, receive, send)
