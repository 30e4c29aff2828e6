"""Values over nights → where lines, marks, ticks and labels of a plot stand. The template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from scoring.interval import DAY, Nights

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 40, 44
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Line:
    """A value over nights. None, or a night that is not there, breaks it."""

    name: str
    style: str
    """``main``, ``limit`` or ``level``: how it is drawn."""
    points: Sequence[tuple[date, float | None]]


@dataclass(frozen=True)
class Mark:
    """One night's value, perhaps with its interval. It leads to the night."""

    night: date
    value: float
    title: str
    shape: str = "ok"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Placed:
    """A mark with its place. ``over`` says that the value lies above the plot."""

    mark: Mark
    x: float
    y: float
    low: float | None
    high: float | None
    over: bool


@dataclass(frozen=True)
class Plot:
    """A plot with everything in its place, in the units of the SVG's view box."""

    title: str
    unit: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[tuple[Line, list[str]]]
    marks: list[Placed]
    clipped: int
    """Marks above the plot, drawn at its edge."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class _Frame:
    nights: Nights
    low: float
    high: float

    def x(self, night: date) -> float:
        share = (night - self.nights.first).days / max(len(self.nights) - 1, 1)
        return round(LEFT + 10 + share * (WIDTH - RIGHT - LEFT - 20), 1)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def plot(title: str, unit: str, lines: Sequence[Line], marks: Sequence[Mark], top: float | None = None) -> Plot | None:
    """Return the plot, or None when there is nothing to draw.

    ``top`` is the largest value that gets a place of its own: what lies above stands at the upper edge.
    """
    values = [value for line in lines for _, value in line.points if value is not None]
    values += [value for mark in marks for value in (mark.value, mark.low, mark.high) if value is not None]
    nights = [night for line in lines for night, _ in line.points] + [mark.night for mark in marks]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return None
    low, high = min(values), max(values)
    high = high if top is None or high <= top else max(top, low)
    steps = ticks(low, high)
    frame = _Frame(Nights.including(min(nights), max(nights)), min(low, steps[0]), max(high, steps[-1]))
    drawn = [(line, _segments(line, frame)) for line in lines]
    placed = [_placed(mark, frame) for mark in marks if math.isfinite(mark.value)]
    y_ticks = [(frame.y(step), tick_label(step, steps)) for step in steps]
    clipped = sum(mark.over for mark in placed)
    return Plot(title, unit, _night_ticks(frame), y_ticks, drawn, placed, clipped)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round values that span ``low`` to ``high``.

    >>> ticks(0.03, 1.85)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    span = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(span / count))
    step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= count)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def tick_label(value: float, steps: Sequence[float]) -> str:
    """Return a tick's value with as many decimals as the steps need.

    >>> tick_label(0.5, [0.0, 0.05, 0.1])
    '0.50'
    """
    digits = max(0, -math.floor(math.log10(steps[1] - steps[0]) + 1e-9))
    return f"{value:,.{digits}f}"


def _night_ticks(frame: _Frame) -> list[tuple[float, str]]:
    step = max(1, math.ceil((len(frame.nights) - 1) / 6))
    nights = list(frame.nights)[::step]
    years = frame.nights.first.year != frame.nights.last.year
    return [
        (frame.x(night), f"{night.day} {_MONTHS[night.month]}{f' {night.year}' if years else ''}") for night in nights
    ]


def _segments(line: Line, frame: _Frame) -> list[str]:
    """Return the points of every unbroken part of a line, as SVG takes them."""
    parts: list[list[str]] = []
    before: date | None = None
    for night, value in line.points:
        if value is None or not math.isfinite(value):
            before = None
            continue
        if before is None or night - before > DAY:
            parts.append([])
        parts[-1].append(f"{frame.x(night)},{frame.y(value)}")
        before = night
    return [" ".join(_widened(part)) for part in parts]


def _widened(part: list[str]) -> list[str]:
    """Return the points. A single one becomes a short dash, so that it can be seen."""
    if len(part) > 1:
        return part
    x, y = (float(text) for text in part[0].split(","))
    return [f"{x - 4},{y}", f"{x + 4},{y}"]


def _placed(mark: Mark, frame: _Frame) -> Placed:
    low, high = (None if value is None else frame.y(value) for value in (mark.low, mark.high))
    return Placed(mark, frame.x(mark.night), frame.y(mark.value), low, high, mark.value > frame.high)
