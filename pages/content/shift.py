"""Why the mean prediction of a night moved: feature by feature."""

from __future__ import annotations

import math

from pages.content.places import Places, View
from pages.plots import bars_of
from scoring.stores.warehouse import FeatureShift, Run, mean_shifts

_ROUNDING = 1e-9
"""A shift of the base up to which it is the same base, summed up in another order."""
SHOWN = 12
"""Features that have a row of their own, those that moved the mean most."""


def shift_of(places: Places, run: Run) -> View | None:
    """Return what each feature moved the mean margin of a run by, or None where that was not measured."""
    shifts = mean_shifts.of_run(places.warehouse, run.run_id)
    if not shifts:
        return None
    base = next(shift for shift in shifts if shift.feature == mean_shifts.BASE)
    features = [shift for shift in shifts if shift.feature != mean_shifts.BASE]
    if abs(base.shift) > _ROUNDING:
        features = sorted([*features, base], key=lambda shift: -abs(shift.shift))
    before, night = (sum(getattr(shift, name) for shift in shifts) for name in _SIDES)
    rows = [*map(_row, features[:SHOWN]), *_others(features[SHOWN:])]
    bars = bars_of([row["shift"] for row in rows])
    return {
        "rows": [{**row, "bar": bar} for row, bar in zip(rows, bars, strict=True)],
        "before": before,
        "night": night,
        "shift": night - before,
        "chances": [1 / (1 + math.exp(-margin)) for margin in (before, night)] if base.unit == "log-odds" else None,
        "unit": base.unit,
        "rows_night": base.rows_night,
        "rows_reference": base.rows_reference,
        "sampled": base.rows_night < (run.rows_scored or 0),
    }


_SIDES = ("contribution_reference", "contribution_night")


def _row(shift: FeatureShift) -> View:
    return {
        "feature": "the average row of the predicted class" if shift.feature == mean_shifts.BASE else shift.feature,
        "link": shift.feature != mean_shifts.BASE,
        "before": shift.contribution_reference,
        "night": shift.contribution_night,
        "shift": shift.shift,
    }


def _others(shifts: list[FeatureShift]) -> list[View]:
    """Return the features without a row of their own, together."""
    if not shifts:
        return []
    before, night = (sum(getattr(shift, name) for shift in shifts) for name in _SIDES)
    return [
        {"feature": f"{len(shifts)} others", "link": False, "before": before, "night": night, "shift": night - before}
    ]
