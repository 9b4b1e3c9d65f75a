"""The API through its front door: start, turn, state, and what is refused."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client

from simulations.models import Session, Turn

SESSIONS = "/api/v1/sessions/"


def post(client: Client, url: str, body, **more):
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(url, data, content_type="application/json", **more)


def start(client: Client, **body):
    return post(client, SESSIONS, {"simulation": "villageInn", **body})


@pytest.fixture
def guest(inn) -> Client:
    return Client()


def test_aGuestStartsAndPlays(guest):
    started = start(guest, seed=3)
    assert started.status_code == 201
    welcome = started.json()
    url = f"{SESSIONS}{welcome['session']['id']}/"
    option = welcome["scene"]["options"][0]["intent"]
    played = post(guest, f"{url}turns/", {"clientKey": "api-key-0001", "option": option})
    assert played.status_code == 201
    assert played.json()["turn"]["replies"][0]["source"] == "hit"
    again = post(guest, f"{url}turns/", {"clientKey": "api-key-0001", "option": option})
    assert again.status_code == 200
    assert again.json()["turn"] == played.json()["turn"]
    assert guest.get(f"{url}state/").json() == played.json()["scene"]
    assert guest.get(url).json()["turns"] == [played.json()["turn"]]


def test_theSameSeedPlaysTheSameGame(guest):
    texts = []
    for key in ("first", "second"):
        sessionId = start(guest, seed=11).json()["session"]["id"]
        body = {"clientKey": f"{key}-key-01", "option": "pourRound"}
        turn = post(guest, f"{SESSIONS}{sessionId}/turns/", body).json()["turn"]
        texts.append([reply["text"] for reply in turn["replies"]])
    assert texts[0] == texts[1]


def test_aForeignSessionIsNotThere(guest):
    sessionId = start(guest).json()["session"]["id"]
    stranger = Client()
    for response in (
        stranger.get(f"{SESSIONS}{sessionId}/"),
        stranger.get(f"{SESSIONS}{sessionId}/state/"),
        post(stranger, f"{SESSIONS}{sessionId}/turns/", {"clientKey": "api-key-0001", "option": "pourRound"}),
        stranger.get(f"{SESSIONS}{uuid.uuid4()}/"),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "sessionNotFound"


def test_aClosedSimulationTakesNoGuests(guest, inn):
    type(inn).objects.update(allowGuests=False, revision=77)
    response = start(guest)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "accessDenied"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ({}, 400),
        ({"simulation": "nowhere"}, 404),
        ({"simulation": 7}, 404),
        ({"simulation": "villageInn", "mode": "free"}, 400),
        ({"simulation": "villageInn", "seed": -1}, 400),
        ({"simulation": "villageInn", "owner": 1}, 400),
        ({"simulation": "x" * 500}, 400),
        ([], 400),
    ],
)
def test_badStartsAreRefusedInOneShape(guest, body, status):
    response = post(guest, SESSIONS, body)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"code", "message", "hint", "details"}
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"clientKey": "api-key-0001"}, 400, "invalidInput"),
        ({"clientKey": "api-key-0001", "text": "   "}, 400, "invalidInput"),
        ({"clientKey": "bad key!", "text": "hi"}, 400, "invalidInput"),
        ({"clientKey": "api-key-0001", "text": "x" * 3000}, 413, "inputTooLong"),
        ({"clientKey": "api-key-0001", "text": "a\x00b"}, 400, "invalidInput"),
        ({"clientKey": "api-key-0001", "option": "buildRocket"}, 422, "unknownOption"),
        ({"clientKey": "api-key-0001", "text": "hi", "option": "pourRound"}, 400, "invalidInput"),
        (b'{"clientKey": "api-key-0001", "text": "\xff"}', 400, "invalidInput"),
        ("[" * 100_000, 400, "invalidInput"),
        ('{"text": "' + "x" * 3_000_000 + '"}', 413, "inputTooLong"),
    ],
)
def test_badTurnsAreRefusedInOneShape(guest, body, status, code):
    sessionId = start(guest).json()["session"]["id"]
    response = post(guest, f"{SESSIONS}{sessionId}/turns/", body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert not Turn.objects.exists()


def test_anUnknownAddressAnswersInTheApisForm(guest):
    response = guest.get("/api/v1/nothing/")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "notFound"
    assert guest.get("/api/").json()["version"] == "v1"


def test_guestsCantStartSessionsWithoutEnd(guest, settings):
    settings.PM6_GUEST_SESSIONS_PER_HOUR = 2
    assert [start(guest).status_code for _ in range(3)] == [201, 201, 429]
    refused = start(guest)
    assert int(refused["Retry-After"]) > 0


def test_aSignedInPlayerNeedsTheCsrfToken(inn, player):
    client = Client(enforce_csrf_checks=True)
    client.force_login(player)
    assert start(client).status_code == 403


def test_aPlayerSignsInAndOut(inn, player):
    client = Client()
    assert client.get("/login/").status_code == 200
    wrong = client.post("/login/", {"username": "player", "password": "guessed"})
    assert b"don&#x27;t go together" in wrong.content or b"don't go together" in wrong.content
    right = client.post("/login/", {"username": "player", "password": "played-well-1", "next": "/"})
    assert right.status_code == 302
    started = client.post("/start/villageInn/")
    assert Session.objects.get().player == player
    assert client.get(started["Location"]).status_code == 200
    client.post("/logout/")
    assert client.get(started["Location"]).status_code == 404


def test_aPlayerCanBeErasedWithEverythingPlayed(guest, player):
    guest.force_login(player)
    start(guest)
    player.delete()
    assert not Session.objects.exists()
