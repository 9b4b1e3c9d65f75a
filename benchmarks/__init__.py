"""Measurements; `README.md` holds the figures, with date and machine."""
