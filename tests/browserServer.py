"""A real daphne as a child process, a browser, and a page that watches what it asks for.

`ChannelsLiveServerTestCase` hangs once async tests ran in the process, so the server is a process
of its own, on a database file that was made by the same commands that a person would type.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright

from simulations.play.serverChild import findFreePort
from tests.leftOut import findChromium

ROOT = Path(__file__).resolve().parent.parent
PACKS = ("tests/fixtures/packs/villageInn", "simulations/packs/primeMinister")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
START_SECONDS = 40


def buildEnvironment(folder: Path) -> dict[str, str]:
    """Returns the environment of a server whose database and settings are in `folder`."""
    return {
        **os.environ,
        "PM6_HOME": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'play.sqlite3'}",
        "REDIS_URL": "",
        "SECRET_KEY": "only-for-browser-tests-0123456789abcdefghijklmnopqrstuvwxyz",
        "PM6_LLM": "scripted",
        "ANTHROPIC_API_KEY": "",
        "PM6_BLOCK_REAL_CALLS": "1",
        "PM6_GUEST_SESSIONS_PER_HOUR": "1000",
        "PM6_MESSAGES_PER_MINUTE": "600",
        "PM6_TURN_LEASE_SECONDS": "4",
        "DEBUG": "0",
    }


def manage(folder: Path, *arguments: str) -> None:
    """Runs a command of `manage.py` and shows what it printed if it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=buildEnvironment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")


def prepareDatabase(folder: Path) -> Path:
    """Makes a database with both packs loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    manage(folder, "migrate", "--verbosity", "0")
    for pack in PACKS:
        manage(folder, "loadPack", pack)
    return folder / "play.sqlite3"


@dataclass
class LiveServer:
    """A daphne that can be killed and started again on the same port and database."""

    folder: Path
    port: int = field(default_factory=findFreePort)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "daphne",
            "-b",
            "127.0.0.1",
            "-p",
            str(self.port),
            "pm6site.asgi:application",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=buildEnvironment(self.folder), stdout=log, stderr=log
            )
        self.waitForPort()

    def waitForPort(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process is not None and self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.1)
        raise RuntimeError(f"The server didn't start:\n{(self.folder / 'server.log').read_text()[-3000:]}")

    def kill(self) -> None:
        """Ends it as a crash would: nothing is finished, nothing is said."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=15)


@pytest.fixture(scope="session")
def preparedDatabase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One loaded database to copy: loading the packs takes seconds."""
    return prepareDatabase(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def sharedServer(preparedDatabase: Path) -> Iterator[LiveServer]:
    """One server for all tests that leave it alone."""
    server = LiveServer(preparedDatabase.parent)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ownServer(preparedDatabase: Path, tmp_path: Path) -> Iterator[LiveServer]:
    """A server of this test's own, to be killed, on its own copy of the loaded database."""
    with sqlite3.connect(preparedDatabase) as loaded, sqlite3.connect(tmp_path / "play.sqlite3") as copy:
        loaded.backup(copy)
    server = LiveServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def liveServer(request: pytest.FixtureRequest) -> LiveServer:
    """The server that the pages of this test open: its own if it asked for one, else the shared."""
    isOwn = "ownServer" in request.fixturenames
    return request.getfixturevalue("ownServer" if isOwn else "sharedServer")


@dataclass
class PlayPage:
    """A page of the game, and what is done on it again and again."""

    page: Page
    server: LiveServer
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda opened: self.asked.append(opened.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._noteConsole)

    def _noteConsole(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.errors.append(message.text)

    @property
    def done(self) -> Locator:
        """The exchanges of finished turns."""
        return self.page.locator(".exchange[data-status=done]")

    async def openLobby(self) -> None:
        await self.page.goto(self.server.url)

    async def begin(self, slug: str = "primeMinister") -> None:
        """Starts a session from the lobby and waits for the first options."""
        await self.openLobby()
        await self.page.locator(f"form[action*='{slug}'] button").click()
        await self.page.locator(".option").first.wait_for()

    async def choose(self, at: int) -> None:
        """Takes an option and waits for the turn."""
        turns = await self.done.count()
        options = self.page.locator(".option")
        await options.nth(at % await options.count()).click()
        await self.waitForTurn(turns + 1)

    async def say(self, text: str) -> None:
        """Says something in own words and waits for the turn."""
        turns = await self.done.count()
        await self.page.fill("#sayText", text)
        await self.page.press("#sayText", "Enter")
        await self.waitForTurn(turns + 1)

    async def waitForTurn(self, number: int, seconds: float = 15) -> None:
        """Waits until that many turns are finished and the player may act, or the game is over."""
        await self.done.nth(number - 1).wait_for(timeout=seconds * 1000)
        await self.page.locator("#composer:not(.busy)").wait_for(state="attached", timeout=5000)

    async def findOverflow(self) -> int:
        """Returns by how many pixels the page is wider than its window."""
        return await self.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")

    def findForeignHosts(self) -> set[str]:
        """Returns the hosts that anything was asked of, but for the server's own."""
        hosts = {urlsplit(url).netloc for url in self.asked if not url.startswith(("data:", "blob:"))}
        return hosts - {f"127.0.0.1:{self.server.port}"}


@contextlib.asynccontextmanager
async def openBrowser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=findChromium() or "/usr/bin/chromium", args=BROWSER_ARGUMENTS
        )
        yield browser
        await browser.close()


async def openPage(context: BrowserContext, server: LiveServer) -> PlayPage:
    view = PlayPage(await context.new_page(), server)
    view.watch()
    return view


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with openBrowser() as opened:
        yield opened


@pytest.fixture
async def newView(
    browser: Browser, liveServer: LiveServer, tmp_path: Path
) -> AsyncIterator[Callable[..., Any]]:
    """Opens a page in a context of its own; at the end none may have failed or asked elsewhere."""
    views: list[PlayPage] = []

    async def open(**options: Any) -> PlayPage:
        context = await browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options})
        views.append(await openPage(context, liveServer))
        return views[-1]

    yield open
    # What each page showed last is kept in the test's folder, for who looks into a failure.
    for number, view in enumerate(views):
        await view.page.screenshot(path=tmp_path / f"last{number}.png")
    for view in views:
        assert view.errors == []
        assert view.findForeignHosts() == set()


@pytest.fixture
async def view(newView: Callable[..., Any]) -> PlayPage:
    """A guest's page at a desk."""
    return await newView()


@pytest.fixture
async def page(view: PlayPage) -> Page:
    return view.page
