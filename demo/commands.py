"""The commands of the demo: seed, train, score real nights through Airflow, and open Airflow's UI."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console, tables
from scoring.errors import NightshiftError
from scoring.interval import Nights, parse_night
from scoring.settings import HOME

if TYPE_CHECKING:
    from demo.local_airflow import LocalAirflow
    from scoring.job import Job
    from scoring.settings import Settings
    from scoring.stores import Stores, Workspace

JOBS = ("flight_delay", "flight_duration", "plane_grounded")
SINCE, UNTIL = date(2013, 1, 1), date(2013, 4, 1)
DAGS = [f"{job}_{kind}" for job in JOBS for kind in ("nightly", "retraining")] + ["late_nights", "nightshift_retention"]
NIGHTS = Nights.including(date(2013, 4, 1), date(2013, 4, 3))
PROGRAM = ".venv/bin/nightshift"
_SQL = HOME / "sql" / "demo"

app = typer.Typer()


def _now() -> datetime:
    return datetime.now(UTC)


@app.command("all")
def everything() -> None:
    """Seed the source, train the jobs, score three nights through Airflow, and say where everything is."""
    from demo import processes
    from demo.local_airflow import reached
    from demo.seed import seed
    from scoring.job import find_job
    from scoring.settings import load_settings
    from scoring.stores import Workspace, embedded
    from scoring.stores.warehouse import migrate

    began = time.monotonic()
    settings = load_settings()
    _stop_like_ctrl_c()
    with ExitStack() as stack:
        if processes.shared(settings.airflow_home) is None:
            stack.enter_context(processes.claimed(settings.airflow_home, "make demo"))
        with console.step("looking at what is there") as show:
            stores = _open(settings, show)
            migrate(stores.warehouse)
            seed(embedded.url(settings.postgres_dir, "source"), lambda table: show(f"seeding {table}"))
            jobs = [find_job(settings.jobs_dir, name) for name in JOBS]
            for job in jobs:
                _train(Workspace(stores, job), show)
        missing = [job for job in jobs if _unpublished(Workspace(stores, job))]
        if missing:
            with console.step("looking for Airflow") as show, reached(settings, show) as airflow:
                _let_run(airflow)
                for job in missing:
                    _score(airflow, stores, job, show)
                    _report(Workspace(stores, job), show)
    _summary(stores, jobs, time.monotonic() - began)


@app.command()
def up() -> None:
    """Run Airflow on loopback until Ctrl-C or `make stop`, the demo's DAGs ready for the backfill dialog."""
    from demo import processes
    from demo.local_airflow import running
    from scoring.settings import load_settings

    settings = load_settings()
    _stop_like_ctrl_c()
    with ExitStack() as stack:
        stack.enter_context(processes.claimed(settings.airflow_home, processes.UP))
        with console.step("starting Airflow") as show:
            airflow = stack.enter_context(running(settings, settings.airflow_port, show))
            _let_run(airflow)
        console.OUT.print(f"Airflow is ready: {airflow.url}", highlight=False)
        console.OUT.print(f"user admin, password {airflow.password}; Ctrl-C stops it", highlight=False)
        stack.enter_context(suppress(KeyboardInterrupt))
        if airflow.components is not None:
            airflow.components.watch(lambda words: console.OUT.print(words, highlight=False))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def airflow(context: typer.Context) -> None:
    """Run any Airflow command in the demo's environment: nightshift demo airflow dags list."""
    from demo import backfills
    from scoring.settings import load_settings

    raise typer.Exit(backfills.airflow_command(load_settings(), context.args))


@app.command("inflate")
def inflate_night(
    night: Annotated[str, typer.Option(help="Calendar day, YYYY-MM-DD.")],
    rows: Annotated[int, typer.Option(help="About how many rows the night shall have; 0 takes the copies away.")],
) -> None:
    """Copy a night's flights under new flight numbers, to see how a large night does."""
    from demo.seed import inflate
    from scoring.settings import load_settings
    from scoring.stores import embedded

    settings = load_settings()
    with console.step(f"inflating {night}"):
        flights = inflate(embedded.url(settings.postgres_dir, "source"), parse_night(night), rows)
    console.OUT.print(f"{night} has {flights:,} flights")


@app.command("lake")
def from_lake(
    night: Annotated[str, typer.Option(help="Calendar day, YYYY-MM-DD.")] = str(UNTIL),
) -> None:
    """Copy the flights to Parquet, and score one night from there and from PostgreSQL side by side; publishes nothing."""
    from demo import lake
    from demo.seed import seed
    from scoring.job import find_job
    from scoring.settings import load_settings
    from scoring.stores import Workspace
    from scoring.stores.warehouse import migrate

    settings = load_settings()
    folder = settings.data_dir / "demo_lake"
    with console.step("looking at what is there") as show:
        stores = _open(settings, show)
        migrate(stores.warehouse)
        work = Workspace(stores, find_job(settings.jobs_dir, JOBS[0]))
        url = stores.source_url(work.job)
        if work.job.source not in settings.sources:
            seed(url, lambda table: show(f"seeding {table}"))
        _train(work, show)
        lake.export(url, folder, show)
        sources = {"PostgreSQL": work, "DuckDB over Parquet": lake.from_folder(work, folder)}
        nights = []
        for name, place in sources.items():
            show(f"scoring {night} from {name}")
            nights.append(lake.read_night(place, parse_night(night), name))
    columns = ("source", "rows", "accepted", "snapshot_hash", "predictions_hash", "seconds", "rows/s")
    hashes = [(n.snapshot_hash[:16], n.predictions_hash[:16]) for n in nights]
    rows = [
        (n.source, n.rows, n.accepted, *both, round(n.seconds, 2), round(n.rows / n.seconds))
        for n, both in zip(nights, hashes, strict=True)
    ]
    tables.table(f"{work.job.name}, night {night}, read twice", columns, rows)
    lake.require_same(*nights)
    console.OUT.print("the same rows and the same predictions; nothing was published", highlight=False)
    console.OUT.print(
        f"files {folder}; SQL sql/demo/lake/{work.job.name}/features.sql", highlight=False, soft_wrap=True
    )


@app.command()
def stop() -> None:
    """Stop `make up` or `make demo` if one runs, then the embedded PostgreSQL; nothing is lost."""
    from demo import processes
    from scoring.settings import load_settings
    from scoring.stores import embedded

    settings = load_settings()
    with console.step("stopping"):
        ended = processes.stop(settings.airflow_home)
        stopped = embedded.stop(settings.postgres_dir)
    if ended:
        console.OUT.print(f"{ended} stopped", highlight=False)
    console.OUT.print("PostgreSQL stopped" if stopped else "PostgreSQL was not running")


def _stop_like_ctrl_c() -> None:
    """Take SIGTERM for Ctrl-C, so that the processes we started end too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _open(settings: Settings, show: Callable[[str], None]) -> Stores:
    from scoring.stores import embedded, open_stores

    if not embedded.runs(settings.postgres_dir):
        show("starting PostgreSQL")
    return open_stores(settings, _now)


def _let_run(airflow: LocalAirflow) -> None:
    """Unpause the demo's DAGs, each once: one that somebody paused later stays paused. Others start paused."""
    marker = airflow.settings.airflow_home / "unpaused.json"
    before = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else []
    for dag_id in DAGS:
        if dag_id not in before:
            airflow.wait_for_dag(dag_id)
            airflow.unpause(dag_id)
    marker.write_text(json.dumps(DAGS), encoding="utf-8")


def _train(work: Workspace, show: Callable[[str], None]) -> None:
    from lifecycle.retraining import RetrainingRequest, retrain
    from scoring.stores.warehouse import ensure_job, promotions

    ensure_job(work.warehouse, work.job)
    if promotions.history_of(work.warehouse, work.job.name):
        return
    show(f"training {work.job.name} on what was known by {UNTIL}")
    since = max(SINCE, work.job.schedule.first_night)
    row = retrain(work, RetrainingRequest("first version", night=UNTIL, since=since))
    if row.state != "promoted":
        raise NightshiftError(
            f"first version of {work.job.name}", found=f"{row.state}: {row.detail}", next_step="make clean demo"
        )


def _unpublished(work: Workspace) -> list[date]:
    from scoring.stores.warehouse import ledger

    published = ledger.published(work.warehouse, work.job.name)
    return [night for night in NIGHTS if night not in published]


def _score(airflow: LocalAirflow, stores: Stores, job: Job, show: Callable[[str], None]) -> None:
    from demo import backfills
    from scoring.stores import Workspace

    dag_id = f"{job.name}_nightly"
    airflow.unpause(dag_id)
    if any(run["state"] in ("queued", "running") for run in airflow.runs(dag_id)):
        airflow.wait(dag_id, lambda count: show(f"{dag_id}: finishing the nights that a stopped `make demo` began"))
    backfills.wait_until_closed(airflow, dag_id, show)
    nights = _unpublished(Workspace(stores, job))
    if not nights:
        return
    before = {run["dag_run_id"] for run in airflow.runs(dag_id)}
    airflow.backfill(dag_id, nights[0], nights[-1], reprocess_behavior="completed" if before else "none")
    runs = airflow.wait(dag_id, lambda count: show(f"{dag_id}: {count - len(before)} of {len(nights)} nights scored"))
    failed = [run["partition_key"] for run in runs if run["state"] != "success" and run["dag_run_id"] not in before]
    if failed:
        raise NightshiftError(dag_id, found=f"nights {failed} failed", next_step="make up, and look at the red task")


def _report(work: Workspace, show: Callable[[str], None]) -> None:
    """Make Evidently's page of the last night, which a backfill leaves out."""
    from drift.report import reported, write_report
    from scoring.stores.warehouse import ledger

    show(f"{work.job.name}: Evidently's page of {NIGHTS.last}")
    run_id = ledger.published(work.warehouse, work.job.name)[NIGHTS.last]
    reported(work, [ledger.get(work.warehouse, run_id)], write_report)


def _summary(stores: Stores, jobs: list[Job], seconds: float) -> None:
    tables.table("nights scored by Airflow", *stores.warehouse.query(_statement("nights")))
    example = _statement("example")
    query = " ".join(line for line in example.splitlines() if not line.startswith("--"))
    console.OUT.print(f'\n{PROGRAM} sql "{" ".join(query.split())}"', highlight=False, soft_wrap=True)
    tables.table("", *stores.warehouse.query(example))
    lines = [
        ("Parquet", f"{stores.settings.lake_root}/predictions/<job>/night=<night>/predictions.parquet"),
        ("warehouse", stores.warehouse.engine.url.render_as_string(hide_password=True)),
        ("drift reports", f"{stores.settings.lake_root}/reports/<job>/night={NIGHTS.last}/drift.html"),
        ("Airflow's UI", "make up; drift, performance, decisions and model cards are under Nightshift"),
        ("one night's story", f"{PROGRAM} explain {jobs[0].name} {NIGHTS.last}"),
    ]
    for name, value in lines:
        console.OUT.print(f"{name:18} {value}", highlight=False, soft_wrap=True)
    console.OUT.print(f"\ndone in {seconds:.1f} s", highlight=False)


def _statement(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")
