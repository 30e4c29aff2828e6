"""How a long operation reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int], None]
"""Called with the name of a stage and the number of rows that the stage has done since the last call."""


def silent(stage: str, rows: int) -> None:
    """Show no progress."""
