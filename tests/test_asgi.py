"""The doors of the server: foreign origins and unknown addresses stay outside."""

from __future__ import annotations

import pytest
from channels.testing import WebsocketCommunicator


def buildCommunicator(path: str, origin: str | None) -> WebsocketCommunicator:
    from pm6site.asgi import application

    headers = [(b"host", b"localhost")] + ([(b"origin", origin.encode())] if origin else [])
    return WebsocketCommunicator(application, path, headers=headers)


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/ws/nothing/", "http://localhost"),
        ("/", "http://localhost"),
        ("/ws/play/00000000-0000-0000-0000-000000000000/", "http://foreign.example"),
        ("/ws/play/00000000-0000-0000-0000-000000000000/", None),
    ],
)
@pytest.mark.django_db(transaction=True)
async def testSocketIsRefused(path, origin):
    communicator = buildCommunicator(path, origin)
    isOpen, code = await communicator.connect()
    assert not isOpen
    assert code == (4404 if origin == "http://localhost" else 1000)
    await communicator.disconnect()
