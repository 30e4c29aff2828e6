"""The figures of a backtest → its plots: policies over the nights, and what a refit gains by the age of what it replaces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pages.plots.canvas import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, Plot, plot, tick_label, ticks

STYLES = 8
"""Ways in which lines of policies are drawn, `p1` to `p8`; more policies than that begin anew."""
_AGES_LABELLED = 8


def policy_plot(result: Mapping[str, Any], days: Sequence[date]) -> Plot | None:
    """Return each policy's gain over never retraining, as the mean of the nights before. Never itself is the zero line."""
    lines = []
    for place, line in enumerate(line for line in result["policies"] if line["policy"] != "never"):
        points = list(zip(days, line["curve"], strict=True))
        lines.append(Line(line["policy"], f"p{place % STYLES + 1}", points))
    if not lines:
        return None
    lines.append(Line("never", "level", [(day, 0.0) for day in days]))
    unit = f"gain in {result['loss']} ({result['unit']}), mean of {result['smoothed']} nights; above 0 is better"
    return plot("Gain over never retraining", unit, lines, [])


@dataclass(frozen=True)
class AgePoint:
    """What a refit gains over a version that is so many nights older, with its interval."""

    x: float
    y: float
    low: float | None
    high: float | None
    title: str


@dataclass(frozen=True)
class AgePlot:
    """The gain of a refit by the age of what it replaces."""

    title: str
    unit: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    points: list[AgePoint]
    path: str
    zero: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def ageing_plot(result: Mapping[str, Any]) -> AgePlot | None:
    """Return how fast the model ages, or None when no two versions can be compared."""
    rows = [row for row in result["ageing"] if row["gain"]["value"] is not None]
    if not rows:
        return None
    values = [value for row in rows for value in row["gain"].values() if value is not None and math.isfinite(value)]
    steps = ticks(min(0.0, *values), max(0.0, *values))
    oldest = max(int(row["age"]) for row in rows)

    def x(age: int) -> float:
        return round(LEFT + 10 + age / oldest * (WIDTH - RIGHT - LEFT - 20), 1)

    def y(value: float) -> float:
        share = (value - steps[0]) / (steps[-1] - steps[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    points = []
    for row in rows:
        value, low, high = (row["gain"][part] for part in ("value", "low", "high"))
        title = f"{row['age']} nights older: {value:+.4f} {result['unit']}"
        title += "" if low is None else f", 95 % interval {low:+.4f} to {high:+.4f}"
        bottom, top = (None if end is None else y(end) for end in (low, high))
        title += f"; {row['pairs']} pairs of versions"
        points.append(AgePoint(x(row["age"]), y(value), bottom, top, title))
    every = math.ceil(len(rows) / _AGES_LABELLED)
    x_ticks = [(x(row["age"]), str(row["age"])) for row in rows[::every]]
    y_ticks = [(y(step), tick_label(step, steps)) for step in steps]
    unit = f"gain of a refit over an older version ({result['unit']}), next {result['followed']} nights"
    path = " ".join(f"{point.x},{point.y}" for point in points)
    return AgePlot("How fast the model ages", unit, x_ticks, y_ticks, points, path, y(0.0))
