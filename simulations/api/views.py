"""The API: start a session, play a turn, read the state."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pm6.exceptions import NotFoundError
from simulations.api.serializers import StartSerializer, TurnSerializer
from simulations.engine.interact import interact
from simulations.engine.plan import TurnRequest
from simulations.engine.situation import PlayerInput
from simulations.models import Simulation
from simulations.play.actors import actorOrNewGuest, ensureGuest, readActor
from simulations.play.rateLimits import checkGuestRate, checkMessageRate
from simulations.presenters import presentScene
from simulations.sessions.readSession import findBranch, readWelcome
from simulations.sessions.startSession import startSession


class Root(APIView):
    """Says what is here."""

    def get(self, request: Request) -> Response:
        return Response(
            {
                "version": "v1",
                "simulations": request.build_absolute_uri("/api/v1/simulations/"),
                "sessions": request.build_absolute_uri("/api/v1/sessions/"),
            }
        )


class Unknown(APIView):
    """Answers for addresses that don't exist, in the API's own form."""

    def handleAny(self, request: Request, **kwargs: Any) -> Response:
        raise NotFoundError("There is nothing at this address.", hint="GET /api/v1/ says what is here.")

    get = post = put = patch = delete = handleAny


class Simulations(APIView):
    """Lists the simulations that the caller may play."""

    def get(self, request: Request) -> Response:
        rows = (
            Simulation.objects.all()
            if request.user.is_authenticated
            else Simulation.objects.filter(allowGuests=True)
        )
        return Response(
            {"simulations": list(rows.values("slug", "title", "description", "playerRole", "language"))}
        )


class Sessions(APIView):
    """Starts sessions."""

    def post(self, request: Request) -> Response:
        given = StartSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        actor = actorOrNewGuest(request._request)
        if actor.userId is None:
            checkGuestRate(request._request)
        values = dict(given.validated_data)
        session = startSession(values.pop("simulation"), actor, **values)
        response = Response(present(readWelcome(session.pk, actor, 0)), status=201)
        ensureGuest(request._request, response, actor)
        return response


class SessionDetail(APIView):
    """Reads a session: the same `welcome` that the socket gives."""

    def get(self, request: Request, sessionId: UUID) -> Response:
        return Response(present(readWelcome(sessionId, readActor(request._request), 0)))


class SessionState(APIView):
    """Reads where a session stands."""

    def get(self, request: Request, sessionId: UUID) -> Response:
        world, branch = findBranch(sessionId, readActor(request._request))
        return Response(present(presentScene(world, branch)))


class Turns(APIView):
    """Plays a turn and answers with it when it is finished."""

    def post(self, request: Request, sessionId: UUID) -> Response:
        given = TurnSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        actor = readActor(request._request)
        # Whose session it is comes first: only a real session's messages are counted.
        findBranch(sessionId, actor)
        checkMessageRate(str(sessionId))
        values = given.validated_data
        result = async_to_sync(interact)(
            TurnRequest(
                sessionId,
                actor,
                PlayerInput(values["text"], values["option"]),
                values["clientKey"],
            )
        )
        return Response(present(result.message), status=201 if result.isNew else 200)


def present(message: Any) -> dict[str, Any]:
    """Returns a protocol message as JSON values."""
    return json.loads(message.model_dump_json())
