"""The `pm6` command: Django's commands and pm6's own, with errors as plain lines."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs the command that the command line names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pm6site.settings")
    from django.core.management import execute_from_command_line

    from pm6.exceptions import PM6Error

    try:
        checkEnvironment()
        execute_from_command_line(sys.argv)
    except PM6Error as error:
        sys.stderr.write(f"{error.message} [{error.code}]\n{error.hint}\n")
        for problem in error.details.get("problems", []):
            sys.stderr.write(f"  {problem}\n")
        sys.exit(1)


def checkEnvironment() -> None:
    """Raises ConfigurationError where a setting isn't of its form, before anything else trips over it."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from pm6.exceptions import ConfigurationError

    try:
        settings.INSTALLED_APPS  # noqa: B018  the first look reads them all
    except (ImproperlyConfigured, ValueError) as error:
        raise ConfigurationError(f"A setting can't be read: {error}.") from error
