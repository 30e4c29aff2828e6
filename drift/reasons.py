"""Why the mean prediction of a night moved: by feature, against the rows that the version was trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from scoring.night import has_reasons
from scoring.stores import RunFolder, Workspace
from scoring.stores.registry import MeanContributions, VersionReasons
from scoring.stores.warehouse import FeatureShift, Run, mean_shifts

SHIFT_ROWS = 4_000
"""Rows of a night that are explained at most: a sample spread over it, whose mean is as good as 1.6 % of a standard deviation."""


def explain_shift(work: Workspace, run: Run) -> list[FeatureShift]:
    """Save and return what each feature moved the mean margin of a scored run by. Nothing for a run without reasons.

    The shifts, with that of the base, sum to the shift of the mean margin.
    """
    if work.job.reasons is None or not has_reasons(work, run):
        return []
    reasons = VersionReasons(work.registry, RunFolder(work.lake, run).version_ref(), work.job)
    rows, predictions = (pa.concat_tables(part) for part in zip(*_sampled(work, run), strict=True))
    if not rows.num_rows:
        return []
    night = reasons.means(rows, predictions)
    unit = f"{reasons.explainer.unit} before calibration" if reasons.explainer.calibrated else reasons.explainer.unit
    shifts = list(_shifts(reasons.reference(), night, unit))
    mean_shifts.save(work.warehouse, run, shifts, work.clock())
    return shifts


def _shifts(before: MeanContributions, night: MeanContributions, unit: str) -> Iterator[FeatureShift]:
    rows = (night.rows, before.rows, unit)
    yield FeatureShift(mean_shifts.BASE, before.base, night.base, *rows)
    for feature, contribution in night.by_feature.items():
        yield FeatureShift(feature, before.by_feature[feature], contribution, *rows)


def _sampled(work: Workspace, run: Run) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield rows of every chunk, as many as its share of the night, and their predictions."""
    folder, share = RunFolder(work.lake, run), min(1.0, SHIFT_ROWS / max(run.rows_scored or 0, 1))
    for number in folder.chunks:
        features, predictions = (work.lake.table(folder.part(part, number)) for part in ("features", "predictions"))
        count = min(features.num_rows, max(1, round(features.num_rows * share)))
        places = np.unique(np.linspace(0, max(features.num_rows - 1, 0), count).astype(int))
        some = pa.array(places if features.num_rows else places[:0])
        yield features.take(some), predictions.take(some)
