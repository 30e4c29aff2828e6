"""Commands that keep an installation in order: schema, job files, agreement of the stores."""

from __future__ import annotations

from typing import Annotated

import typer

from scoring import console
from scoring.command_line import JobName, open_installation, open_job
from scoring.job import find_job, load_jobs
from scoring.settings import load_settings

app = typer.Typer()


@app.command()
def migrate() -> None:
    """Create the warehouse's tables, views and roles, or bring them up to date. Safe to repeat."""
    from scoring.warehouse.schema import ensure_job
    from scoring.warehouse.schema import migrate as bring_up_to_date

    stores = open_installation()
    bring_up_to_date(stores.warehouse)
    jobs, broken = load_jobs(stores.settings.jobs_dir)
    for job in jobs:
        ensure_job(stores.warehouse, job)
    console.OUT.print(f"warehouse is up to date, jobs {[job.name for job in jobs]}")
    for error in broken.values():
        raise error


@app.command()
def check(name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all by default.")] = None) -> None:
    """Check job files, their pipelines, and their SQL against the source, without reading rows."""
    from scoring.checking import check_job

    settings = load_settings()
    jobs, broken = load_jobs(settings.jobs_dir)
    if name is not None:
        jobs, broken = [find_job(settings.jobs_dir, name)], {}
    stores = open_installation()
    for job in jobs:
        check_job(stores, job)
        console.OUT.print(f"{job.name}: job file, pipeline, features.sql and labels.sql are valid")
    for error in broken.values():
        console.ERR.print(str(error), style="red", markup=False)
    raise typer.Exit(1 if broken else 0)


@app.command("new-job")
def new_job(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _.")],
    source: Annotated[str, typer.Option(help="Name of the source database.")] = "demo",
) -> None:
    """Write the files of a new job: yaml, pipeline, SQL and a test."""
    from scoring.scaffold import new_job as write

    for path in write(load_settings(), name, source):
        console.OUT.print(f"wrote {path}", highlight=False, soft_wrap=True)
    console.OUT.print(f"edit them, then: python -m scoring check {name}")


@app.command()
def verify(
    name: JobName,
    repair: Annotated[bool, typer.Option("--repair", help="Write wrong lake objects anew.")] = False,
) -> None:
    """Compare ledger, table and lake of every published night. Exit code 1 if something is left unrepaired."""
    from scoring.inspection import verify as compare

    stores, job = open_job(name)
    findings = compare(stores, job, repair)
    for finding in findings:
        console.OUT.print(
            f"{finding.night}: {finding.problem}{' (repaired)' if finding.repaired else ''}", soft_wrap=True
        )
    console.OUT.print(f"{name}: {len(findings)} problems")
    if any(not finding.repaired for finding in findings):
        raise typer.Exit(1)
