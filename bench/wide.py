"""Jobs with many columns: made-up numbers in one table, the first of which the outcome depends on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import yaml
from adbc_driver_postgresql import dbapi

from bench.installation import Facts, Installation, Place
from bench.material import champion, once
from scoring.interval import Nights
from scoring.stores import libpq_url

TRAINED_ON = Nights(date(2013, 3, 2), date(2013, 4, 1))
TRAINING_ROWS = 300
"""Rows of a night that the version learns from."""
CHUNK_ROWS = 20_000
NULLS = 0.05
_BATCH = 10_000


def wide_job(here: Installation, width: int, rows: int) -> tuple[Installation, str, date]:
    """Return the installation with a job of ``width`` columns, the job's name, and its night of ``rows`` rows."""
    name = f"wide_{width}"
    jobs, sql = here.folder / "jobs_wide", here.folder / "sql" / "wide"
    jobs.mkdir(exist_ok=True)
    (jobs / f"{name}.yaml").write_text(yaml.safe_dump(_job(name, width)), encoding="utf-8")
    (sql / name).mkdir(parents=True, exist_ok=True)
    for statement, table in {"features": name, "labels": f"{name}_labels"}.items():
        text = f"select * from {table} where happened >= :interval_start and happened < :interval_end"
        (sql / name / f"{statement}.sql").write_text(f"{text}\n", encoding="utf-8")
    wide = here.with_jobs(jobs).at(Place("PostgreSQL, one table", sql))
    once(wide, f"{width}_columns_of_{rows}_rows", lambda: _fill(wide, name, width, rows))
    champion(wide, name, TRAINED_ON)
    return wide, name, TRAINED_ON.until


def _job(name: str, width: int) -> Facts:
    return {
        "name": name,
        "description": "Made up.",
        "owner": "bench",
        "schedule": {"timezone": "UTC", "first_night": TRAINED_ON.first},
        "source": "demo",
        "time_column": "happened",
        "key": {"happened": "datetime", "id": "int"},
        "features": {column: {"type": "float", "nullable": True} for column in _names(width)},
        "task": "binary",
        "label": {"column": "outcome", "delay_days": 1},
        "pipeline": "bench.pipelines:hgb_of_numbers",
        "chunk_rows": CHUNK_ROWS,
    }


def _names(width: int) -> list[str]:
    return [f"x{number:03d}" for number in range(width)]


def _fill(here: Installation, name: str, width: int, rows: int) -> Facts:
    """Make the tables: some rows for every night of the training, ``rows`` for the night that is scored."""
    nights = list(TRAINED_ON)
    with dbapi.connect(libpq_url(here.source_url)) as connection, connection.cursor() as cursor:
        for table in (name, f"{name}_labels"):
            cursor.execute(f"drop table if exists {table}")
        mode = "create"
        for batch, labels in _batches(width, [*((night, TRAINING_ROWS) for night in nights), (TRAINED_ON.until, rows)]):
            cursor.adbc_ingest(name, batch, mode=mode)
            cursor.adbc_ingest(f"{name}_labels", labels, mode=mode)
            mode = "append"
        cursor.execute(f"create index {name}_happened on {name} (happened)")
        connection.commit()
    here.vacuum()
    return {"rows": rows, "columns": width}


def _batches(width: int, nights: list[tuple[date, int]]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    random = np.random.default_rng(width)
    for night, rows in nights:
        for start in range(0, rows, _BATCH):
            count = min(_BATCH, rows - start)
            values = random.normal(size=(width, count))
            nulls = random.random((width, count)) < NULLS
            at = datetime(night.year, night.month, night.day, 12, tzinfo=UTC)
            keys = {
                "happened": pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), count),
                "id": pa.array(np.arange(start, start + count)),
            }
            numbers = {
                column: pa.array(value, mask=mask)
                for column, value, mask in zip(_names(width), values, nulls, strict=True)
            }
            outcome = values[0] + values[1] + random.normal(size=count) > 0
            yield pa.record_batch({**keys, **numbers}), pa.record_batch({**keys, "outcome": pa.array(outcome)})
