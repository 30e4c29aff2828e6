"""Nights scored, or scored again, then judged and measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import First, JobName, Last, NightOption, Reason, asked_nights, now, open_job
from scoring.errors import EmptyNight, NoSuchNight
from scoring.interval import Nights, parse_night

if TYPE_CHECKING:
    from drift.night_runs import NightRun, Watched
    from scoring.job import Job
    from scoring.night import Difference, NightRequest, Rescored
    from scoring.stores import Workspace

app = typer.Typer()
NoMonitor = Annotated[
    bool, typer.Option("--no-monitor", help="Without verdict and performance; `nightshift drift verdict` makes up for it.")
]  # fmt: skip


@app.command()
def run(
    name: JobName,
    *,
    night: NightOption = None,
    first: First = None,
    last: Last = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only nights that are not published; default range: all that are over.")
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
    asked = None if missing else asked_nights(night, first, last)
    work = open_job(name)
    if asked is None:
        begin, end = (parse_night(day) if day else None for day in (first, last))
        asked = missing_nights(work, begin, end, championed=model_version is None)
        if not asked:
            console.OUT.print(f"{name}: no night is missing")
            return
    requests = [NightRequest(day, now(), "cli", model_version=model_version, unfinished=unfinished) for day in asked]
    if night:
        _run_one(work, requests[0], not no_monitor)
    else:
        _run_several(work, requests, not no_monitor)


def _run_one(work: Workspace, request: NightRequest, watched: bool) -> None:
    from drift.night_runs import measure_again, run_and_watch

    try:
        with console.progress(f"{work.job.name} {request.night}") as told:
            done = run_and_watch(work, request, watched, told)
            if watched and done.watched.problem is None:
                measure_again(work, [request.night])
    except (EmptyNight, NoSuchNight) as error:
        if isinstance(error, EmptyNight) and work.job.on_empty == "fail":
            raise
        console.OUT.print(f"skipped: {error}", markup=False)
        return
    console.OUT.print(
        f"{work.job.name} {done.night}: {done.status}, {done.rows:,} rows, run {done.run_id}", soft_wrap=True
    )
    console.OUT.print(f"lake object {done.lake_object}", soft_wrap=True)
    tables.record("nights", {"job": work.job.name, **asdict(done)})
    if done.watched.problem:
        console.ERR.print(f"published, and not judged: {done.watched.problem}", style="red", highlight=False)
        raise typer.Exit(1)
    if watched:
        console.OUT.print(f"verdict {_judged(done.watched)}", highlight=False)


def _run_several(work: Workspace, requests: list[NightRequest], watched: bool) -> None:
    from drift.night_runs import measure_again, run_each

    done: list[NightRun] = []
    try:
        with console.counted(work.job.name, len(requests)) as (told, counted):
            for one in run_each(work, requests, watched, told):
                done.append(one)
                counted(str(one.night))
            if watched:
                measure_again(work, [one.night for one in done if one.status == "published"])
    finally:  # also what was done before an interruption
        rows = [
            (one.night, one.status, one.rows, f"{one.seconds:.1f}", one.watched.verdict, _reason(one)) for one in done
        ]
        tables.table(f"{work.job.name}: {len(done)} of {len(requests)} nights",
                      ("night", "status", "rows", "seconds", "verdict", "reason"), rows, key="nights")  # fmt: skip
    if any(one.went_wrong for one in done):
        raise typer.Exit(1)


def _reason(one: NightRun) -> str | None:
    if one.watched.problem:
        return f"not judged: {one.watched.problem}"
    return one.problem or "; ".join(one.watched.reasons) or None


def _judged(watched: Watched) -> str:
    return f"{watched.verdict}: {'; '.join(watched.reasons)}" if watched.reasons else str(watched.verdict)


@app.command()
def rescore(
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
    from drift.night_runs import measure_again, watch
    from scoring.night import rescore as score_again

    work = open_job(name)
    nights = Nights.including(parse_night(first), parse_night(last))
    done: list[tuple[Rescored, Watched | None]] = []
    try:
        with console.progress(f"rescore {name}") as told:
            for one in score_again(work, nights, model_version, reason, told):
                judged = watch(work, one.run_id) if one.run_id and not no_monitor else None
                done.append((one, judged))
            if not no_monitor:
                measure_again(work, [one.night for one, _ in done if one.run_id])
    finally:  # also what was done before an interruption
        if done:
            _print_changes(f"{name} rescored with version {model_version}", work.job, done)
    if any(one.problem or (judged and judged.problem) for one, judged in done):
        raise typer.Exit(1)


def _print_changes(title: str, job: Job, done: list[tuple[Rescored, Watched | None]]) -> None:
    """Print what became of each night, and of all together."""
    unit = job.task.number
    columns = ("night", "status", "version before", "same features", "rows compared", "rows changed", "decisions changed",
               f"mean difference ({unit})", f"largest difference ({unit})", "verdict")  # fmt: skip
    rows = [(one.night, one.status, *_changes(one), judged and judged.verdict) for one, judged in done]
    compared = [one.difference for one, _ in done if one.difference is not None]
    if compared:
        same = all(one.same_snapshot for one, _ in done if one.difference)
        rows.append(("all", f"{len(compared)} nights", None, same, *_together(compared), None))
    tables.table(title, columns, rows, key="nights")
    for one, judged in done:
        if one.problem:
            console.ERR.print(f"{one.night}: {one.status}: {one.problem}", style="red", highlight=False)
        if judged and judged.problem:
            console.ERR.print(f"{one.night}: not judged: {judged.problem}", style="red", highlight=False)


def _changes(one: Rescored) -> tuple[Any, ...]:
    if one.difference is None:
        return (None,) * 7
    return (one.difference.first.model_version, one.same_snapshot, *_together([one.difference]))


def _together(found: list[Difference]) -> tuple[int, int, int | None, float, float]:
    """Return rows compared, rows changed, decisions changed, mean and largest difference of several nights."""
    rows = sum(one.rows_compared for one in found)
    decided = [one.decisions_changed for one in found if one.decisions_changed is not None]
    mean = sum(one.mean * one.rows_compared for one in found) / rows if rows else 0.0
    largest = max(one.largest for one in found)
    return rows, sum(one.rows_changed for one in found), sum(decided) if decided else None, mean, largest
