"""What follows from scored nights, one or several: verdict, report, decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import First, JobName, Last, asked_nights, open_job
from scoring.errors import NightshiftError, RunMissing, described

if TYPE_CHECKING:
    from scoring.stores import Stores, Workspace
    from scoring.stores.warehouse import Run

app = typer.Typer()
Night = Annotated[
    str | None, typer.Argument(metavar="[NIGHT]", help="A calendar day in the job's timezone, YYYY-MM-DD.")
]
NightAction = Callable[["Workspace", "Run"], tuple[Any, ...]]
"""Does something to a scored night and returns the night's cells in the table, its status first."""
WENT_WRONG = ("failed", "no page")
"""Statuses of a night that lead to exit code 1."""
DRIFT_COLUMNS = {
    "column_name": "column",
    "role": "role",
    "weight": "weight",
    "status": "status",
    "signal": "signal",
    "value": "distance",
    "threshold": "unusual above",
    "ratio": "ratio",
    "beyond": "nearer nights (share)",
    "sustained": "7 nights to training (ratio)",
}
"""What is printed of each column of a night, and its titles."""


@app.command()
def verdict(
    name: JobName, night: Night = None, first: First = None, last: Last = None, as_json: tables.Json = False
) -> None:
    """Judge a scored night, or all of a range, (again), keep the verdict and print it."""
    from drift.runs import published_run
    from drift.watch import watch

    nights = asked_nights(night, first, last, argument="NIGHT")
    work = open_job(name)
    if night is None:
        _over(work, nights, ("verdict", "rows", "reasons"), _judge)
        return
    run = published_run(work, nights[0])
    with console.step(f"comparing {night} with its baseline"):
        watch(work, run.run_id)
    print_drift(work.stores, run)


@app.command()
def report(
    name: JobName, night: Night = None, first: First = None, last: Last = None, as_json: tables.Json = False
) -> None:
    """Judge a scored night, or all of a range, (again) and make its Evidently page anew."""
    from drift.runs import published_run
    from drift.watch import watch

    nights = asked_nights(night, first, last, argument="NIGHT")
    work = open_job(name)
    if night is None:
        _over(work, nights, ("verdict", "page", "not on the page"), _report)
        return
    from drift.report import write_report

    run = published_run(work, nights[0])
    with console.step(f"making the report of {night}"):
        watched = watch(work, run.run_id, write_report)
    print_drift(work.stores, run)
    if watched.report is None:
        console.ERR.print(f"no page: {watched.report_error}", style="red")
        raise typer.Exit(1)
    console.OUT.print(f"page {work.lake.url(work.lake.below(watched.report))}", highlight=False)
    if watched.report_error:
        console.OUT.print(f"not on the page: {watched.report_error}", highlight=False)


@app.command()
def decide(
    name: JobName, night: Night = None, first: First = None, last: Last = None, as_json: tables.Json = False
) -> None:
    """Decide after a night, or all of a range, on what was known at its end; the first decision on a run stands."""
    from drift.decide import conclude
    from drift.runs import published_run

    nights = asked_nights(night, first, last, argument="NIGHT")
    work = open_job(name)
    if night is None:
        _over(work, nights, ("decision", "reason"), _decide)
        return
    run = published_run(work, nights[0])
    row = conclude(work, run.run_id)
    console.OUT.print(f"{name} {night}: {row.decision}: {row.reason}", highlight=False)
    tables.record("decisions", {"job": name, "night": night, "decision": row.decision, "reason": row.reason})
    tables.facts(f"known at the end of {night}", row.inputs.items(), key="inputs")


def _over(work: Workspace, nights: Sequence[date], titles: tuple[str, ...], action: NightAction) -> None:
    """Print what became of each night of a range. A night that fails leads to exit code 1, and the others go on."""
    from drift.runs import published_run

    def cells(night: date) -> tuple[Any, ...]:
        try:
            run = published_run(work, night)
        except RunMissing:
            return ("not scored", *(None for _ in titles))
        return action(work, run)

    each_night(work.job.name, nights, titles, cells)


def each_night(
    job: str,
    nights: Sequence[date],
    titles: tuple[str, ...],
    cells: Callable[[date], tuple[Any, ...]],
    key: str = "nights",
) -> None:
    """Do something for each night of a range and print its cells: a status, then one for each title.

    A night that fails leads to exit code 1, and the others go on. What was done before an interruption is printed too.
    """
    rows: list[tuple[Any, ...]] = []
    try:
        with console.counted(job, len(nights)) as (_, counted):
            for night in nights:
                try:
                    rows.append((night, *cells(night)))
                except NightshiftError as error:
                    rows.append((night, "failed", *(None for _ in titles[1:]), described(error)))
                counted(str(night))
    finally:
        tables.table(f"{job}, {nights[0]} to {nights[-1]}", ("night", "status", *titles), rows, key=key)
    if any(status in WENT_WRONG for _, status, *_ in rows):
        raise typer.Exit(1)


def _judge(work: Workspace, run: Run) -> tuple[Any, ...]:
    from drift.watch import watch

    watched = watch(work, run.run_id)
    return run.status, watched.verdict, run.rows_scored, "; ".join(watched.reasons) or None


def _report(work: Workspace, run: Run) -> tuple[Any, ...]:
    from drift.report import write_report
    from drift.watch import watch

    watched = watch(work, run.run_id, write_report)
    page = work.lake.url(work.lake.below(watched.report)) if watched.report else None
    return run.status if page else "no page", watched.verdict, page, watched.report_error


def _decide(work: Workspace, run: Run) -> tuple[Any, ...]:
    from drift.decide import conclude

    row = conclude(work, run.run_id)
    return run.status, row.decision, row.reason


def print_drift(stores: Stores, run: Run) -> None:
    """Print a run's verdict, its reasons and its columns."""
    from scoring.stores.warehouse import monitoring

    night_verdict = monitoring.drift_of(stores.warehouse, run.run_id)
    if night_verdict is None:
        return
    console.OUT.print(
        f"{run.job} {run.night}, model version {run.model_version}, run {run.run_id}: {night_verdict.verdict}, "
        f"{night_verdict.rows:,} rows against {night_verdict.baseline_nights} nights; "
        f"unusual above ratio {night_verdict.score_limit:.2f}",
        highlight=False,
    )
    tables.record("verdicts", night_verdict.facts)
    for reason in night_verdict.reasons:
        console.OUT.print(f"  - {reason}", highlight=False)
    columns = monitoring.columns_of(stores.warehouse, [run.run_id])
    rows = [[column.facts[name] for name in DRIFT_COLUMNS] for column in columns]
    tables.table("columns, the most unusual first", list(DRIFT_COLUMNS.values()), rows, key="columns")
