"""One night from PostgreSQL, from SQLite and from Parquet through DuckDB: rows/s and peak memory, and whether it is the same.

It works in a data folder and an embedded PostgreSQL of its own. Each run is ``nightshift run`` in a process of its own,
interleaved. CPU seconds and peak RSS are those of the Python process, in which DuckDB and SQLite work too, and not of
PostgreSQL. Exit code 1 unless all runs of the night have the same snapshot_hash and the same predictions_hash.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import quote

from bench.end_to_end import Facts, StepFailed, machine, measure, own_settings
from scoring.settings import HOME, Settings, code_version

# A child's peak RSS counts from its parent's, so this process imports little before its end.
from scoring.stores import embedded

JOB, NIGHT = "flight_delay", "2013-04-01"
REPETITIONS = 3
COMMAND = (sys.executable, "-c", "from cli.main import main; main()")
"""The command line of this checkout, whatever is installed."""
_SQL = HOME / "sql"


@dataclass(frozen=True)
class Place:
    """A place that the night is read from: its name, its SQL and the URL of the source, unset for the demo's PostgreSQL."""

    name: str
    sql_dir: Path
    url: str | None

    def environment(self) -> dict[str, str]:
        """Return the variables with which a command reads from here."""
        url = {"NIGHTSHIFT_SOURCES__DEMO": self.url} if self.url else {}
        return {"NIGHTSHIFT_SQL_DIR": str(self.sql_dir), **url}


def places(data: Path) -> list[Place]:
    """Return the three places below the data folder."""
    root = quote(str(data / "parquet"))
    return [
        Place("PostgreSQL, ADBC", _SQL, None),
        Place("SQLite, SQLAlchemy", _SQL / "bench" / "sqlite", f"sqlite:///{data / 'flights.db'}"),
        Place("Parquet, DuckDB", _SQL / "demo" / "lake", f"duckdb:///:memory:?root={root}"),
    ]


def copy(data: str) -> Facts:
    """Copy the source to Parquet and to SQLite, in a process of its own. Returns the size of both in MiB."""
    import adbc_driver_postgresql.dbapi
    import adbc_driver_sqlite.dbapi
    import pyarrow as pa
    import pyarrow.compute as pc

    from demo.lake import export
    from demo.seed import TABLES
    from scoring.stores import libpq_url

    def as_stored(column: pa.Array) -> pa.Array:
        if pa.types.is_timestamp(column.type):
            return pc.strftime(column.cast(pa.timestamp("s", "UTC")), "%Y-%m-%d %H:%M:%S")
        return column.cast(pa.string()) if pa.types.is_date(column.type) else column

    folder = Path(data)
    url = embedded.url(folder / "postgres", "source")
    export(url, folder / "parquet", lambda table: None)
    target = folder / "flights.db"
    target.unlink(missing_ok=True)
    with (
        closing(adbc_driver_postgresql.dbapi.connect(libpq_url(url))) as source,
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
    parquet = sum(path.stat().st_size for path in (folder / "parquet").rglob("*.parquet"))
    return {"parquet_mib": parquet / 2**20, "sqlite_mib": target.stat().st_size / 2**20}


def benchmark(settings: Settings, rows: int) -> Facts:
    """Score the night from each place, interleaved, and return what every run used and what the ledger says of it."""
    data = settings.data_dir
    say(f"preparing a night of {rows:,} rows in {data}")
    prepared = measure([sys.executable, "-m", "bench.ways", "prepare", f"{NIGHT}={rows}"], data)
    say("copying it to Parquet and SQLite")
    sizes = measure([sys.executable, "-m", "bench.sources", "--copy", str(data)], data)
    found: dict[str, list[Facts]] = {}
    for _ in range(REPETITIONS):
        for place in places(data):
            used = measure([*COMMAND, "run", JOB, "--night", NIGHT], data, place.environment())
            facts = measure([sys.executable, "-m", "bench.ways", "runs", NIGHT], data)["runs"][-1]
            found.setdefault(place.name, []).append({**used, **facts})
            say(f"{place.name}: {used['wall_seconds']:.1f} s")
    about = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "code_version": code_version(settings)}
    return {**about, "rows": prepared["nights"][NIGHT], "sizes": sizes, "machine": machine(), "places": found}


def same(found: Facts) -> bool:
    """Return whether all runs read the same rows and predicted the same."""
    runs = [run for runs in found["places"].values() for run in runs]
    return len({(run["rows_extracted"], run["snapshot_hash"], run["predictions_hash"]) for run in runs}) == 1


def table_rows(found: Facts) -> list[tuple[str, ...]]:
    """Return a line for each place, of medians."""
    lines = []
    for name, runs in found["places"].items():
        middle = {fact: median(run[fact] for run in runs) for fact in runs[0] if isinstance(runs[0][fact], int | float)}
        read = f"{middle['rows_extracted'] / middle['seconds_extract']:,.0f}"
        seconds = [f"{middle[fact]:.1f}" for fact in ("wall_seconds", "cpu_seconds")]
        memory = f"{middle['peak_rss_mib']:.0f}"
        lines.append((name, runs[0]["snapshot_hash"][:12], *seconds, f"{middle['rows_per_second']:,.0f}", read, memory))
    return lines


def say(line: str) -> None:
    """Write a line of progress."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sources", description="Measure one night from three sources."
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the night")
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "sources.json")
    parser.add_argument(
        "--data", type=Path, help="data folder to use and keep; default: one that is removed at the end"
    )
    parser.add_argument(
        "--copy", metavar="FOLDER", help="only copy the source of this data folder, and print the sizes"
    )
    asked = parser.parse_args(arguments)
    if asked.copy:
        print(json.dumps(copy(asked.copy)))
        return 0
    (HOME / "data").mkdir(exist_ok=True)
    folder = asked.data.resolve() if asked.data else Path(tempfile.mkdtemp(prefix="bench-", dir=HOME / "data"))
    settings = own_settings(folder)
    try:
        found = benchmark(settings, asked.rows)
    finally:
        embedded.stop(settings.postgres_dir)
        if asked.data is None:
            shutil.rmtree(folder)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _print(found)
    if not same(found):
        raise StepFailed("the sources did not give the same night")
    say(f"all hashes are equal; every repetition: {asked.json}")
    return 0


def _print(found: Facts) -> None:
    from cli import tables

    loads = [run["load_average_before"] for runs in found["places"].values() for run in runs]
    busy = f"load average before each process {min(loads):.1f} to {max(loads):.1f}"
    title = f"{found['rows']:,} rows of {JOB} on {found['machine']['cores']} cores; medians of {REPETITIONS}; {busy}"
    columns = (
        "read from",
        "snapshot_hash",
        "wall s",
        "CPU s",
        "rows/s, whole night",
        "rows/s, extract",
        "peak RSS MiB",
    )
    tables.table(title, columns, table_rows(found))


if __name__ == "__main__":
    sys.exit(main())
