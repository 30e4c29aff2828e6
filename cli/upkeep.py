"""Commands that keep an installation in order: schema, job files, agreement of the stores, retention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console, tables
from cli.arguments import JobName, Reason, open_installation, open_job
from scoring.errors import JobFileError, NightshiftError
from scoring.interval import parse_night

if TYPE_CHECKING:
    from scoring.job import Job

app = typer.Typer()
MIB = 2**20


@app.command("migrate")
def migrate_warehouse() -> None:
    """Create the warehouse's tables, views and roles, or bring them up to date. Safe to repeat."""
    from scoring.job import load_jobs
    from scoring.stores.warehouse import ensure_job, migrate

    stores = open_installation()
    migrate(stores.warehouse)
    jobs, broken = load_jobs(stores.settings.jobs_dir)
    names = []

    def make(job: Job) -> None:
        ensure_job(stores.warehouse, job)
        names.append(job.name)

    problems = _for_each(jobs, make)
    console.OUT.print(f"warehouse is up to date, jobs {names}")
    _say({**problems, **broken})


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all by default.")] = None,
    *,
    rows: Annotated[int | None, typer.Option(min=1, help="Show what at most so many rows of a night are like.")] = None,
    night: Annotated[str | None, typer.Option(help="The night of --rows; default: the last one that has rows.")] = None,
    as_json: tables.Json = False,
) -> None:
    """Check job files, their pipelines on made-up rows, and their SQL against the source, with a sample of one night.

    With --rows a night is read as it would be scored: what each column holds, which rows would go to quarantine, and why.
    """
    from cli.quarantine import print_preview
    from lifecycle.checks import check_job, preview_night
    from scoring.stores import Workspace

    if night and rows is None:
        raise typer.BadParameter("--night is the night that --rows shows: give both")
    previewed = parse_night(night) if night else None

    jobs, broken = _jobs(name)
    stores = open_installation()

    def look(job: Job) -> None:
        findings = check_job(Workspace(stores, job))
        console.OUT.print(f"{job.name}: job file, pipeline, features.sql and labels.sql are valid")
        for finding in findings:
            console.OUT.print(f"  {finding}", highlight=False)
        tables.record("jobs", {"job": job.name, "findings": findings})
        if rows is not None:
            print_preview(preview_night(Workspace(stores, job), rows, previewed), job)

    _say({**_for_each(jobs, look), **broken})


def _jobs(name: str | None) -> tuple[list[Job], dict[str, JobFileError]]:
    """Return the job ``name``, or all jobs and the errors of the job files that are not valid."""
    from scoring.job import find_job, load_jobs
    from scoring.settings import load_settings

    folder = load_settings().jobs_dir
    return load_jobs(folder) if name is None else ([find_job(folder, name)], {})


def _for_each(jobs: list[Job], do: Callable[[Job], None]) -> dict[str, NightshiftError]:
    """Do something for every job, whatever becomes of the others, and return the errors by the job's name."""
    problems: dict[str, NightshiftError] = {}
    for job in jobs:
        try:
            do(job)
        except NightshiftError as error:
            problems[job.name] = error
    return problems


def _say(problems: Mapping[str, NightshiftError]) -> None:
    """Print what is wrong with jobs, and end with exit code 1 if anything is."""
    for error in problems.values():
        console.failure(error)
    raise typer.Exit(1 if problems else 0)


@app.command("retire")
def retire_job(
    name: Annotated[str, typer.Argument(metavar="JOB", help="A job that was used; its files may be gone.")],
    reason: Reason = "retired by hand",
) -> None:
    """Take a job out of service: its file is put aside, no night of it is expected. Its history stays."""
    from scoring.upkeep import retire

    moved = retire(open_installation(), name, reason)
    console.OUT.print(f"{name} is retired; what it published, its runs and versions stay", highlight=False)
    if moved:
        console.OUT.print(
            f"jobs/{name}.yaml is called {moved} now: Airflow drops its DAGs; renaming it back and `migrate` bring it back",
            highlight=False,
        )


@app.command("verify")
def verify_job(
    name: JobName,
    repair: Annotated[bool, typer.Option("--repair", help="Write wrong lake objects anew.")] = False,
) -> None:
    """Compare ledger, table and lake of every published night, and model files with their sha256.

    Exit code 1 if something is left unrepaired.
    """
    from scoring.upkeep import verify

    work = open_job(name)
    findings = verify(work, repair)
    for finding in findings:
        place = f"{finding.night}: " if finding.night else ""
        console.OUT.print(f"{place}{finding.problem}{' (repaired)' if finding.repaired else ''}", soft_wrap=True)
    console.OUT.print(f"{name}: {len(findings)} problems")
    if any(not finding.repaired for finding in findings):
        raise typer.Exit(1)


@app.command()
def retention(
    name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all by default.")] = None,
    remove: Annotated[bool, typer.Option("--apply", help="Remove it; without this it is only shown.")] = False,
    as_json: tables.Json = False,
) -> None:
    """Show what nothing points at any more and is older than the policy keeps it; remove it with --apply."""
    from scoring.stores import Workspace
    from scoring.upkeep import apply, plan

    stores = open_installation()
    jobs, broken = _jobs(name)

    def keep(job: Job) -> None:
        removables = plan(Workspace(stores, job), stores.settings.retention)
        if remove:
            removables = apply(Workspace(stores, job), removables)
        rows = [
            (
                removable.kind,
                removable.what,
                removable.night,
                tables.Cell(removable.bytes / MIB, f"{removable.bytes / MIB:.2f}"),
                removable.rows,
                removable.reason,
            )
            for removable in removables
        ]
        title = f"{job.name}: {'removed' if remove else 'would be removed'}"
        if rows:
            tables.table(title, ("kind", "what", "night", "size (MiB)", "rows", "reason"), rows, key="removable")
        size, gone = (
            sum(removable.bytes for removable in removables) / MIB,
            sum(removable.rows for removable in removables),
        )
        console.OUT.print(f"{title}: {len(removables)} of {size:.2f} MiB and {gone:,} rows", highlight=False)

    _say({**_for_each(jobs, keep), **broken})
