"""The command for a scheduler such as cron: every night that is due, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import open_installation
from scoring.errors import NightshiftError

if TYPE_CHECKING:
    from lifecycle.nightly import NightLived
    from scoring.stores import Workspace

app = typer.Typer()
TITLES = ("job", "night", "status", "rows", "verdict", "decision", "notes")


@app.command("nightly")
def nightly_nights(
    name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all by default.")] = None,
    as_json: tables.Json = False,
) -> None:
    """Do what the nightly DAG does, for every night that is due: one line of cron in place of Airflow.

    Of the last 30 nights those that are missing are scored, oldest first, but for nights that are held, discarded or taken
    back. Each is judged and gets its page, performance is measured, versions in the shadow are scored and reviewed, and a
    retraining that is decided is made. Alerts are sent as the DAG sends them. What an earlier call left undone is done.
    Nothing happens while another call is at work on the job, so it can be called every hour. Exit code 1 if a night is
    held or fails, or a step after it fails; the others are done all the same.
    """
    from scoring.job import find_job, load_jobs
    from scoring.stores import Workspace

    stores = open_installation()
    folder = stores.settings.jobs_dir
    jobs, broken = load_jobs(folder) if name is None else ([find_job(folder, name)], {})
    lived: list[tuple[str, NightLived]] = []
    problems: list[NightshiftError] = [*broken.values()]
    try:
        for job in jobs:
            try:
                _live(Workspace(stores, job), lived)
            except NightshiftError as error:  # the other jobs go on
                problems.append(error)
    finally:  # also what was done before an interruption
        if lived:
            tables.table("nights that were due", TITLES, [_cells(job, night) for job, night in lived], key="nights")
        for problem in problems:
            console.failure(problem)
    if problems or any(night.went_wrong for _, night in lived):
        raise typer.Exit(1)


def _live(work: Workspace, lived: list[tuple[str, NightLived]]) -> None:
    """Do what is due of a job, and add what became of each night to ``lived``."""
    from scoring.stores.warehouse import alone

    name = work.job.name
    with alone(work.warehouse, f"nightly {name}") as free:
        if not free:
            console.OUT.print(f"{name}: another call is at work")
            return
        from lifecycle.nightly import (  # a second or two, which a call that may not begin does without
            due_nights,
            nightly,
        )

        nights = due_nights(work)
        if not nights:
            console.OUT.print(f"{name}: no night is due")
        with console.counted(name, len(nights)) as (progress, counted):
            for night in nightly(work, progress):
                lived.append((name, night))
                counted(str(night.night))


def _cells(job: str, night: NightLived) -> tuple[Any, ...]:
    notes = "; ".join([*night.problems, *night.notes]) or None
    return job, night.night, night.status, night.rows, night.verdict, night.decision, notes
