"""What nights came to: published, held, taken back, and everything that is on record of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import console, tables
from cli.arguments import JobName, Night, Reason, RunId, now, open_installation, open_job
from scoring.errors import JobFileError, RunMissing
from scoring.interval import DataInterval, parse_night

if TYPE_CHECKING:
    from scoring.job import Job
    from scoring.night import Change, Changes
    from scoring.stores import Stores

NO_FILE = "it has no job file any more; `retire` records that, and why"
app = typer.Typer()
DIFFERENCE_TITLES = {
    "rows_compared": "rows compared",
    "rows_changed": "rows changed",
    "only_first": "rows only in first",
    "only_second": "rows only in second",
    "largest": "largest difference",
    "mean": "mean difference",
}
"""Counts of `diff`, and what they are called."""
SIDES = ("first", "second")


@app.command("release")
def release_run(name: JobName, run_id: RunId) -> None:
    """Publish a held night (or an older run again) although the gate spoke against it."""
    from scoring.night import release

    work = open_job(name)
    publication = release(work, run_id)
    console.OUT.print(f"run {run_id}: {publication.status}, {publication.rows:,} rows", soft_wrap=True)


@app.command("discard")
def discard_run(name: JobName, run_id: RunId) -> None:
    """Drop the rows of a held night; what was published before stays."""
    from scoring.night import discard

    work = open_job(name)
    console.OUT.print(f"run {run_id}: discarded, {discard(work, run_id):,} rows dropped", soft_wrap=True)


@app.command("unpublish")
def unpublish_night(name: JobName, night: Night, reason: Reason) -> None:
    """Take a night's publication back: views and lake show nothing of it any more, the history keeps it."""
    from scoring.night import unpublish

    work = open_job(name)
    run = unpublish(work, parse_night(night), reason)
    console.OUT.print(f"{name} {night}: run {run.run_id} is unpublished: {run.reason}", soft_wrap=True, markup=False)
    console.OUT.print(
        f"`run {name} --night {night}` publishes it anew, `release {name} {run.run_id}` as it was", soft_wrap=True
    )


@app.command()
def status(as_json: tables.Json = False) -> None:
    """Show, for every job, whether last night is there, complete and fresh, and which of the last 30 nights are missing.

    Retired jobs, and those without a file, are shown apart.
    """
    from scoring.stores.warehouse import abandon_dead
    from scoring.upkeep import has_file

    stores = open_installation()
    abandon_dead(stores.warehouse, now())
    columns, rows = stores.warehouse.query("select * from scoring_status order by job")
    jobs = [dict(zip(columns, row, strict=True)) for row in rows]
    retired = [facts for facts in jobs if facts["retired_at"] is not None or not has_file(stores, facts["job"])]
    for facts in (facts for facts in jobs if facts not in retired):
        shown = {name: facts[name] for name in columns if name not in ("job", "retired_at", "retired_reason")}
        shown["missing"] = tables.Cell(
            facts["missing"], ", ".join(facts["missing"]) or _nothing_missing(stores, facts["job"])
        )
        shown["late"] = _lateness(stores, facts["job"])
        if not tables.record("jobs", {"job": facts["job"], **shown}):
            tables.facts(f"job {facts['job']}", shown.items())
    if retired:
        tables.table(
            "retired jobs",
            ("job", "since", "reason", "last night", "nights published"),
            [
                (
                    job["job"],
                    job["retired_at"],
                    job["retired_reason"] or NO_FILE,
                    job["latest_night"],
                    job["nights_published"],
                )
                for job in retired
            ],
            key="retired",
        )


def _lateness(stores: Stores, job: str) -> tables.Cell:
    """Return the night of a job that is late and since when, or that none is. A job file that is broken says nothing."""
    from scoring.job import find_job
    from scoring.upkeep import lateness_of

    try:
        late = lateness_of(stores.warehouse, find_job(stores.settings.jobs_dir, job), now())
    except JobFileError:
        return tables.Cell(None, "unknown: the job file is not valid, see `nightshift check`")
    if late is None:
        return tables.Cell(None, "no")
    return tables.Cell(
        {"night": late.night, "since": late.since}, f"night {late.night}, since {late.since:%Y-%m-%d %H:%M} UTC"
    )


def _nothing_missing(stores: Stores, job: str) -> str:
    """Return why no night of a job is missing: all are there, or it never had a champion, so that none is expected yet."""
    from scoring.stores.warehouse import promotions

    if promotions.history_of(stores.warehouse, job):
        return "none of the last 30 nights"
    return f"no champion yet: `nightshift train {job} --until YYYY-MM-DD` makes one"


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One select, run read-only as the analyst role.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    as_json: tables.Json = False,
) -> None:
    """Ask the warehouse, as an analyst may."""
    columns, rows = open_installation().warehouse.query(query)
    tables.as_csv(columns, rows) if csv else tables.table(f"{len(rows)} rows", columns, rows, key="rows")


@app.command("explain")
def explain_night(name: JobName, night: Night, as_json: tables.Json = False) -> None:
    """Show everything that the ledger knows of a night: every attempt, what it did and how it ended."""
    from scoring.stores.warehouse import abandon_dead, ledger

    work = open_job(name)
    abandon_dead(work.warehouse, now(), name)
    day = parse_night(night)
    runs = ledger.runs_of(work.warehouse, name, day)
    interval = DataInterval.of_night(day, work.job.schedule.timezone)
    run_id = ledger.published(work.warehouse, name, day).get(day)
    console.OUT.print(f"{name} {night}: {interval.start} to {interval.end}, {interval.hours:g} hours", soft_wrap=True)
    console.OUT.print(f"published: run {run_id}" if run_id else "published: nothing", soft_wrap=True)
    if not runs:
        next_step = f"nightshift run {name} --night {night}"
        raise RunMissing(f"{name} {night}", found="no attempt in the ledger", next_step=next_step)
    names = [fact for fact in runs[0].facts if fact not in ("job", "night", "attempt")]
    rows = [(fact, *(run.facts[fact] for run in runs)) for fact in names]
    attempts = [run.attempt for run in runs if not tables.record("attempts", run.facts)]
    if attempts:
        tables.table(f"attempts at {night}", ("fact", *(f"attempt {attempt}" for attempt in attempts)), rows)


@app.command("diff")
def diff_nights(
    name: JobName,
    night: Night,
    first: Annotated[str | None, typer.Argument(help="Run id; default: the last but one that was scored.")] = None,
    second: Annotated[str | None, typer.Argument(help="Run id; default: the last that was scored.")] = None,
    *,
    other: Annotated[
        str | None, typer.Option("--with", help="Another night: what both show is compared, key by key.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows that changed most, to show.")] = 10,
    as_json: tables.Json = False,
) -> None:
    """Compare the predictions of two runs of a night, or of two nights, and show which rows changed most.

    Between two nights of a snapshot job: who got another class, and by how much.
    """
    from scoring.night import compare_runs, two_nights, two_runs

    if other and first:
        raise typer.BadParameter("give run ids of one night, or --with another night")
    work = open_job(name)
    run_ids = (first, second or "a second run") if first else None
    runs = (
        two_nights(work, parse_night(night), parse_night(other))
        if other
        else two_runs(work, parse_night(night), run_ids)
    )
    difference, changes = compare_runs(work, *runs, rows)
    facts = ("night", "run_id", "status", "model_version", "sql_sha256", "snapshot_hash", "predictions_hash")
    pairs = [(fact, *(getattr(run, fact) for run in runs)) for fact in (*facts, "code_version")]
    tables.table(f"{name} {night}{f' and {other}' if other else ''}", ("fact", "first", "second"), pairs, key="runs")
    numbers = [(title, getattr(difference, count)) for count, title in DIFFERENCE_TITLES.items()]
    if difference.decisions_changed is not None:
        numbers.append(("decisions changed", difference.decisions_changed))
    tables.facts("predictions", numbers, key="predictions")
    _print_changes(work.job, changes)


def _print_changes(job: Job, changes: Changes) -> None:
    """Print how many rows went from which class to which, and the rows that changed most."""
    if changes.turned:
        turned = [(before, after, count) for (before, after), count in changes.turned.items()]
        tables.table("another decision", ("first", "second", "rows"), turned, key="turned")
    if not changes.rows:
        return
    several = len(job.number_columns) > 1  # one probability per class: the largest difference says enough
    numbers = [] if several or not job.task.classifies else [f"{job.task.number}, {side}" for side in SIDES]
    columns = [*job.key, *(f"prediction, {side}" for side in SIDES), *numbers, f"difference ({job.task.number_unit})"]
    rows = [
        (*change.key, change.before, change.after, *_numbers(change, bool(numbers)), change.gap)
        for change in changes.rows
    ]
    tables.table("rows that changed most", columns, rows, key="changes")


def _numbers(change: Change, shown: bool) -> tuple[float, ...]:
    return (*change.numbers_before, *change.numbers_after) if shown else ()
