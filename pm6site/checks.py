"""System checks: settings that would be noticed too late otherwise.

`manage.py check` runs the ones that hold everywhere; `check --deploy` and `serve` run all.
"""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, register

TAG = "pm6"
MODEL_CHOICES = ("auto", "anthropic", "local", "scripted")
BUDGETS = ("PM6_BUDGET_EVERYTHING", "PM6_BUDGET_GUESTS", "PM6_BUDGET_SESSION")
DOLLARS = re.compile(r"\d{1,7}(\.\d{1,9})?")


@register(TAG, deploy=True)
def checkSecretKey(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not settings.SECRET_KEY_IS_PASSING:
        return []
    hint = "Set SECRET_KEY in .env, or let `quickstart` write one."
    return [
        Error(
            "SECRET_KEY was made up for this process; sign-ins would end with it.", hint=hint, id="pm6.E001"
        )
    ]


@register(TAG, deploy=True)
def checkAllowedHosts(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    hint = "Name the hosts that people type into their browser."
    return [Error("ALLOWED_HOSTS has '*': sockets would take any origin.", hint=hint, id="pm6.E002")]


@register(TAG)
def checkModelChoice(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.PM6_LLM in MODEL_CHOICES:
        return []
    hint = f"It is one of {', '.join(MODEL_CHOICES)}."
    return [Error(f"PM6_LLM is '{settings.PM6_LLM}', which is unknown.", hint=hint, id="pm6.E003")]


@register(TAG)
def checkBudgets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    hint = "Write dollars with a point, such as 25 or 0.25; 0 lets nothing be spent."
    return [
        Error(f"{name} is '{getattr(settings, name)}', which is no amount.", hint=hint, id="pm6.E004")
        for name in BUDGETS
        if not DOLLARS.fullmatch(str(getattr(settings, name)))
    ]


@register(TAG, deploy=True)
def checkChannelLayer(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A database server suggests several processes; they need a channel layer that they share."""
    isLocalLayer = "InMemory" in settings.CHANNEL_LAYERS["default"]["BACKEND"]
    isLocalDatabase = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    if isLocalDatabase or not isLocalLayer:
        return []
    hint = "Set REDIS_URL before you start a second process."
    return [
        Info("The channel layer is in memory: only one process may serve sockets.", hint=hint, id="pm6.I001")
    ]
