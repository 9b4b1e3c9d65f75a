"""The system checks refuse settings that would be noticed too late."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.core.checks import run_checks

from pm6.exceptions import ConfigurationError
from pm6site import checks
from simulations.management.commands.serve import checkSettings

POSTGRES = {"default": {"ENGINE": "django.db.backends.postgresql"}}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
REDIS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}


@pytest.fixture(autouse=True)
def goodSettings(settings):
    settings.SECRET_KEY_IS_PASSING = False
    settings.ALLOWED_HOSTS = ["127.0.0.1"]


def findIds() -> list[str]:
    return [problem.id for problem in run_checks(tags=["pm6"], include_deployment_checks=True)]


def testGoodSettingsPass():
    assert findIds() == []
    checkSettings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRET_KEY_IS_PASSING", True, "pm6.E001"),
        ("ALLOWED_HOSTS", ["*"], "pm6.E002"),
        ("PM6_LLM", "gpt", "pm6.E003"),
        ("PM6_BUDGET_EVERYTHING", "-1", "pm6.E004"),
        ("PM6_BUDGET_GUESTS", "1,50", "pm6.E004"),
        ("PM6_BUDGET_SESSION", "", "pm6.E004"),
    ],
)
def testBadSettingIsNamedAndNotServed(settings, name, value, expected):
    setattr(settings, name, value)
    assert findIds() == [expected]
    with pytest.raises(ConfigurationError) as caught:
        checkSettings()
    assert caught.value.hint


def testSeveralProcessesNeedASharedLayer(monkeypatch):
    monkeypatch.setattr(checks, "settings", SimpleNamespace(DATABASES=POSTGRES, CHANNEL_LAYERS=IN_MEMORY))
    assert [problem.id for problem in checks.checkChannelLayer(None)] == ["pm6.I001"]
    monkeypatch.setattr(checks, "settings", SimpleNamespace(DATABASES=POSTGRES, CHANNEL_LAYERS=REDIS))
    assert checks.checkChannelLayer(None) == []


def testDeployChecksStaySilentOtherwise(settings):
    settings.SECRET_KEY_IS_PASSING = True
    assert run_checks(tags=["pm6"]) == []


def test_labelsReadAsEnglish():
    from costs.models import CostRecord

    assert str(CostRecord._meta.get_field("cacheReadTokens").verbose_name) == "cache read tokens"
