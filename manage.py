#!/usr/bin/env python
"""The project's commands; `pm6` is the same."""

from pm6.cli import main

if __name__ == "__main__":
    main()
