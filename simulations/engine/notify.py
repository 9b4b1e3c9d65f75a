"""Step 4 of an interaction: what happened reaches everybody who watches the session."""

from __future__ import annotations

import logging
from uuid import UUID

from channels.layers import get_channel_layer

from costs.schemas import StrictModel

logger = logging.getLogger("pm6.engine")


def groupName(sessionId: UUID) -> str:
    return f"play.{sessionId.hex}"


async def notify(sessionId: UUID, message: StrictModel) -> None:
    """Sends a protocol message to all sockets of a session, in every process.

    A layer that fails costs nobody the turn: the message is in the database, or was transient,
    and clients fetch what they missed when they come back.
    """
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(
            groupName(sessionId), {"type": "play.message", "text": message.model_dump_json()}
        )
    except Exception:
        logger.exception("the channel layer did not take a message of session %s", sessionId)
