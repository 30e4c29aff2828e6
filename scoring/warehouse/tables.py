"""The warehouse's tables for SQLAlchemy: the fixed ones by name, the predictions of a job in full."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from scoring.job import Job

RUNS = sa.table(
    "scoring_runs",
    *(
        sa.column(name)
        for name in (
            "run_id", "job", "night", "interval_start", "interval_end", "attempt", "origin", "airflow_run_id",
            "status", "stage", "reason", "model_version", "model_sha256", "job_sha256", "sql_sha256",
            "snapshot_hash", "predictions_hash", "code_version", "chunks", "rows_extracted", "rows_quarantined",
            "rows_scored", "rows_loaded", "seconds_extract", "seconds_score", "seconds_publish", "rows_per_second",
            "started_at", "finished_at",
        )
    ),
    sa.column("library_versions", JSONB),
    sa.column("quarantine_reasons", JSONB),
    sa.column("unknown_categories", JSONB),
)  # fmt: skip
JOBS = sa.table("jobs", *map(sa.column, ("job", "description", "owner", "timezone", "first_night", "last_night")))
PUBLISHED = sa.table(
    "published_nights", *map(sa.column, ("job", "night", "run_id", "model_version", "rows", "published_at"))
)
PUBLICATIONS = sa.table("publications", *map(sa.column, ("job", "night", "run_id", "visible_from", "visible_until")))
PROMOTIONS = sa.table(
    "model_promotions",
    *map(
        sa.column,
        ("promotion_id", "job", "model_version", "effective_from", "kind", "reason", "promoted_by", "promoted_at"),
    ),
)

_KEY_TYPES: dict[str, type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]] = {
    "int": sa.BigInteger,
    "string": sa.Text,
    "datetime": sa.DateTime(timezone=True),
    "date": sa.Date,
}
_PREDICTION_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "binary": sa.Boolean,
    "multiclass": sa.Text,
    "regression": sa.Double,
}


def history(job: Job) -> sa.Table:
    """Return the table of every prediction ever loaded for ``job``, partitioned by month of the night."""
    name = f"{job.name}_predictions_history"
    meaning = {
        "binary": "Decision at probability 0.5",
        "multiclass": "Most probable class",
        "regression": "Predicted value",
    }
    columns: list[sa.Column[Any]] = [
        sa.Column("night", sa.Date, nullable=False, comment="Calendar day in the job's timezone that was scored"),
        sa.Column("run_id", sa.Text, nullable=False, comment="Run of the ledger (scoring_runs) that loaded the row"),
        *(sa.Column(key, _KEY_TYPES[kind], nullable=False, comment="Key") for key, kind in job.key.items()),
        sa.Column("prediction", _PREDICTION_TYPES[job.task], nullable=False, comment=meaning[job.task]),
        *(
            sa.Column(column, sa.Double, nullable=False, comment="Probability, 0 to 1")
            for column in job.probability_columns
        ),
        sa.Column("model_version", sa.Integer, nullable=False, comment="Version in the model registry"),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False, comment="When the run began"),
    ]
    table = sa.Table(
        name, sa.MetaData(), *columns, sa.PrimaryKeyConstraint("night", "run_id", *job.key),
        comment=f"{job.description} Every run's rows; the views show only published ones",
        postgresql_partition_by="range (night)",
    )  # fmt: skip
    sa.Index(f"{job.name}_key_over_time", *(table.c[key] for key in job.key), table.c.night)
    return table


def current_view(job: Job) -> sa.Select[Any]:
    """Return the select behind ``<job>_predictions``: one row per key and night, of the published run."""
    rows = history(job)
    pointed = sa.and_(
        PUBLISHED.c.job == job.name, PUBLISHED.c.night == rows.c.night, PUBLISHED.c.run_id == rows.c.run_id
    )
    return sa.select(*_outward(rows, job)).join(PUBLISHED, pointed)


def as_of_view(job: Job) -> sa.Select[Any]:
    """Return the select behind ``<job>_predictions_as_of``: published rows with the time they were visible."""
    rows = history(job)
    log = PUBLICATIONS
    shown = sa.and_(log.c.job == job.name, log.c.night == rows.c.night, log.c.run_id == rows.c.run_id)
    return sa.select(*_outward(rows, job), log.c.visible_from, log.c.visible_until).join(log, shown)


def _outward(rows: sa.Table, job: Job) -> list[sa.Column[Any]]:
    names = [*job.key, "night", "prediction", *job.probability_columns, "model_version", "run_id", "scored_at"]
    return [rows.c[name] for name in names]
