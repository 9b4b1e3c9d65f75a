"""From an empty folder to a server that could start, and each way in which that fails."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from agents.llm import clients
from pm6.exceptions import ConfigurationError, ModelCredentialError, ModelUnavailableError
from simulations.management.commands import quickstart
from simulations.management.commands.serve import checkPortFree

ROOT = Path(__file__).resolve().parent.parent


def runQuickstart(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "quickstart", "--noServe"],
        env=kept | {"PM6_HOME": str(home), "PM6_LLM": "scripted"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def testSecondRunKeepsWhatTheFirstMade(tmp_path):
    first = runQuickstart(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "user admin, password" in first.stdout
    secrets = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    second = runQuickstart(tmp_path)
    assert second.returncode == 0, second.stderr
    assert "password" not in second.stdout
    assert (tmp_path / ".env").read_text() == secrets


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PM6_LLM": "gpt"}, "PM6_LLM"),
        ({"PM6_LLM": "anthropic"}, "ANTHROPIC_API_KEY"),
        ({"DATABASE_URL": "sqlite:////proc/pm6.sqlite3"}, "database"),
    ],
)
def testFailureIsALineAndNoTraceback(tmp_path, environment, expected):
    result = runQuickstart(tmp_path, **environment)
    assert result.returncode == 1
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def testFolderWithoutWriteAccessIsNamed(tmp_path):
    (tmp_path / "file").write_text("")
    result = runQuickstart(tmp_path / "file" / "home")
    assert result.returncode == 1
    assert "can't write into" in result.stderr
    assert "Traceback" not in result.stderr


def testTakenPortNamesAnother():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            checkPortFree("127.0.0.1", port)
    assert str(port) in caught.value.message
    assert "make run PORT=" in caught.value.hint


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("no.such.host.invalid", 8000)])
def testImpossibleAddressIsALine(host, port):
    with pytest.raises(ConfigurationError):
        checkPortFree(host, port)


def testSecretIsAddedToAFileThatHasNone(tmp_path, settings):
    settings.SECRET_KEY_IS_PASSING = True
    path = tmp_path / ".env"
    path.write_text("LOG_LEVEL=DEBUG")
    path.chmod(0o600)
    quickstart.writeSecrets(path)
    lines = path.read_text().splitlines()
    assert lines[0] == "LOG_LEVEL=DEBUG"
    assert lines[1].startswith("SECRET_KEY=")
    with pytest.raises(ConfigurationError):
        quickstart.writeSecrets(path)


def testReadableSecretsAreNamed(tmp_path, settings):
    settings.SECRET_KEY_IS_PASSING = False
    path = tmp_path / ".env"
    path.write_text("SECRET_KEY=abc")
    path.chmod(0o644)
    assert "chmod 600" in quickstart.writeSecrets(path)
    path.chmod(0o600)
    assert quickstart.writeSecrets(path) == ""


@pytest.mark.django_db
def testAdminIsMadeOnce():
    users = get_user_model().objects
    users.create_user("admin")
    first = quickstart.makeAdmin()
    assert "user admin-" in first
    assert quickstart.makeAdmin() == ""
    assert not users.get(username="admin").is_superuser


class FakeClient:
    def __init__(self, error: Exception | None):
        self.error = error

    async def checkCredential(self) -> None:
        if self.error:
            raise self.error

    async def close(self) -> None:
        pass


def testRefusedKeyEndsAndSilenceWarns(monkeypatch):
    def answerWith(error: Exception | None) -> None:
        monkeypatch.setattr(clients, "buildAnthropicClient", lambda: FakeClient(error))

    answerWith(None)
    assert quickstart.checkKey() == ""
    answerWith(ModelUnavailableError("no answer"))
    assert "doesn't answer" in quickstart.checkKey()
    answerWith(ModelCredentialError("invalid x-api-key"))
    with pytest.raises(ConfigurationError) as caught:
        quickstart.checkKey()
    assert ".env" in caught.value.hint
