"""The tables and views of one job: predictions with their history, and those of versions in the shadow."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, distinct_on

from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task
from scoring.names import plain
from scoring.stores.warehouse.tables import PUBLICATIONS, PUBLISHED, RUNS

_KEY_TYPES: dict[str, type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]] = {
    "int": sa.BigInteger,
    "string": sa.Text,
    "datetime": sa.DateTime(timezone=True),
    "date": sa.Date,
}


_PREDICTIONS: dict[Task, tuple[type[sa.types.TypeEngine[Any]], str]] = {
    BINARY: (sa.Boolean, "Decision"),
    MULTICLASS: (sa.Text, "Class"),
    REGRESSION: (sa.Double, "Value"),
    SCORE: (sa.Double, "Score"),
}
"""Type of the column ``prediction``, and the noun in its comment."""
INTERVAL = {
    "lower": "Lower end of the interval that is to hold the outcome; null in rows that were scored without one",
    "upper": "Upper end of the interval that is to hold the outcome; null in rows that were scored without one",
}
"""Columns of the interval's ends, and their comments. They come last: a job may get them when it has its tables."""
STAMPS = {
    "model_version": "Version that scored the row",
    "run_id": "Run of the ledger (scoring_runs) that made the row",
    "scored_at": "When that run began",
    "visible_from": "When the views switched to the run",
    "visible_until": "When they switched to another, or to nothing; null while it is shown",
}
"""Columns that the views add to those of the history, and their comments."""


def history(job: Job) -> sa.Table:
    """Return the table of every prediction ever loaded for ``job``, partitioned by the night's year.

    The primary key is the only index. A run's rows are its newest end, so that loading them costs the same whatever is
    there, and removing them empties whole pages. One key over time is one look into the index for each published night.
    """
    columns = [*identity(job), *_prediction_columns(job), *interval_columns(job)]
    name = f"{job.name}_predictions_history"
    comment = f"Every run's rows, published or not. {job.description}"
    key = sa.PrimaryKeyConstraint("night", "run_number", *job.key)
    return sa.Table(name, sa.MetaData(), *columns, key, comment=comment, postgresql_partition_by="range (night)")


def shadow(job: Job) -> sa.Table:
    """Return the table with the predictions of versions in the shadow for ``job``, which are never published."""
    version = sa.Column("model_version", sa.Integer, nullable=False, comment="Version in the shadow")
    columns = [*identity(job), version, *_prediction_columns(job)]
    key = sa.PrimaryKeyConstraint("night", "run_number", "model_version", *job.key)
    comment = f"Predictions of versions in the shadow, never published. {job.description}"
    return sa.Table(f"{job.name}_shadow_predictions", sa.MetaData(), *columns, key, comment=comment)


def requests(job: Job) -> sa.Table:
    """Return the table of the predictions that were made on demand for ``job``. It is there once the job was served."""
    version = sa.Column("model_version", sa.Integer, nullable=False, comment="Version that scored the row")
    columns: list[sa.Column[Any]] = [
        sa.Column("nightshift_request", sa.Text, nullable=False, comment="The request's id, as its answer has it"),
        sa.Column("nightshift_row", sa.Integer, nullable=False, comment="Place of the row in its request, from 0 on"),
        sa.Column("nightshift_role", sa.Text, nullable=False, comment="champion, challenger, or shadow: not answered"),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False, comment="When the request was answered"),
        *(column for column in identity(job) if column.name != "run_number"),
        version,
        *_prediction_columns(job),
        sa.Column("nightshift_features", JSONB, nullable=False, comment="The features as they were sent"),
    ]
    key = sa.PrimaryKeyConstraint("nightshift_request", "nightshift_row", "model_version")
    name, comment = f"{job.name}_requests", f"Predictions made on demand, never published. {job.description}"
    return sa.Table(name, sa.MetaData(), *columns, key, sa.Index(f"{name}_night", "night"), comment=comment)


def identity(job: Job) -> list[sa.Column[Any]]:
    """Return the columns that identify a row: keys, night and run. A key column has its plain name, and the job's in ``.key``."""
    return [
        *(
            sa.Column(plain(key), _KEY_TYPES[kind], key=key, nullable=False, comment=_meaning(key))
            for key, kind in job.key.items()
        ),
        sa.Column("night", sa.Date, nullable=False, comment="Calendar day in the job's timezone that was scored"),
        sa.Column(
            "run_number", sa.BigInteger, nullable=False, comment="Run of the ledger (scoring_runs) that loaded the row"
        ),
    ]


def _meaning(key: str) -> str:
    return "Key" if plain(key) == key else f"Key, {key} in the source"


def _prediction_columns(job: Job) -> list[sa.Column[Any]]:
    """Return the columns of a prediction. ``describe_prediction`` makes their comment exact once there is a champion."""
    kind, noun = _PREDICTIONS[job.task]
    comment = f"{noun} that the row's model version predicts"
    chances = (
        sa.Column(name, sa.Double, nullable=False, comment="Probability, 0 to 1") for name in job.probability_columns
    )
    return [sa.Column("prediction", kind, nullable=False, comment=comment), *chances]


def interval_columns(job: Job) -> list[sa.Column[Any]]:
    """Return the columns of the interval's ends, or none."""
    return [sa.Column(name, sa.Double, comment=INTERVAL[name]) for name in job.interval_columns]


def views(job: Job) -> dict[str, tuple[sa.Select[Any], str]]:
    """Return the select and the comment of each of the job's views, by name."""
    return {
        f"{job.name}_predictions": (current_view(job), "Published predictions: one row per key and night"),
        f"{job.name}_predictions_as_of": (as_of_view(job), "Every publication, with the time it was visible"),
        newest_name(job): (newest_view(job), "The newest published prediction of every key: one row per key"),
    }


def newest_name(job: Job) -> str:
    """Return the name of the view with the newest prediction per key. No other job can need it, whatever it is called."""
    return f"{job.name}_predictions_newest"


def current_view(job: Job) -> sa.Select[Any]:
    """Return the select behind ``<job>_predictions``: one row per key and night, of the published run."""
    rows = history(job)
    of_pointer = sa.and_(PUBLISHED.c.night == rows.c.night, PUBLISHED.c.run_number == rows.c.run_number)
    stamp = [PUBLISHED.c[name] for name in ("model_version", "run_id", "scored_at")]
    return sa.select(*_view_columns(rows, job), *stamp, *_ends(rows, job)).join(
        PUBLISHED, sa.and_(PUBLISHED.c.job == job.name, of_pointer)
    )


def newest_view(job: Job) -> sa.Select[Any]:
    """Return the select behind ``<job>_predictions_newest``: of every key the row of the last published night that has it.

    A condition on the key reaches the primary key's index, once for each night. Without one the whole history is read.
    """
    rows = history(job)
    key = [rows.c[name] for name in job.key]
    return current_view(job).ext(distinct_on(*key)).order_by(*key, rows.c.night.desc())


def as_of_view(job: Job) -> sa.Select[Any]:
    """Return the select behind ``<job>_predictions_as_of``: published rows with the time they were visible."""
    rows = history(job)
    loaded = sa.and_(RUNS.c.night == rows.c.night, RUNS.c.run_number == rows.c.run_number)
    stamp = [RUNS.c.model_version, RUNS.c.run_id, RUNS.c.started_at.label("scored_at")]
    visible = [PUBLICATIONS.c.visible_from, PUBLICATIONS.c.visible_until]
    joined = rows.join(RUNS, sa.and_(RUNS.c.job == job.name, loaded)).join(
        PUBLICATIONS, PUBLICATIONS.c.run_id == RUNS.c.run_id
    )
    return sa.select(*_view_columns(rows, job), *stamp, *visible, *_ends(rows, job)).select_from(joined)


def _view_columns(rows: sa.Table, job: Job) -> list[sa.Column[Any]]:
    return [rows.c[name] for name in (*job.key, "night", *job.prediction_columns)]


def _ends(rows: sa.Table, job: Job) -> list[sa.Column[Any]]:
    """Return the columns of the interval's ends, which come last: a view that is there takes new columns only at its end."""
    return [rows.c[name] for name in job.interval_columns]
