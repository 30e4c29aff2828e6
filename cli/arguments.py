"""What commands begin with: their arguments, and the job and stores that they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from scoring.interval import Nights, parse_night

if TYPE_CHECKING:
    from scoring.settings import Settings
    from scoring.stores import Stores, Workspace

JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job of the jobs/ folder.")]
Night = Annotated[str, typer.Argument(metavar="NIGHT", help="A calendar day in the job's timezone, YYYY-MM-DD.")]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="A run of the ledger; see `explain`.")]
NightOption = Annotated[str | None, typer.Option("--night", help="One calendar day in the job's timezone, YYYY-MM-DD.")]
First = Annotated[str | None, typer.Option("--from", help="First night of a range, instead of one night.")]
Last = Annotated[str | None, typer.Option("--to", help="Last night of the range; it is one of them.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]


def open_job(name: str) -> Workspace:
    """Return the job ``name`` with its stores. Raises ``JobFileError`` when there is no such job."""
    from scoring.job import find_job
    from scoring.settings import load_settings
    from scoring.stores import Workspace

    settings = load_settings()
    job = find_job(settings.jobs_dir, name)
    return Workspace(open_stores(settings, now), job)


def open_installation() -> Stores:
    """Return the stores that the settings name, for a command that is not about one job."""
    from scoring.settings import load_settings

    return open_stores(load_settings(), now)


def open_stores(settings: Settings, clock: Callable[[], datetime]) -> Stores:
    """Return the stores of ``settings``. The libraries behind them are loaded now, when a command needs them."""
    from scoring.stores import open_stores

    return open_stores(settings, clock)


def asked_nights(night: str | None, first: str | None, last: str | None, argument: str = "--night") -> list[date]:
    """Return the one night, or the nights of the range, that a command was asked for. Both or neither is refused."""
    if night and not (first or last):
        return [parse_night(night)]
    if night or not (first and last):
        raise typer.BadParameter(f"give one night ({argument}), or a range (--from and --to)")
    return list(Nights.including(parse_night(first), parse_night(last)).require("nights"))


def now() -> datetime:
    """Return the time, for records."""
    return datetime.now(UTC)
