"""What `check` says of a job's labels: a bounded sample of one night, and what its outcomes mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from scoring.errors import TrainingDataError
from scoring.interval import DataInterval, Nights
from scoring.job import Job
from scoring.rows import named, positive_of, require_positive
from scoring.stores import LABEL_COLUMN, Labels, Workspace, labels_of

SAMPLE = 5_000
"""Labels that are read at most of a night."""
_BACK = (0, 1, 2, 7, 30, 365)
"""Days before the last night with matured labels that are tried until one has some. The job's first night is tried last."""


def check_labels(work: Workspace) -> list[str]:
    """Return sentences about the labels of the last night that has some: their values, and what is missing.

    Raises ``TrainingDataError`` or ``ContractError`` when the outcomes are not what the job file says.
    """
    if not work.job.has_labels:
        return ["no label: drift and scores are watched, and nothing says how good a version is"]
    tried = list(_nights(work))
    for night in tried:
        labels = labels_of(work, Nights.of(night), SAMPLE)
        if labels.table.num_rows or labels.without_outcome or labels.unreadable_keys:
            return list(_about(work.job, night, labels, work.stores.labels_query(work.job).name))
    return [f"no labels of the nights {', '.join(map(str, tried))}: nothing to say of the outcome"]


def _nights(work: Workspace) -> Iterator[date]:
    """Yield nights that exist, the likeliest first. Those before the first one are trained on, too."""
    zone, first = work.job.schedule.timezone, work.job.schedule.first_night
    matured = work.clock().astimezone(ZoneInfo(zone)).date() - timedelta(days=1 + work.job.label.delay_days)
    last = min(matured, work.job.schedule.last_night or matured)
    tries = [*(last - timedelta(days=days) for days in _BACK), first, first - timedelta(days=1)]
    yield from (night for night in dict.fromkeys(tries) if DataInterval.of_night(night, zone).exists)


def _about(job: Job, night: date, labels: Labels, where: str) -> Iterator[str]:
    """Yield what the labels of a night are like. Raises ``TrainingDataError`` for values that the job does not know."""
    labelled = labels.table.num_rows
    if not job.task.classifies:
        ends = pc.min_max(labels.table.column(LABEL_COLUMN)).as_py()
        between = f", {ends['min']:g} to {ends['max']:g}" if labelled else ""
        yield f"outcome of night {night}: {labelled:,} numbers{between}"
    elif labelled:
        count = len(labels.outcomes)
        meaning = f"; {_positive(job, labels, where)}" if job.task.has_positive else ""
        yield f"outcome of night {night}: {count} {'value' if count == 1 else 'values'}, {named(labels.outcomes)}{meaning}"
    strange = set(labels.outcomes) - set(job.label.classes or labels.outcomes)
    if strange:
        raise TrainingDataError(
            f"{where}: column {job.label.column}",
            found=f"outcomes {sorted(strange)} in night {night}",
            expected=f"label.classes, {job.label.classes}",
            next_step=f"add them to label.classes in jobs/{job.name}.yaml, or leave their rows out in the SQL",
        )
    rows = labelled + labels.without_outcome
    if labels.without_outcome:
        yield f"{labels.without_outcome:,} of {rows:,} rows have no outcome"
    if labels.unreadable_keys:
        yield f"{labels.unreadable_keys:,} rows of labels.sql have a key that cannot be read, and match no row"


def _positive(job: Job, labels: Labels, where: str) -> str:
    require_positive(labels.outcomes, job, where)
    value = positive_of(labels.outcomes, job, where)
    return "none of them counts as positive" if value is None else f"{value!r} counts as positive"
