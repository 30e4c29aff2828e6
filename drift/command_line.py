"""The application that the commands of ``python -m drift`` belong to, and what they share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from scoring.job import Job, find_job
from scoring.settings import load_settings
from scoring.stores import Stores, open_stores

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Nights compared, measured and decided about; retrainings and versions in the shadow.",
)
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job of the jobs/ folder.")]
Night = Annotated[str, typer.Argument(metavar="NIGHT", help="A calendar day in the job's timezone, YYYY-MM-DD.")]


def opened(name: str) -> tuple[Stores, Job]:
    """Return the stores of this installation and the job; times on record are those of this machine's clock."""
    settings = load_settings()
    return open_stores(settings, lambda: datetime.now(UTC)), find_job(settings.jobs_dir, name)
