"""Who plays: from a request or a socket's scope to an `Actor`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from simulations.sessions.access import Actor, hashGuestToken, newGuestToken

GUEST_COOKIE = "pm6Guest"
GUEST_COOKIE_SECONDS = 180 * 24 * 3600


def readActor(request: HttpRequest) -> Actor:
    """Returns who asks; a guest without a cookie owns nothing."""
    user = getattr(request, "user", None)
    guestKey = hashGuestToken(request.COOKIES.get(GUEST_COOKIE, ""))
    return Actor(user.pk if user is not None and user.is_authenticated else None, guestKey)


def readScopeActor(scope: dict[str, Any]) -> Actor:
    """Returns who opened a socket."""
    user = scope.get("user")
    token = scope["cookies"].get(GUEST_COOKIE, "")
    return Actor(user.pk if user is not None and user.is_authenticated else None, hashGuestToken(token))


def ensureGuest(request: HttpRequest, response: HttpResponse, actor: Actor) -> None:
    """Puts the guest's cookie on a response where `actor` was made with a new one."""
    token = getattr(request, "newGuestToken", "")
    if token and actor.guestKey == hashGuestToken(token):
        response.set_cookie(
            GUEST_COOKIE,
            token,
            max_age=GUEST_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )


def actorOrNewGuest(request: HttpRequest) -> Actor:
    """Returns who asks, a guest with a new cookie where nobody is known yet."""
    actor = readActor(request)
    if actor.userId is not None or actor.guestKey:
        return actor
    token = newGuestToken()
    request.newGuestToken = token  # type: ignore[attr-defined]
    return Actor(None, hashGuestToken(token))
