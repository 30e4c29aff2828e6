"""The drift page of a night: sampled rows in, one HTML file out, and old pages removed."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd
import pyarrow as pa

from drift.performance import outcomes_of
from drift.report.evidently_page import Sides, evidently_page, with_bar
from scoring.errors import described
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import Run, monitoring

ASSETS = "reports/assets"
_BAR = Path(__file__).with_name("bar.html")
"""What stands above the night's page; a ``string.Template``."""


def write_report(work: Workspace, run: Run) -> tuple[str | None, str | None]:
    """Write the page of a judged run in place of an earlier one and return its path below the lake, and what it lacks.

    Outcomes are on it once the night's performance was measured.

    A page that cannot be made loses nothing but itself: the path is None and the second value says why.
    """
    path = work.lake.report(work.job.name, run.night)
    try:
        notes = _write(work, run, path)
    except Exception as error:  # noqa: BLE001 - whatever Evidently and pandas raise; the caller records it, the verdict stands
        work.lake.remove(work.lake.below(path))  # an older page would pass for this run's
        return None, described(error)
    return path, notes


def write_report_of_alert(work: Workspace, run: Run) -> tuple[str | None, str | None]:
    """Write the page of a judged run if its verdict is an alert, or if the night has a page already, which would be an old one.

    For the nights of a backfill: a page takes longer than all the rest of a small night.
    """
    row = monitoring.drift_of(work.warehouse, run.run_id)
    alert = row is not None and row.verdict == "alert"
    if alert or work.lake.exists(work.lake.below(work.lake.report(work.job.name, run.night))):
        return write_report(work, run)
    return None, None


def _write(work: Workspace, run: Run, path: str) -> str | None:
    night_verdict = monitoring.drift_of(work.warehouse, run.run_id)
    verdict = night_verdict.verdict if night_verdict else "none yet"
    sides, rows = sample_sides(work, run)
    title = {"job": work.job.name, "night": str(run.night), "model_version": str(run.model_version), "run": run.run_id}
    when = datetime.combine(run.night, time.min, UTC)
    page = evidently_page(sides, work.job, when, title, "../../assets")
    notes = "; ".join(f"{name} ({why})" for name, why in page.left_out.items())
    bar = {
        **title,
        "version": run.model_version,
        "verdict": verdict,
        "rows": f"{len(sides.current):,}",
        "of": f"{rows:,}",
        "reference": f"{len(sides.reference):,}",
        "notes": f"Not on this page: {notes}." if notes else "",
    }
    for name, content in page.assets.items():
        asset = work.lake.below(f"{ASSETS}/{name}")
        if not work.lake.exists(asset):
            work.lake.write_text(asset, content)
    work.lake.write_text(work.lake.below(path), with_bar(page.html, _filled(bar)))
    return notes or None


def _filled(values: Mapping[str, object]) -> str:
    """Return the bar; a value stays text, whatever is in it."""
    template = Template(_BAR.read_text(encoding="utf-8"))
    return template.substitute({name: html.escape(str(value)) for name, value in values.items()})


def sample_sides(work: Workspace, run: Run) -> tuple[Sides, int]:
    """Return at most ``monitor.report_rows`` rows of the night and of training, and how many rows the night has.

    The sample is seeded by night and spread over the chunks by their size, so that the same run gives the same page.
    """
    reference = work.registry.table(RunFolder(work.lake, run).version_ref(), "reference.parquet")
    if reference is None:
        raise ValueError("the model version keeps no reference sample")
    most = work.job.monitor.report_rows
    rows = run.rows_scored or 0
    share = min(1.0, most / max(rows, 1))
    names = [*work.job.features, *work.job.prediction_columns, "outcome"]
    parts = [part.select([name for name in names if name in part.schema.names]) for part in _sampled(work, run, share)]
    before = reference.select([name for name in names if name in reference.schema.names])
    places = np.sort(np.random.default_rng(0).permutation(before.num_rows)[:most])
    columns = monitoring.columns_of(work.warehouse, [run.run_id])
    limits = {row.column_name: {name: limit for name, (_, limit) in row.signals.items()} for row in columns}
    current = pa.concat_tables(parts).slice(0, most)
    return Sides(_frame(current), _frame(before.take(pa.array(places))), limits), rows


def _sampled(work: Workspace, run: Run, share: float) -> Iterator[pa.Table]:
    """Yield a random share of every chunk: features, predictions and outcomes, row by row."""
    labelled = None
    if monitoring.is_measured(work.warehouse, run.run_id):
        outcomes = outcomes_of(work, run)
        labelled = outcomes.predictions.select(list(work.job.key)).append_column("outcome", outcomes.outcome)
    folder = RunFolder(work.lake, run)
    for number in folder.chunks:
        features = work.lake.table(folder.part("features", number))
        predictions = work.lake.table(folder.part("predictions", number))
        random = np.random.default_rng([run.night.toordinal(), number])
        place = pa.array(np.flatnonzero(random.random(features.num_rows) < share))
        sample = features.take(place)
        for name in work.job.prediction_columns:
            sample = sample.append_column(name, predictions.column(name).take(place))
        if labelled is not None:
            sample = sample.join(labelled, keys=list(work.job.key), join_type="left outer")
        yield sample.sort_by([(name, "ascending") for name in work.job.key])


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def prune_reports(work: Workspace, night: date) -> list[date]:
    """Remove the pages of nights more than ``monitor.keep_reports_nights`` before ``night`` and return those nights."""
    oldest = night - timedelta(days=work.job.monitor.keep_reports_nights)
    old = {day: folder for day, folder in work.lake.reports(work.job.name).items() if day < oldest}
    for folder in old.values():
        work.lake.remove(folder)
    return sorted(old)
