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
        execute_from_command_line(sys.argv)
    except PM6Error as error:
        sys.stderr.write(f"{error.message} [{error.code}]\n{error.hint}\n")
        for problem in error.details.get("problems", []):
            sys.stderr.write(f"  {problem}\n")
        sys.exit(1)
