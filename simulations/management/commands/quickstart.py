"""From a fresh clone to a running server; a second time it only starts."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from agents.llm import clients
from pm6.exceptions import ConfigurationError, ModelCredentialError, ModelError
from simulations.management.commands.serve import checkPortFree
from simulations.packs.loadPack import listShippedPacks, loadPack

KEY_CHECK_SECONDS = 5


class Command(BaseCommand):
    help = "Prepares everything (secrets, database, shipped simulations, an admin account) and serves."
    # The checks speak in sentences of their own, and some of what they miss is made here.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on")
        parser.add_argument("--noServe", action="store_true", help="prepare and stop")

    def handle(self, *args: Any, host: str, port: int, noServe: bool, **options: Any) -> None:
        try:
            self.prepare(host, port, noServe)
        except KeyboardInterrupt:
            sys.exit(130)
        if not noServe:
            startServer(host, port)

    def prepare(self, host: str, port: int, noServe: bool) -> None:
        if not noServe:
            checkPortFree(host, port)
        checkWritable(settings.DATA_DIR)
        self.tell(writeSecrets(settings.HOME_DIR / ".env"))
        model, warning = describeModel()
        migrate()
        self.loadShippedPacks()
        account = makeAdmin()
        self.tell(warning)
        self.welcome(f"http://{host}:{port}", model, account)

    def loadShippedPacks(self) -> None:
        for folder in listShippedPacks():
            report = loadPack(folder)
            if report.created or report.updated or report.removed:
                self.tell(
                    f"Loaded {report.slug}: {report.created} new, {report.updated} updated, {report.removed} "
                    f"removed, {len(report.kept)} kept as you edited them."
                )

    def welcome(self, address: str, model: str, account: str) -> None:
        self.tell(f"\n  Play    {address}/")
        self.tell(f"  Admin   {address}/admin/{account}")
        self.tell(f"  API     {address}/api/v1/")
        self.tell(f"  Model   {model}\n")

    def tell(self, line: str) -> None:
        if line:
            self.stdout.write(line)
            # What follows may replace this process, and with it what is still in the buffer.
            self.stdout.flush()


def checkWritable(folder: Path) -> None:
    """Raises ConfigurationError when pm6 can't keep its data there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"pm6 can't write into {folder}: {error.strerror}.",
            hint="Give this account the right to write there, or set PM6_HOME to another folder.",
        ) from error


def writeSecrets(path: Path) -> str:
    """Gives the server a SECRET_KEY of its own where it has none; returns what to tell."""
    if not settings.SECRET_KEY_IS_PASSING:
        return _warnIfReadable(path)
    # Letters only: `.env` gives a meaning to "$" and "#".
    line = f"SECRET_KEY={secrets.token_urlsafe(48)}\n"
    try:
        if path.exists():
            return _appendSecret(path, line)
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write("# Written by quickstart; .env.example explains every setting.\n" + line)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}.", hint="Set SECRET_KEY in the environment instead."
        ) from error
    return f"Wrote {path} with a new SECRET_KEY."


def _appendSecret(path: Path, line: str) -> str:
    text = path.read_text(encoding="utf-8")
    if any(part.replace("export ", "").strip().startswith("SECRET_KEY") for part in text.splitlines()):
        raise ConfigurationError(
            f"SECRET_KEY is empty in {path}.", hint="Take the line out, and quickstart writes one."
        )
    path.write_text(text + ("" if text.endswith("\n") or not text else "\n") + line, encoding="utf-8")
    return f"Added a new SECRET_KEY to {path}. {_warnIfReadable(path)}".strip()


def _warnIfReadable(path: Path) -> str:
    isOpen = path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) and os.name == "posix"
    return f"Others on this machine can read {path}; close it: chmod 600 {path}" if isOpen else ""


def describeModel() -> tuple[str, str]:
    """Returns who plays the characters and what it costs, and a warning or nothing."""
    kind = clients.resolveClientKind()
    if kind == "anthropic":
        return _describeAnthropic(), checkKey()
    clients.buildClient(kind)  # raises where what it needs is missing
    if kind == "local":
        return "the embedded model, on this machine; costs nothing", ""
    return "scripted replies, and every session is a test; costs nothing", _explainScripted()


def _describeAnthropic() -> str:
    return (
        f"{settings.PM6_MODEL} by Anthropic; at most {settings.PM6_BUDGET_SESSION} dollars a session and "
        f"{settings.PM6_BUDGET_EVERYTHING} altogether"
    )


def _explainScripted() -> str:
    if settings.PM6_LLM == "scripted":
        return ""
    return (
        "There is no ANTHROPIC_API_KEY, and the embedded model isn't installed (`make localModel` tries "
        "again): what the database doesn't have is answered by scripted replies."
    )


def checkKey() -> str:
    """Asks the API whether it takes the key; a refusal raises, no answer is only a warning."""
    try:
        asyncio.run(_askForCredential())
    except ModelCredentialError as error:
        raise ConfigurationError(
            f"The ANTHROPIC_API_KEY doesn't work: {error.message}",
            hint="Correct it in .env, or take it out to play without Anthropic.",
        ) from error
    except (ModelError, TimeoutError):
        return "Anthropic doesn't answer now. What is in the database plays; the rest waits for it."
    return ""


async def _askForCredential() -> None:
    client = clients.buildAnthropicClient()
    try:
        await asyncio.wait_for(client.checkCredential(), KEY_CHECK_SECONDS)
    finally:
        await client.close()


def migrate() -> None:
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"The database can't be used: {reason}.",
            hint="Look at DATABASE_URL, and whether its server runs.",
        ) from error


def makeAdmin() -> str:
    """Makes the first admin account and returns how to sign in; empty when there is one already."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return ""
    isTaken = users.filter(username="admin").exists()
    name = f"admin-{secrets.token_hex(3)}" if isTaken else "admin"
    password = secrets.token_urlsafe(12)
    users.create_superuser(name, password=password)
    return f"   user {name}, password {password} (shown only now)"


def startServer(host: str, port: int) -> None:
    """Goes on as `serve`, in a process that has read the secrets just written."""
    command = [sys.executable, sys.argv[0], "serve", "--host", host, "--port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606 - our own program, and no shell wanted
