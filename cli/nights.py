"""Nights scored, or scored again, then judged and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import First, JobName, Last, NightOption, Reason, asked_nights, now, open_job
from scoring.errors import EmptyNight, NightshiftError, NoSuchNight
from scoring.interval import Nights, parse_night

if TYPE_CHECKING:
    from drift.night_runs import NightRun, RunVerdict
    from scoring.job import Job
    from scoring.night import Difference, NightRequest, Rescored
    from scoring.stores import Workspace

app = typer.Typer()
NoMonitor = Annotated[
    bool,
    typer.Option("--no-monitor", help="Without verdict and performance; `nightshift drift verdict` makes up for it."),
]


@app.command()
def run(
    name: JobName,
    *,
    night: NightOption = None,
    first: First = None,
    last: Last = None,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Only nights that are not published, nor skipped for want of rows; default range: all that are over.",
        ),
    ] = False,
    model_version: Annotated[int | None, typer.Option(help="Default: the champion at that night.")] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Score a night that has not ended; what comes of it is provisional.")
    ] = False,
    no_monitor: NoMonitor = False,
    as_json: tables.Json = False,
) -> None:
    """Score and publish one night or several, without Airflow, then judge them and measure performance.

    Through the functions that the DAG calls, but for Evidently's page, which `nightshift drift report` makes. Exit code 1
    if a night is held or fails, or cannot be judged; the others are scored all the same.
    """
    from drift.night_runs import missing_nights
    from scoring.night import NightRequest

    if missing and night:
        raise typer.BadParameter("--missing is for a range: give --from and --to, or neither, instead of --night")
    nights = None if missing else asked_nights(night, first, last)
    work = open_job(name)
    if nights is None:
        begin, end = (parse_night(day) if day else None for day in (first, last))
        nights = missing_nights(work, begin, end, championed=model_version is None)
        if not nights:
            console.OUT.print(f"{name}: no night is missing")
            return

    if model_version is not None:
        _warn_of_nights_seen(work, model_version, nights)

    def request(day: date) -> NightRequest:
        return NightRequest(day, now(), "cli", model_version=model_version, unfinished=unfinished)

    if night:
        _run_one(work, request(nights[0]), not no_monitor)
    else:
        _run_several(work, nights, request, not no_monitor)


def _warn_of_nights_seen(work: Workspace, model_version: int, nights: Iterable[date]) -> None:
    """Say of which nights the version knows the outcomes. Nothing is refused: what is wrong with a version, scoring says."""
    from scoring.night import no_evidence

    with suppress(NightshiftError):
        for sentence in no_evidence(work, model_version, nights):
            console.ERR.print(sentence, style="yellow", highlight=False)


def _run_one(work: Workspace, request: NightRequest, watched: bool) -> None:
    from drift.night_runs import measure_again, run_and_watch

    try:
        with console.progress(f"{work.job.name} {request.night}") as progress:
            night_run = run_and_watch(work, request, watched, progress)
            if watched and night_run.watched.problem is None:
                measure_again(work, [request.night])
    except (EmptyNight, NoSuchNight) as error:
        if isinstance(error, EmptyNight) and work.job.on_empty == "fail":
            raise
        console.OUT.print(f"skipped: {error}", markup=False)
        return
    console.OUT.print(
        f"{work.job.name} {night_run.night}: {night_run.status}, {night_run.rows:,} rows, run {night_run.run_id}",
        soft_wrap=True,
    )
    console.OUT.print(f"lake object {night_run.lake_object}", soft_wrap=True)
    tables.record("nights", {"job": work.job.name, **asdict(night_run)})
    if night_run.watched.problem:
        console.ERR.print(f"published, and not judged: {night_run.watched.problem}", style="red", highlight=False)
        raise typer.Exit(1)
    if watched:
        console.OUT.print(f"verdict {_verdict_text(night_run.watched)}", highlight=False)


def _run_several(work: Workspace, nights: list[date], request: Callable[[date], NightRequest], watched: bool) -> None:
    from drift.night_runs import measure_again, run_each

    night_runs: list[NightRun] = []
    try:
        with console.counted(work.job.name, len(nights)) as (progress, counted):
            for night_run in run_each(work, map(request, nights), watched, progress):
                night_runs.append(night_run)
                counted(str(night_run.night))
            if watched:
                measure_again(work, [night_run.night for night_run in night_runs if night_run.status == "published"])
    finally:  # also what was done before an interruption
        title = f"{work.job.name}: {len(night_runs)} of {len(nights)} nights"
        columns = ("night", "status", "rows", "seconds", "verdict", "reason")
        tables.table(title, columns, [_cells(night_run) for night_run in night_runs], key="nights")
    if any(night_run.went_wrong for night_run in night_runs):
        raise typer.Exit(1)


def _cells(night_run: NightRun) -> tuple[Any, ...]:
    seconds, verdict = f"{night_run.seconds:.1f}", night_run.watched.verdict
    return night_run.night, night_run.status, night_run.rows, seconds, verdict, _reason(night_run)


def _reason(night_run: NightRun) -> str | None:
    if night_run.watched.problem:
        return f"not judged: {night_run.watched.problem}"
    return night_run.problem or "; ".join(night_run.watched.reasons) or None


def _verdict_text(watched: RunVerdict) -> str:
    return f"{watched.verdict}: {'; '.join(watched.reasons)}" if watched.reasons else str(watched.verdict)


@app.command("rescore")
def rescore_nights(
    name: JobName,
    *,
    first: Annotated[str, typer.Option("--from", help="First night.")],
    last: Annotated[str, typer.Option("--to", help="Last night; it is scored too.")],
    model_version: Annotated[int, typer.Option(help="Model version.")],
    reason: Reason = "by hand",
    no_monitor: NoMonitor = False,
    as_json: tables.Json = False,
) -> None:
    """Score published nights again with a model version, publish, judge and measure that, and show what it changed.

    What was published before stays in the history. Nights that are not published are left alone. Exit code 1 if a night
    is held or fails; the others are scored all the same.
    """
    from drift.night_runs import measure_again, watch_and_measure
    from scoring.night import rescore

    work = open_job(name)
    nights = Nights.including(parse_night(first), parse_night(last))
    results: list[tuple[Rescored, RunVerdict | None]] = []
    _warn_of_nights_seen(work, model_version, nights)
    try:
        with console.progress(f"rescore {name}") as progress:
            for rescored in rescore(work, nights, model_version, reason, progress):
                verdict = watch_and_measure(work, rescored.run_id) if rescored.run_id and not no_monitor else None
                results.append((rescored, verdict))
            if not no_monitor:
                measure_again(work, [rescored.night for rescored, _ in results if rescored.run_id])
    finally:  # also what was done before an interruption
        if results:
            _print_changes(f"{name} rescored with version {model_version}", work.job, results)
    if any(rescored.problem or (verdict and verdict.problem) for rescored, verdict in results):
        raise typer.Exit(1)


def _print_changes(title: str, job: Job, results: list[tuple[Rescored, RunVerdict | None]]) -> None:
    """Print what became of each night, and of all together."""
    unit = job.task.number
    columns = (
        "night",
        "status",
        "version before",
        "same features",
        "rows compared",
        "rows changed",
        "decisions changed",
        f"mean difference ({unit})",
        f"largest difference ({unit})",
        "verdict",
    )
    rows = [
        (rescored.night, rescored.status, *_changes(rescored), verdict and verdict.verdict)
        for rescored, verdict in results
    ]
    compared = [rescored.difference for rescored, _ in results if rescored.difference is not None]
    if compared:
        same = all(rescored.same_snapshot for rescored, _ in results if rescored.difference)
        rows.append(("all", f"{len(compared)} nights", None, same, *_together(compared), None))
    tables.table(title, columns, rows, key="nights")
    for rescored, verdict in results:
        if rescored.problem:
            console.ERR.print(f"{rescored.night}: {rescored.status}: {rescored.problem}", style="red", highlight=False)
        if verdict and verdict.problem:
            console.ERR.print(f"{rescored.night}: not judged: {verdict.problem}", style="red", highlight=False)


def _changes(rescored: Rescored) -> tuple[Any, ...]:
    if rescored.difference is None:
        return (None,) * 7
    return (rescored.difference.first.model_version, rescored.same_snapshot, *_together([rescored.difference]))


def _together(differences: list[Difference]) -> tuple[int, int, int | None, float, float]:
    """Return rows compared, rows changed, decisions changed, mean and largest difference of several nights."""
    rows = sum(difference.rows_compared for difference in differences)
    decided = [difference.decisions_changed for difference in differences if difference.decisions_changed is not None]
    mean = sum(difference.mean * difference.rows_compared for difference in differences) / rows if rows else 0.0
    largest = max(difference.largest for difference in differences)
    changed = sum(difference.rows_changed for difference in differences)
    return rows, changed, sum(decided) if decided else None, mean, largest
