"""What a night could have shown at all: the smallest shift that would have been unusual, per column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drift.verdict.distance import SHAPE, SHIFT

BLIND = {SHIFT: 0.5, SHAPE: 0.5}
"""Thresholds from which on a column's night shows next to nothing: standard deviations, Jensen-Shannon distance (0 to 1)."""
UNITS = {SHIFT: "standard deviations", SHAPE: "of 1 in shape"}
Signals = Mapping[str, Sequence[float]]
"""Per signal its distance, and the distance above which it is unusual."""


def detectable(signals: Signals) -> tuple[str, float] | None:
    """Return the signal by which a shift of a column is seen best, and the smallest that is unusual; None without either.

    Numbers are seen by ``shift``, categories by ``shape``.

    >>> detectable({"shape": (0.1, 0.3), "shift": (0.2, 0.7)})
    ('shift', 0.7)
    """
    signal = next((name for name in (SHIFT, SHAPE) if name in signals), None)
    return None if signal is None else (signal, float(signals[signal][1]))


def smallest_shift(signals: Signals) -> str | None:
    """Return the smallest shift that would have been unusual, in words.

    >>> smallest_shift({"shape": (0.1, 0.84)})
    '0.84 of 1 in shape'
    """
    best = detectable(signals)
    return None if best is None else f"{best[1]:.2f} {UNITS[best[0]]}"


def blind_spots(columns: Mapping[str, Signals]) -> list[str]:
    """Return one sentence that names the columns in which the night could not have shown a shift of size, if there are any."""
    blind = []
    for name, signals in columns.items():
        best = detectable(signals)
        if best is not None and best[1] > BLIND[best[0]]:
            blind.append(f"{name} {smallest_shift(signals)}")
    return [f"this night could only have shown shifts above: {', '.join(blind)}"] if blind else []
