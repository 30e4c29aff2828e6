"""Rows of the warehouse → the plots of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from drift.performance import UNITS
from drift.verdict import MEANINGS
from pages.plots.canvas import Line, Mark, Plot, plot
from scoring.job import PRIMARY_METRICS
from scoring.rows import SMALLER_IS_BETTER
from scoring.stores.warehouse import ColumnNight, Decided, Measured, TriedNight

LIMITS_SHOWN = 6
"""Upper end of a plot, in multiples of its limit. Values above it are drawn at the edge."""
STATUS_SHAPES = {"unusual": "warn", "gross": "alert", "fault": "alert"}


def performance_plot(rows: Sequence[Measured], decisions: Sequence[Decided]) -> Plot | None:
    """Return the primary metric of measured nights, of 28 nights together, and its level at training."""
    name = next((metric for metric in PRIMARY_METRICS if any(metric in row.metrics for row in rows)), None)
    if name is None:
        return None
    marks = [mark for row in rows if (mark := _measured(row, name)) is not None]
    rolling = [(row.night, row.rolling.get("28", {}).get(name, {}).get("value")) for row in rows]
    lines = [Line("the last 28 measured nights together", "main", rolling)]
    levels = _levels(rows, decisions, name)
    if any(value is not None for _, value in levels):
        lines.append(Line("on the holdout at training", "level", levels))
    words, direction = name.replace("_", " "), ", smaller is better" if name in SMALLER_IS_BETTER else ""
    return plot(f"{words} by night", f"{words} ({UNITS[name]}){direction}", lines, marks)


def _measured(row: Measured, name: str) -> Mark | None:
    """Return the mark of a night's metric, or None where it has no value."""
    metric = row.metrics.get(name, {})
    value, low, high = (metric.get(part) for part in ("value", "low", "high"))
    if value is None:
        return None
    title = f"{row.night}: {value:.4f} {UNITS[name]}"
    if low is not None and high is not None:
        title += f", 95 % interval {low:.4f} to {high:.4f}"
    title += f"; performance {row.verdict}" if row.verdict else ""
    title += f"; {row.share_labelled:.0%} of labels, model version {row.model_version}"
    return Mark(row.night, value, title, row.verdict or "ok", low, high)


def _levels(rows: Sequence[Measured], decisions: Sequence[Decided], name: str) -> list[tuple[date, float | None]]:
    """Return for every measured night the level that its version had on the holdout, as decisions recorded it."""
    level: dict[int, float] = {}
    for decision in decisions:
        loss = decision.inputs.get("loss") or {}
        if loss.get("metric") == name and loss.get("at_training") is not None:
            level[decision.model_version] = loss["at_training"]
    return [(row.night, level.get(row.model_version)) for row in rows]


def score_plot(rows: Sequence[TriedNight]) -> Plot | None:
    """Return the drift score of judged nights against the limit of each."""
    judged = [row for row in rows if row.verdict is not None]
    limits = [(row.night, row.score_limit) for row in judged]
    marks = [mark for row in judged if (mark := _judged(row)) is not None]
    lines = [Line("drift score", "main", [(row.night, row.score) for row in judged])]
    lines.append(Line("unusual above", "limit", limits))
    unit = "drift score (1 = as far as the farthest night of the baseline)"
    return plot("drift score by night", unit, lines, marks, _top([limit for _, limit in limits]))


def _judged(row: TriedNight) -> Mark | None:
    """Return the mark of a night's drift score, or None for a night that was not judged."""
    if row.verdict is None or row.score is None:
        return None
    title = f"{row.night}: verdict {row.verdict}, score {row.score:.2f}, unusual above {row.score_limit:.2f}"
    return Mark(row.night, row.score, title, row.verdict)


def column_plots(rows: Sequence[ColumnNight]) -> list[Plot]:
    """Return one plot per signal of a column: its distance against what is unusual, with marks on unusual nights."""
    signals = list(dict.fromkeys(name for row in rows for name in (row.signal, *row.signals)))
    plots = [_signal_plot(name, rows) for name in signals]
    return [signal_plot for signal_plot in plots if signal_plot is not None]


def _signal_plot(signal: str, rows: Sequence[ColumnNight]) -> Plot | None:
    distances: list[tuple[date, float | None]] = []
    limits: list[tuple[date, float | None]] = []
    marks = []
    for row in rows:
        own = (row.value, row.threshold) if row.signal == signal else None
        value, limit = row.signals.get(signal, own) or (None, None)
        distances.append((row.night, value))
        limits.append((row.night, limit))
        if value is not None and row.signal == signal and row.status in STATUS_SHAPES:
            title = f"{row.night}: {row.status}, distance {value:.4f}, unusual above {limit:.4f}"
            marks.append(Mark(row.night, value, title, STATUS_SHAPES[row.status]))
    if all(not value for _, value in distances):
        return None
    lines = [Line("distance", "main", distances), Line("unusual above", "limit", limits)]
    thresholds = [limit for _, limit in limits if limit is not None]
    return plot(signal, MEANINGS.get(signal, "distance"), lines, marks, _top(thresholds))


def _top(limits: Sequence[float | None]) -> float | None:
    positive = [limit for limit in limits if limit]
    return LIMITS_SHOWN * max(positive) if positive else None
