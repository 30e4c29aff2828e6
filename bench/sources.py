"""The part ``sources`` of the bench: one night from PostgreSQL, from SQLite and from Parquet through DuckDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

from bench.installation import JOB, Facts, Installation, Place
from bench.material import copy_sql, once, parquet
from scoring.settings import HOME

_SQL = HOME / "sql"


def with_sqlite(here: Installation, night: date) -> list[Place]:
    """Return the join in PostgreSQL, the same in SQLite, and the Parquet files, each with the night in it."""
    target = here.folder / "flights.db"
    once(here, f"sqlite_of_{night}", lambda: _copied(here, target))
    folder = here.folder / "sql" / "sqlite"
    copy_sql(folder, _SQL / "bench" / "sqlite" / JOB, ("features",))
    copy_sql(folder, _SQL / JOB, ("labels",))
    lite = Place("SQLite, SQLAlchemy", folder, f"sqlite:///{target}")
    return [here.place, lite, parquet(here, night)]


def _copied(here: Installation, target: Path) -> Facts:
    """Copy the source to SQLite; return the size in MiB."""
    import adbc_driver_postgresql.dbapi
    import adbc_driver_sqlite.dbapi
    import pyarrow as pa
    import pyarrow.compute as pc

    from demo.seed import TABLES
    from scoring.stores import libpq_url

    def as_stored(column: pa.Array) -> pa.Array:
        if pa.types.is_timestamp(column.type):
            return pc.strftime(column.cast(pa.timestamp("s", "UTC")), "%Y-%m-%d %H:%M:%S")
        return column.cast(pa.string()) if pa.types.is_date(column.type) else column

    target.unlink(missing_ok=True)
    with (
        closing(adbc_driver_postgresql.dbapi.connect(libpq_url(here.source_url))) as source,
        closing(adbc_driver_sqlite.dbapi.connect(str(target))) as lite,
        source.cursor() as reading,
        lite.cursor() as writing,
    ):
        for table in TABLES:
            reading.execute((_SQL / "demo" / "lake" / f"{table}.sql").read_text(encoding="utf-8"))
            for number, batch in enumerate(reading.fetch_record_batch()):
                plain = pa.RecordBatch.from_arrays([as_stored(column) for column in batch.columns], batch.schema.names)
                writing.adbc_ingest(table, plain, mode="append" if number else "create")
        lite.commit()
    with closing(sqlite3.connect(target)) as connection:
        connection.executescript((_SQL / "bench" / "sqlite" / "index.sql").read_text(encoding="utf-8"))
    return {"mib": target.stat().st_size / 2**20}
