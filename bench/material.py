"""What the bench needs before it measures: nights, models, job files and sources. What is there already stays."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from bench.installation import JOB, Facts, Installation, Place, say
from bench.usage import StepFailed
from scoring.interval import DataInterval, Nights
from scoring.settings import HOME

FIRST = date(2013, 4, 1)
"""The first night that is scored: models learn from the nights before."""
TRAINED_ON = Nights(date(2013, 1, 1), FIRST)
MODELS = {
    "HGB-100": JOB,
    "HGB-300": f"{JOB}_hgb_300",
    "forest-200": f"{JOB}_forest_200",
    "logistic": f"{JOB}_logistic",
}
"""Job of each model. The first is the demo's own."""
SHORTER = Nights(date(2013, 3, 1), FIRST)
"""What the other models learn from: one month, which is quicker."""
_SQL = HOME / "sql"


def once(here: Installation, name: str, make: Callable[[], Facts]) -> Facts:
    """Return what ``make`` returned when it was called first in this data folder."""
    path = here.folder / "made" / f"{name}.json"
    if not path.exists():
        say(f"preparing {name.replace('_', ' ')}")
        facts = make()
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(facts), encoding="utf-8")
    content: Facts = json.loads(path.read_text(encoding="utf-8"))
    return content


def installed(folder: Path) -> Installation:
    """Return the bench's installation with job files and SQL, and an empty warehouse."""
    from scoring.stores.warehouse import migrate

    here = Installation.of(folder.resolve())
    write_jobs(here.jobs_dir, 100_000)
    for place, source in {"join": _SQL / JOB, "parquet": _SQL / "demo" / "lake" / JOB}.items():
        copy_sql(here.folder / "sql" / place, source)
    copy_sql(here.folder / "sql" / "one_table", _SQL / "bench" / "one_table", ("features",))
    copy_sql(here.folder / "sql" / "one_table", _SQL / JOB, ("labels",))
    migrate(here.stores.warehouse)
    return here


def write_jobs(folder: Path, chunk_rows: int) -> Path:
    """Write the job file of every model, each with chunks of so many rows; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (HOME / "jobs" / f"{JOB}.yaml").read_text(encoding="utf-8")
    for job in MODELS.values():
        factory = f"bench.pipelines:{job.removeprefix(f'{JOB}_')}" if job != JOB else f"jobs.{JOB}:build_pipeline"
        values = {"name": job, "pipeline": factory, "chunk_rows": str(chunk_rows)}
        made = text
        for key, value in values.items():
            made = re.sub(rf"^{key}: .*$", f"{key}: {value}", made, flags=re.MULTILINE)
        (folder / f"{job}.yaml").write_text(made, encoding="utf-8")
    return folder


def in_chunks(here: Installation, rows: int, chunks: int) -> Installation:
    """Return the installation with job files that part ``rows`` into so many chunks."""
    return here.with_jobs(write_jobs(here.folder / f"jobs_{chunks}_chunks", math.ceil(rows / chunks)))


def copy_sql(folder: Path, source: Path, names: tuple[str, ...] = ("features", "labels")) -> None:
    """Copy statements of ``flight_delay`` for the job of every model."""
    for job in MODELS.values():
        (folder / job).mkdir(parents=True, exist_ok=True)
        for name in names:
            text = (source / f"{name}.sql").read_text(encoding="utf-8")
            (folder / job / f"{name}.sql").write_text(text, encoding="utf-8")


def champion(here: Installation, job: str, nights: Nights) -> Facts:
    """Train a job's first version and promote it; return the seconds that training took."""
    from lifecycle.promotion import promote
    from lifecycle.training import train
    from scoring.stores.warehouse import ensure_job

    def trained() -> Facts:
        work = here.workspace(job)
        ensure_job(work.warehouse, work.job)
        made = train(work, nights)
        promote(work, made.ref.version, "benchmark", "bench", nights.until)
        return {"rows": made.rows, **made.metrics}

    return once(here, f"a_champion_of_{job}", trained)


def night_of(here: Installation, night: date, rows: int) -> date:
    """Give a night about ``rows`` flights, unless it has them, and a champion that scores it; return the night.

    Copies of the night's flights are inserted under other flight numbers. Raises ``StepFailed`` when the night was made
    for another number, since what was copied of it would no longer be the same.
    """
    from demo.seed import inflate, seed

    once(here, "the_demos_source", lambda: seed(here.source_url, lambda table: None))
    champion(here, JOB, TRAINED_ON)

    def inflated() -> Facts:
        say(f"{night} gets {rows:,} flights")
        made = inflate(here.source_url, night, rows)
        here.vacuum()
        return {"asked": rows, "rows": made}

    there = once(here, f"night_{night}", inflated)["asked"]
    if there != rows:
        raise StepFailed(f"{here.folder} was made for other sizes: {night} was to have {there} flights, now {rows}")
    return night


def one_table(here: Installation, night: date) -> Place:
    """Return the place where one table holds what the join gives of a night."""

    def copied() -> Facts:
        columns = "time_hour, carrier, flight, origin, dest, distance, sched_dep_minute, sched_arr_minute, day_of_week"
        columns += ", plane_age, seats, temp, dewp, humid, wind_dir, wind_speed, precip, pressure, visib"
        text = (_SQL / JOB / "features.sql").read_text(encoding="utf-8")
        interval = DataInterval.of_night(night, here.workspace().job.schedule.timezone)
        ends = {"interval_start": interval.start, "interval_end": interval.end}
        with sa.create_engine(here.source_url).begin() as connection:
            connection.exec_driver_sql((_SQL / "bench" / "one_table" / "create.sql").read_text(encoding="utf-8"))
            copy = sa.text(f"insert into flight_features ({columns})\n{text}")
            rows = connection.execute(copy, ends).rowcount
        here.vacuum()
        return {"rows": rows}

    once(here, f"one_table_of_{night}", copied)
    return Place("PostgreSQL, one table", here.folder / "sql" / "one_table")


def parquet(here: Installation, night: date) -> Place:
    """Return the place where the source's tables are Parquet files that DuckDB reads."""
    from demo.lake import export

    folder = here.folder / "parquet"

    def exported() -> Facts:
        export(here.source_url, folder, lambda table: None)
        return {"mib": sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20}

    once(here, f"parquet_files_of_{night}", exported)
    return Place("Parquet, DuckDB", here.folder / "sql" / "parquet", f"duckdb:///:memory:?root={quote(str(folder))}")
