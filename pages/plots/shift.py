"""Bars that begin at zero: what each feature moved the mean prediction by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 160, 14
"""Size of a bar's picture, in units of its view box."""


@dataclass(frozen=True)
class Bar:
    """A bar from the middle to the right for a rise, to the left for a fall."""

    x: float
    length: float
    kind: str
    """``rise`` or ``fall``."""
    width: int = WIDTH
    height: int = HEIGHT
    zero: float = WIDTH / 2


def bars_of(values: Sequence[float]) -> list[Bar]:
    """Return a bar for each value, the longest as long as there is room.

    >>> [(bar.x, bar.length, bar.kind) for bar in bars_of([0.5, -0.25])]
    [(80.0, 80.0, 'rise'), (40.0, 40.0, 'fall')]
    """
    most = max((abs(value) for value in values), default=0.0) or 1.0
    lengths = [round(abs(value) / most * WIDTH / 2, 1) for value in values]
    return [
        Bar(WIDTH / 2 - (length if value < 0 else 0), length, "fall" if value < 0 else "rise")
        for value, length in zip(values, lengths, strict=True)
    ]
