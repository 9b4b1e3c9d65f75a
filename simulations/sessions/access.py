"""Whose session it is. What belongs to somebody else isn't there."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from pm6.exceptions import SessionNotFoundError
from simulations.models import Session


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a signed-in user, or a guest known by a cookie, or the program itself.

    Attributes:
        guestKey: Digest of the guest's cookie; see `hashGuestToken`.
        isTrusted: Commands and Python on the server itself; may play every session.
    """

    userId: int | None = None
    guestKey: str = ""
    isTrusted: bool = False


def newGuestToken() -> str:
    """Returns a new secret for a guest's cookie."""
    return secrets.token_urlsafe(32)


def hashGuestToken(token: str) -> str:
    """Returns the digest of a guest's cookie, which is all that is stored of it."""
    return hashlib.sha256(token.encode()).hexdigest() if token else ""


def isOwner(session: Session, actor: Actor) -> bool:
    """Returns whether an actor may see and play a session."""
    if actor.isTrusted:
        return True
    if session.player_id is not None:
        return session.player_id == actor.userId
    return bool(session.guestKey) and secrets.compare_digest(session.guestKey, actor.guestKey)


def checkOwner(session: Session | None, actor: Actor, sessionId: UUID | str) -> Session:
    """Raises SessionNotFoundError where there is no such session for this actor."""
    if session is None or not isOwner(session, actor):
        raise SessionNotFoundError(f"There is no session {sessionId}.")
    return session
