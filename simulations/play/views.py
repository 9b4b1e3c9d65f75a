"""The pages of play: the lobby, starting a session, and the session itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from pm6.exceptions import AccessError, NotFoundError, PM6Error
from simulations.models import Session, Simulation
from simulations.play.actors import actorOrNewGuest, ensureGuest, readActor
from simulations.play.rateLimits import checkGuestRate
from simulations.sessions.access import Actor
from simulations.sessions.readSession import findBranch
from simulations.sessions.startSession import startSession

SHOWN_SESSIONS = 20


@require_GET
def lobby(request: HttpRequest) -> HttpResponse:
    """Shows the simulations one may play and one's sessions."""
    actor = readActor(request)
    simulations = Simulation.objects.all() if actor.userId else Simulation.objects.filter(allowGuests=True)
    context = {"simulations": simulations.defer("lore"), "sessions": listSessions(actor)}
    return render(request, "play/lobby.html", context)


def listSessions(actor: Actor) -> list[dict[str, Any]]:
    """Returns an actor's latest sessions as the lobby shows them."""
    rows = Session.objects.select_related("simulation", "activeBranch")
    if actor.userId is not None:
        rows = rows.filter(player_id=actor.userId)
    elif actor.guestKey:
        rows = rows.filter(guestKey=actor.guestKey, player=None)
    else:
        return []
    return [
        {
            "id": session.pk,
            "title": session.simulation.title,
            "statusWord": session.get_status_display(),
            "turn": session.activeBranch.headTurn if session.activeBranch else 0,
            "lastActivityAt": session.lastActivityAt,
            "playUrl": reverse("play", args=[session.pk]),
        }
        for session in rows[:SHOWN_SESSIONS]
    ]


@require_POST
def startPlay(request: HttpRequest, slug: str) -> HttpResponse:
    """Starts a session and goes there."""
    actor = actorOrNewGuest(request)
    try:
        if actor.userId is None:
            checkGuestRate(request)
        session = startSession(slug, actor)
    except AccessError:
        return redirect(f"{settings.LOGIN_URL}?next=/")
    except PM6Error as error:
        return showError(request, error)
    response = redirect("play", sessionId=session.pk)
    ensureGuest(request, response, actor)
    return response


@require_GET
def play(request: HttpRequest, sessionId: UUID) -> HttpResponse:
    """Shows the page of a session; everything on it comes over the socket."""
    try:
        world, branch = findBranch(sessionId, readActor(request))
    except NotFoundError as error:
        raise Http404 from error
    return render(request, "play/play.html", {"session": branch.session, "simulation": world})


def showError(request: HttpRequest, error: PM6Error) -> HttpResponse:
    return render(request, "play/error.html", {"error": error}, status=error.httpStatus)
