"""The shared cast: worlds, people, and a way to play a turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agents.llm.clients import overrideClient
from agents.llm.scriptedClient import ScriptedClient
from costs.pricing import forgetPriceRules
from simulations.engine.database import closeConnections, inDatabase
from simulations.engine.interact import interact
from simulations.engine.plan import TurnRequest
from simulations.engine.settle import TurnResult
from simulations.engine.situation import PlayerInput
from simulations.engine.world import forgetWorlds
from simulations.models import Session, Simulation
from simulations.packs.loadPack import loadPack
from simulations.play.rateLimits import getLimiter
from simulations.sessions.access import Actor
from simulations.sessions.startSession import startSession

pytest_plugins = ["tests.leftOut"]
PACKS = Path(__file__).parent / "fixtures" / "packs"


@pytest.fixture(autouse=True)
def freshProcess(settings: Any) -> Iterator[None]:
    """Nothing that a process remembers reaches the next test, and no real model is called."""
    settings.PM6_LLM = "scripted"
    settings.PM6_BLOCK_REAL_CALLS = True
    settings.ANTHROPIC_API_KEY = ""
    forgetWorlds()
    forgetPriceRules()
    getLimiter().storage.reset()
    yield
    forgetWorlds()


@pytest.fixture(autouse=True, scope="session")
def closeEngineThreads(django_db_setup: None) -> Iterator[None]:
    """The engine's threads let go of the test database before it is dropped, so this comes after it."""
    yield
    closeConnections()


@pytest.fixture
def inn(transactional_db: Any) -> Simulation:
    """The village inn: two agents, two situation types, open to guests."""
    loadPack(PACKS / "villageInn")
    return Simulation.objects.get(slug="villageInn")


@pytest.fixture
def player(transactional_db: Any) -> User:
    return User.objects.create_user("player", password="played-well-1")


@pytest.fixture
def outsider(transactional_db: Any) -> User:
    return User.objects.create_user("outsider", password="looked-in-1")


@pytest.fixture
def author(transactional_db: Any) -> User:
    return User.objects.create_superuser("author", password="written-well-1")


@pytest.fixture
def scripted() -> Iterator[ScriptedClient]:
    """The scripted model; queue replies on it to say what it answers."""
    client = ScriptedClient()
    with overrideClient("scripted", client):
        yield client


@dataclass
class Game:
    """A session and a way to play it."""

    session: Session
    actor: Actor
    keys: Iterator[int] = field(default_factory=itertools.count)

    async def say(self, text: str = "", *, option: str = "", clientKey: str = "") -> TurnResult:
        key = clientKey or f"testkey-{next(self.keys):06d}"
        return await interact(TurnRequest(self.session.pk, self.actor, PlayerInput(text, option), key))

    async def choose(self, option: str, **more: str) -> TurnResult:
        return await self.say(option=option, **more)


@pytest.fixture
def startGame(inn: Simulation) -> Callable[..., Any]:
    """Starts a session of the inn; `await startGame(seed=5)`."""

    async def start(slug: str = "villageInn", **options: Any) -> Game:
        actor = options.pop("actor", Actor(isTrusted=True))
        session = await inDatabase(startSession, slug, actor, **{"seed": 7, **options})
        return Game(session, actor)

    return start
