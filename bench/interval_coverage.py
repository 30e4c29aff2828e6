"""Do intervals around predicted values hold the outcomes they are to hold? The flights of 2013, retrained every 14 nights.

April to December as it was, and with outcomes that drift while the version and its intervals know nothing of it. Exit code 1
if an adaptive interval of 90 % holds fewer than 88 % or more than 92 %.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.drift_streams import YEAR
from bench.installation import own_settings
from cli.tables import table
from lifecycle.training import NIGHT, batch_of, fit, out_of_fold, read_rows
from scoring.interval import Nights
from scoring.job import Job, find_job
from scoring.night import adapted
from scoring.rows import Band, predict
from scoring.settings import HOME
from scoring.stores import LABEL_COLUMN, Workspace, embedded, open_stores

FIRST, EVERY, WINDOW, DELAY = date(2013, 4, 1), 14, 90, 1
MISS, AIM = 0.1, (0.88, 0.92)
CHANGE = date(2013, 7, 1)
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Drift = Callable[[date, Floats, Floats], Floats]
DRIFTS: dict[str, Drift] = {
    "as it was": lambda day, predicted, outcome: outcome,
    "residuals grow to 3.3 times by December": lambda day, predicted, outcome: (
        predicted + (outcome - predicted) * (1 + (day - FIRST).days / 120)
    ),
    "residuals double on 1 July": lambda day, predicted, outcome: (
        predicted + (outcome - predicted) * (2 if day >= CHANGE else 1)
    ),
    "outcomes 15 % higher from 1 July": lambda day, predicted, outcome: outcome + predicted * 0.15 * (day >= CHANGE),
}


@dataclass(frozen=True)
class Night:
    """A night with the predictions of the version that scored it, and that version's band."""

    day: date
    band: Band
    predicted: Floats
    outcome: Floats


def year() -> tuple[Job, pa.Table]:
    """Return the job and the rows of 2013 that pass its contract, with labels."""
    from demo.seed import seed

    (HOME / "data").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=HOME / "data"))
    settings = own_settings(folder)
    try:
        stores = open_stores(settings, lambda: datetime.now(UTC))
        job = find_job(settings.jobs_dir, "flight_duration")
        seed(stores.source_url(job), lambda table: None)
        return job, read_rows(Workspace(stores, job), YEAR).table.combine_chunks()
    finally:
        embedded.stop(settings.postgres_dir)
        shutil.rmtree(folder)


def of(rows: pa.Table, nights: Nights) -> pa.Table:
    """Return the rows of a range of nights."""
    first, until = (pa.scalar(day, pa.date32()) for day in (nights.first, nights.until))
    column = rows.column(NIGHT)
    return rows.filter(pc.and_(pc.greater_equal(column, first), pc.less(column, until)))


def nights_of_version(job: Job, rows: pa.Table, first: date) -> list[Night]:
    """Return the nights that a version scores which was trained on the 90 nights before."""
    training = of(rows, Nights.before(first - timedelta(days=DELAY), WINDOW))
    pipeline = fit(training.filter(pc.is_valid(training.column(LABEL_COLUMN))), job)
    honest = out_of_fold(job, pipeline, training).column("prediction").to_numpy()
    band = Band.of(honest, training.column(LABEL_COLUMN).to_numpy())
    assert band is not None
    nights = []
    for day in (first + timedelta(days=place) for place in range(EVERY)):
        night = of(rows, Nights.of(day))
        night = night.filter(pc.is_valid(night.column(LABEL_COLUMN)))
        if night.num_rows:
            predicted = np.asarray(predict(pipeline, batch_of(night), job).column("prediction"))
            nights.append(Night(day, band, predicted, night.column(LABEL_COLUMN).to_numpy()))
    return nights


def lived(nights: list[Night], drift: Drift, adaptive: bool) -> dict[str, float]:
    """Return coverage and width over all nights: over rows, of the worst and best 28 nights, and of single ones."""
    missed: dict[date, float] = {}
    rows, widths = [], []
    for night in nights:
        known = [share for day, share in missed.items() if day < night.day - timedelta(days=DELAY)]
        lower, upper = night.band.limits(night.predicted, adapted(MISS, known) if adaptive else MISS)
        outcome = drift(night.day, night.predicted, night.outcome)
        missed[night.day] = 1 - float(((outcome >= lower) & (outcome <= upper)).mean())
        rows.append(len(outcome))
        widths.append(float((upper - lower).mean()))
    covered = 1 - np.array([*missed.values()])
    month = np.convolve(covered, np.full(28, 1 / 28), "valid")
    facts = {"coverage": np.average(covered, weights=rows), "width": np.average(widths, weights=rows)}
    facts |= {"lowest 28 nights": month.min(), "highest 28": month.max(), "lowest night": covered.min()}
    return {name: float(value) for name, value in facts.items()}


def main() -> int:
    """Measure, print the table, write the JSON; return the exit code."""
    job, rows = year()
    nights = []
    for place in range(0, (date(2013, 12, 31) - FIRST).days + 1, EVERY):
        nights += nights_of_version(job, rows, FIRST + timedelta(days=place))
        print(f"to {nights[-1].day}", file=sys.stderr, flush=True)
    lines = [
        {"outcomes": name, "interval": "adaptive" if adaptive else "fixed", **lived(nights, drift, adaptive)}
        for name, drift in DRIFTS.items()
        for adaptive in (False, True)
    ]
    path = HOME / "bench" / "results" / "interval_coverage.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    shown = [[f"{value:.3f}" if isinstance(value, float) else value for value in line.values()] for line in lines]
    table("intervals of 90 %, April to December", list(lines[0]), shown)
    kept = [AIM[0] <= float(line["coverage"]) <= AIM[1] for line in lines if line["interval"] == "adaptive"]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
