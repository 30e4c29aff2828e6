"""Numbers of a model card → the plots of its page: gain per night, calibration, feature importance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pages.plots.canvas import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, tick_label, ticks
from scoring.stores.warehouse import Gain, NightLosses

SQUARE = 460
NAMES = 190
"""Room for the features' names, left of their bars."""
ROW = 24
IMPORTANCES_SHOWN = 30
NAME_SHOWN = 26
_NIGHT_LABELS = 7
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Ticks = list[tuple[float, str]]


@dataclass(frozen=True)
class Bar:
    """One night's gain: a bar from zero upwards when the challenger did better, downwards when it did worse."""

    night: str
    x: float
    y: float
    width: float
    height: float
    kind: str
    """``better``, ``worse`` or ``same``."""
    title: str


@dataclass(frozen=True)
class GainPlot:
    """The gain of every night, the gain of all of them, and its interval."""

    title: str
    unit: str
    x_ticks: Ticks
    y_ticks: Ticks
    bars: list[Bar]
    zero: float
    overall: float | None
    band: tuple[float, float] | None
    """Upper edge and height of the interval."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Dot:
    """A tenth of the probability: what was predicted of its rows, and what came true."""

    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True)
class Side:
    """One version's calibration."""

    name: str
    label: str
    points: str
    dots: list[Dot]


@dataclass(frozen=True)
class CalibrationPlot:
    """Predicted probability against the share that came true. Points on the diagonal are calibrated."""

    sides: list[Side]
    x_ticks: Ticks
    y_ticks: Ticks
    diagonal: str
    width: int = SQUARE
    height: int = SQUARE
    left: int = LEFT
    right: int = SQUARE - RIGHT
    top: int = TOP
    bottom: int = SQUARE - BOTTOM


@dataclass(frozen=True)
class Weight:
    """A feature's share of the importance, as a bar."""

    name: str
    short: str
    share: float
    sensitive: bool
    y: float
    width: float


@dataclass(frozen=True)
class ImportancePlot:
    """The features by what shuffling them costs, the most important first."""

    weights: list[Weight]
    more: int
    """Features that are not shown."""
    height: int
    width: int = WIDTH
    left: int = NAMES


def gain_plot(nights: Sequence[NightLosses], gain: Gain | None, loss: str, unit: str) -> GainPlot | None:
    """Return the mean gain per row of every night around zero, or None when nothing was compared."""
    gains = [(night.champion - night.challenger) / night.rows for night in nights if night.rows]
    if gain is None or not gains:
        return None
    ends = [end for end in (gain.value, gain.low, gain.high) if end is not None]
    values = [value for value in (*gains, *ends, 0.0) if math.isfinite(value)]
    steps = ticks(min(values), max(values))

    def y(value: float) -> float:
        share = (value - steps[0]) / (steps[-1] - steps[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    slot = (WIDTH - RIGHT - LEFT) / len(gains)
    bars = []
    for place, (night, value) in enumerate(zip(nights, gains, strict=True)):
        kind = "better" if value > 0 else "worse" if value < 0 else "same"
        title = f"{night.night}: {value:+.4f} {unit}, {kind}; {night.rows:,} rows"
        top, height = min(y(value), y(0)), max(abs(y(value) - y(0)), 1.0)
        wide = round(min(0.7 * slot, 48), 1)
        x = round(LEFT + (place + 0.5) * slot - wide / 2, 1)
        bars.append(Bar(str(night.night), x, top, wide, round(height, 1), kind, title))
    every = math.ceil(len(bars) / _NIGHT_LABELS)
    x_ticks = [(round(bar.x + bar.width / 2, 1), _day(bar.night)) for bar in bars[::every]]
    low, high = gain.low, gain.high
    band = None if low is None or high is None else (y(high), round(max(y(low) - y(high), 1.0), 1))
    overall = None if gain.value is None else y(gain.value)
    y_ticks = [(y(step), tick_label(step, steps)) for step in steps]
    axis = f"gain in {loss} ({unit}); above 0 the challenger is better"
    return GainPlot("Gain per night", axis, x_ticks, y_ticks, bars, y(0), overall, band)


def _day(night: str) -> str:
    day = date.fromisoformat(night)
    return f"{day.day} {_MONTHS[day.month]}"


def calibration_plot(
    calibration: Mapping[str, Sequence[Mapping[str, float]]], labels: Mapping[str, str]
) -> CalibrationPlot | None:
    """Return the reliability diagram of both versions, labelled by side, or None without one."""
    sides = [
        _side(name, labels[name], calibration[name]) for name in ("champion", "challenger") if calibration.get(name)
    ]
    if not sides:
        return None
    marks = [(step, f"{step:.1f}") for step in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    x_ticks, y_ticks = [(_x(step), name) for step, name in marks], [(_y(step), name) for step, name in marks]
    return CalibrationPlot(sides, x_ticks, y_ticks, f"{_x(0)},{_y(0)} {_x(1)},{_y(1)}")


def _x(share: float) -> float:
    return round(LEFT + share * (SQUARE - RIGHT - LEFT), 1)


def _y(share: float) -> float:
    return round(SQUARE - BOTTOM - share * (SQUARE - BOTTOM - TOP), 1)


def _side(name: str, label: str, rows: Sequence[Mapping[str, float]]) -> Side:
    most = max(tenth["rows"] for tenth in rows)
    dots = [
        Dot(
            _x(tenth["predicted"]),
            _y(tenth["observed"]),
            round(3 + 6 * math.sqrt(tenth["rows"] / most), 1),
            f"{label}: {tenth['predicted']:.1%} predicted, {tenth['observed']:.1%} came true, {tenth['rows']:,.0f} rows",
        )
        for tenth in rows
    ]
    return Side(name, label, " ".join(f"{dot.x},{dot.y}" for dot in dots), dots)


def importance_plot(weights: Mapping[str, float], sensitive: Sequence[str]) -> ImportancePlot | None:
    """Return the features' shares as bars, the largest first, or None when they were not measured."""
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    most = max(weights.values(), default=0.0)
    if most <= 0:
        return None
    bars = []
    for place, (name, share) in enumerate(ranked[:IMPORTANCES_SHOWN]):
        short = name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 1]}…"
        width = round(max(share, 0.0) / most * (WIDTH - NAMES - 150), 1)
        bars.append(Weight(name, short, share, name in sensitive, 8 + place * ROW, width))
    return ImportancePlot(bars, len(ranked) - len(bars), 16 + len(bars) * ROW)
