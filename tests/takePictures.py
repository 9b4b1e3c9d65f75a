"""Plays a game on a real server and saves the pictures of `docs/pictures/`.

Run as `python -m tests.takePictures` (`make pictures`).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.browserServer import (
    DESK,
    PHONE,
    ROOT,
    LiveServer,
    PlayPage,
    openBrowser,
    openPage,
    prepareDatabase,
)

FOLDER = ROOT / "docs" / "pictures"
MOVES = (0, 0, 2, 1, 0)
SETTLE_MS = 1600
LOOKS: dict[str, dict[str, Any]] = {
    "playDesk": {"viewport": DESK, "color_scheme": "light"},
    "playDeskDark": {"viewport": DESK, "color_scheme": "dark"},
    "playPhone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2, "has_touch": True},
    "playPhoneDark": {"viewport": PHONE, "color_scheme": "dark", "device_scale_factor": 2, "has_touch": True},
}


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        prepareDatabase(folder)
        server = LiveServer(folder)
        server.start()
        try:
            async with openBrowser() as browser:
                await takeAll(browser, server)
        finally:
            server.stop()


async def takeAll(browser: Browser, server: LiveServer) -> None:
    context = await browser.new_context(viewport=DESK, color_scheme="light")
    player = await openPage(context, server)
    await player.begin()
    for move in MOVES:
        await player.choose(move)
    for name, look in LOOKS.items():
        view = await openPage(
            await browser.new_context(**look, storage_state=await context.storage_state()), server
        )
        await view.page.goto(player.page.url)
        await view.waitForTurn(1)
        await view.choose(1)
        await save(view, name)
    await player.openLobby()
    await save(player, "lobby")


async def save(view: PlayPage, name: str) -> None:
    await view.page.mouse.move(0, 0)
    await view.page.evaluate("() => document.activeElement?.blur()")
    await view.page.wait_for_timeout(SETTLE_MS)
    await view.page.screenshot(path=FOLDER / f"{name}.png")
    sys.stdout.write(f"docs/pictures/{name}.png\n")


if __name__ == "__main__":
    asyncio.run(main())
