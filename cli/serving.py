"""Commands about predictions on demand: the server, and the keys of who may ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import console, tables
from cli.arguments import First, JobName, Last, asked_nights, now, open_job

if TYPE_CHECKING:
    from serving import Reviewed

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="The keys of who may ask `nightshift serve`.")


@app.command("serve")
def serve_jobs(
    names: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Jobs; all by default.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Without keys only this machine's own.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer, each with its versions.")] = 1,
) -> None:
    """Answer requests for predictions with the champions of the present day, until SIGTERM or Ctrl-C.

    POST /v1/jobs/JOB/predictions scores 1 to 10,000 rows; GET /v1/jobs/JOB/predictions/KEY gives the published one; /docs
    describes both. A promotion is taken over without a restart; every answer is recorded in the table JOB_requests.
    """
    from scoring.job import find_job, load_jobs
    from scoring.settings import load_settings
    from serving import Address, serve

    settings = load_settings()
    if names:
        jobs = [find_job(settings.jobs_dir, name) for name in names]
    else:
        jobs, broken = load_jobs(settings.jobs_dir)
        for error in broken.values():
            console.failure(error)
    serve(settings, jobs, Address(host, port, workers), now)


@app.command("requests")
def review_requests(
    name: JobName,
    first: First = None,
    last: Last = None,
    as_json: tables.Json = False,
) -> None:
    """Show how a job's predictions on demand did, by version: metrics with their intervals, and drift of what was asked.

    Default: all nights with requests. A request belongs to the night of its rows' time column, or to the day it was made.
    """
    from scoring.interval import Nights
    from scoring.stores.warehouse import requests
    from serving import review

    work = open_job(name)
    asked = requests.nights_asked(work.warehouse, work.job)
    nights = Nights.including(*asked) if asked else Nights.up_to(now().date(), 1)
    if first or last:
        days = asked_nights(None, first, last)
        nights = Nights.including(days[0], days[-1])
    with console.step(f"reading what was asked of {name}"):
        reviewed = review(work, nights)
    metrics = list(dict.fromkeys(metric for one in reviewed for metric in one.metrics))
    columns = ("version", "role", "rows", "keys", "labelled", *metrics, "drift", "because")
    title = f"{name}: predictions on demand of {nights} (95 % interval)"
    tables.table(title, columns, [_reviewed(one, metrics) for one in reviewed], key="versions")


def _reviewed(one: Reviewed, metrics: list[str]) -> list[object]:
    verdict = one.verdict
    cells: list[object] = [one.version, one.role, one.rows, one.keys, one.labelled]
    cells += [tables.with_interval(one.metrics.get(metric)) for metric in metrics]
    reasons = list(verdict.reasons) if verdict is not None else []
    level = verdict.verdict if verdict is not None else None
    return [*cells, tables.Cell(level, level or "–"), tables.Cell(reasons, "; ".join(reasons) or "–")]


@keys.command("make")
def make_key(
    name: Annotated[str, typer.Argument(help="Who will have it; metrics and errors say so.")],
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="The jobs that it is for; * for all.")],
) -> None:
    """Make a key and show it, once. Only its sha256 is kept."""
    from scoring.job import find_job
    from scoring.settings import load_settings
    from serving import ALL_JOBS, KeyFile

    settings = load_settings()
    for job in set(jobs) - {ALL_JOBS}:
        find_job(settings.jobs_dir, job)
    typer.echo(KeyFile(settings).make(name, jobs, now()))
    console.ERR.print(f"the key of {name}; it cannot be shown again", highlight=False)


@keys.command("list")
def list_keys(as_json: tables.Json = False) -> None:
    """List the keys by name. The keys themselves are not on record."""
    from scoring.settings import load_settings
    from serving import KeyFile

    entries = KeyFile(load_settings()).keys()
    rows = [(key.name, ", ".join(key.jobs), key.made_at, key.sha256[:12]) for key in entries]
    tables.table("API keys", ("name", "jobs", "made at", "sha256"), rows, key="keys")


@keys.command("drop")
def drop_key(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Take a key away. A server that runs refuses it from now on."""
    from scoring.settings import load_settings
    from serving import KeyFile

    KeyFile(load_settings()).drop(name)
    console.OUT.print(f"key {name} opens nothing any more", highlight=False)
