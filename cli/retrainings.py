"""Retrainings made by hand, and versions in the shadow of the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import JobName, Night, open_job
from scoring.interval import parse_night
from scoring.settings import system_user

if TYPE_CHECKING:
    from scoring.stores.warehouse import Retraining, ShadowNight

app = typer.Typer()
RetrainingId = Annotated[int, typer.Argument(metavar="RETRAINING", help="Its number; see `retrain list`.")]
RETRAINING_COLUMNS = {
    "retraining_id": "retraining",
    "night": "night",
    "trigger": "asked by",
    "reason": "reason",
    "since": "from night",
    "until": "to (not included)",
    "snapshot": "snapshot",
    "model_version": "version",
    "stage": "stage",
    "state": "state",
    "detail": "detail",
    "started_at": "started",
    "finished_at": "finished",
}
"""Columns of `retrain list`, and their titles."""
SHADOW_COLUMNS = {
    "model_version": "version",
    "role": "role",
    "champion_version": "beside champion",
    "first_night": "from night",
    "nights": "nights",
    "state": "state",
    "detail": "detail",
}
"""Columns of `retrain shadows`, and their titles."""
SHADOW_NIGHT_TITLES = (
    "night",
    "version",
    "champion",
    "status",
    "rows",
    "decisions changed (share)",
    "mean difference (absolute)",
    "champion's loss",
    "shadow's loss",
    "reason",
)
"""Titles of the nights in the shadow, in the order of ``_night``."""


@app.command("run")
def run_retraining(
    name: JobName,
    night: Annotated[
        str | None, typer.Option(help="What was known at its end counts; default: the last published.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First night that is read; default: the training policy.")] = None,
    until: Annotated[str | None, typer.Option(help="First night that is not read; default: all that matured.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "by hand",
    force: Annotated[bool, typer.Option("--force", help="Although nothing changed since a version.")] = False,
) -> None:
    """Train a challenger, compare it with the champion, and make it champion if it is better, with evidence."""
    from lifecycle.retraining import RetrainingRequest, retrain

    work = open_job(name)
    at, first, last = (parse_night(day) if day else None for day in (night, since, until))
    with console.stages(f"retrain {name}") as progress:
        row = retrain(work, RetrainingRequest(reason, night=at, since=first, until=last, force=force), progress)
    _say(row)


def _say(row: Retraining) -> None:
    what = f"retraining {row.retraining_id} of {row.job}: {row.state}"
    console.OUT.print(what if row.state != "running" else f"{what}, stage {row.stage}", highlight=False)
    if row.detail:
        console.OUT.print(row.detail, highlight=False)
    for check in (row.gate or {}).get("checks", []):
        console.OUT.print(
            f"  {'passed' if check['passed'] else 'FAILED'}  {check['name']}: {check['sentence']}", highlight=False
        )
    if row.state == "running":
        wait = f"nightshift retrain resume {row.job} {row.retraining_id}"
        hints = {
            "shadow": f"the challenger is in the shadow; when its nights are over: {wait}",
            "approve": f"to say yes: {wait}",
            "external": f"once it is trained: nightshift register {row.job} --model … --trained-until …",
        }
        console.OUT.print(hints.get(row.stage, wait), highlight=False)


@app.command("list")
def list_retrainings(name: JobName, as_json: tables.Json = False) -> None:
    """List a job's retrainings: what asked for each, how far it came, how it ended."""
    from scoring.stores.warehouse import retrainings

    work = open_job(name)
    rows = [
        [row.facts[column] for column in RETRAINING_COLUMNS]
        for row in retrainings.of_job(work.warehouse, work.job.name)
    ]
    tables.table(f"retrainings of {name}", list(RETRAINING_COLUMNS.values()), rows, key="retrainings")


@app.command("resume")
def resume_retraining(name: JobName, retraining: RetrainingId) -> None:
    """Go on with a retraining made by hand: after its nights in the shadow, or because you say yes."""
    from lifecycle.retraining import resume

    work = open_job(name)
    _say(resume(work, retraining, system_user()))


@app.command("abandon")
def abandon_retraining(name: JobName, retraining: RetrainingId) -> None:
    """End a retraining whose process is gone, so that another can begin. The champion stays."""
    from lifecycle.retraining import abandon
    from scoring.stores.warehouse import retrainings

    work = open_job(name)
    abandon(work.stores, retraining, system_user())
    _say(retrainings.get(work.warehouse, retraining))


@app.command("pin")
def pin_version(
    name: JobName,
    version: Annotated[int, typer.Argument(help="Model version.")],
    nights: Annotated[int | None, typer.Option(help="How many nights; default: promotion.shadow_nights.")] = None,
) -> None:
    """Let a version score the next nights in the shadow of the champion; it is never published."""
    from lifecycle.shadow import pin

    work = open_job(name)
    row = pin(work, version, nights or work.job.promotion.shadow_nights)
    console.OUT.print(
        f"{name} version {version} scores {row.nights} nights from {row.first_night} on in the shadow of version "
        f"{row.champion_version}",
        highlight=False,
    )


@app.command("shadows")
def list_shadows(name: JobName, as_json: tables.Json = False) -> None:
    """Show the versions in the shadow, and night by night how they differ from the champion and who did better."""
    from scoring.stores.warehouse import shadows

    work = open_job(name)
    rows = [[row.facts[column] for column in SHADOW_COLUMNS] for row in shadows.of_job(work.warehouse, work.job.name)]
    tables.table(f"{name}: versions in the shadow", list(SHADOW_COLUMNS.values()), rows, key="shadows")
    nights = [_night(row) for row in shadows.nights(work.warehouse, work.job.name)]
    tables.table(f"{name}: their nights", SHADOW_NIGHT_TITLES, nights, key="nights")


def _night(row: ShadowNight) -> list[Any]:
    differences = row.differences
    losses = row.losses.means if row.losses else (None, None)
    return [
        row.night,
        row.model_version,
        row.champion_version,
        row.status,
        row.rows,
        differences.decisions_changed,
        differences.mean_absolute,
        *losses,
        row.reason,
    ]


@app.command()
def shadow(name: JobName, night: Night) -> None:
    """Score a published night (again) with the versions in the shadow."""
    from drift.runs import published_run
    from lifecycle.shadow import shadow_run

    work = open_job(name)
    versions = shadow_run(work, published_run(work, parse_night(night)).run_id)
    console.OUT.print(f"{name} {night}: scored in the shadow by versions {versions}", highlight=False)


@app.command("review")
def review_shadows(name: JobName, night: Night) -> None:
    """Judge the versions in the shadow on what was known at the end of a night; a better predecessor gets the crown back."""
    from lifecycle.shadow import review

    work = open_job(name)
    results = review(work, parse_night(night))
    for result in results:
        console.OUT.print(
            f"version {result.model_version} ({result.role}): {result.state}; {result.detail}", highlight=False
        )
    console.OUT.print(f"{name} {night}: {len(results)} decided", highlight=False)
