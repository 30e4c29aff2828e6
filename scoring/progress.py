"""How a long operation tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int], None]
"""Told the stage and how many more rows it has done."""


def silent(stage: str, rows: int) -> None:
    """Show no progress."""
