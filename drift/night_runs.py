"""Nights scored and then watched, one after the other: as the nightly DAG does it, without Airflow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic
from zoneinfo import ZoneInfo

from drift.measure import measure
from drift.watch import watch
from scoring.errors import EmptyNight, NightHeld, NightshiftError, NoSuchNight, described
from scoring.interval import Nights
from scoring.night import NightRequest, run_night
from scoring.progress import Progress, silent
from scoring.stores import Stores, Workspace
from scoring.stores.warehouse import Span, ledger, monitoring, overview, promotions


@dataclass(frozen=True)
class RunVerdict:
    """The verdict on a run, or why there is none."""

    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    problem: str | None = None


NOT_WATCHED = RunVerdict()


@dataclass(frozen=True)
class NightRun:
    """What became of one night."""

    night: date
    status: str
    """``published``, ``superseded``, ``held``, ``skipped`` or ``failed``."""
    seconds: float
    rows: int | None = None
    run_id: str | None = None
    lake_object: str | None = None
    watched: RunVerdict = NOT_WATCHED
    problem: str | None = None
    """Why the night was not scored and published."""

    @property
    def went_wrong(self) -> bool:
        """Return whether somebody has to look: the night is held or failed, or it could not be watched."""
        return self.status in ("held", "failed") or self.watched.problem is not None


def run_and_watch(
    work: Workspace,
    request: NightRequest,
    watched: bool = True,
    progress: Progress = silent,
    since: date | None = None,
) -> NightRun:
    """Score and publish a night, then judge it and measure performance known at its end, as the nightly DAG does.

    ``since`` leaves out the labels of nights before, which are looked at otherwise to find late and corrected
    ones. A held night is judged too. Monitoring that fails leaves the publication alone. Raises what scoring raises.
    """
    began = monotonic()
    try:
        publication = run_night(work, request, progress)
    except NightHeld:
        if watched:
            watch_and_measure(work, request.run_id)
        raise
    seen = watch_and_measure(work, publication.run_id, request.night, since) if watched else NOT_WATCHED
    seconds = monotonic() - began
    return NightRun(
        request.night, publication.status, seconds, publication.rows, publication.run_id, publication.lake_object, seen
    )


def run_each(
    work: Workspace, requests: Iterable[NightRequest], watched: bool = True, progress: Progress = silent
) -> Iterator[NightRun]:
    """Yield what became of each night. One that is held or fails says why, and the others go on.

    Nights come oldest first; the labels of each are looked at once.
    """
    since: date | None = None
    for request in requests:
        began = monotonic()
        try:
            night_run = run_and_watch(work, request, watched, progress, since)
            if night_run.watched.verdict is not None:
                since = request.night - timedelta(days=work.job.label.delay_days - 1)
            yield night_run
        except (EmptyNight, NoSuchNight) as error:
            failed = isinstance(error, EmptyNight) and work.job.on_empty == "fail"
            yield NightRun(
                request.night, "failed" if failed else "skipped", monotonic() - began, problem=described(error)
            )
        except NightHeld as error:
            verdict = _verdict(work.stores, request.run_id) if watched else NOT_WATCHED
            yield NightRun(
                request.night, "held", monotonic() - began, None, request.run_id, None, verdict, described(error)
            )
        except NightshiftError as error:
            yield NightRun(request.night, "failed", monotonic() - began, problem=described(error))


def watch_and_measure(
    work: Workspace, run_id: str, measured_at: date | None = None, since: date | None = None
) -> RunVerdict:
    """Judge a run, and measure the nights whose labels were known at the end of ``measured_at`` if it is given."""
    try:
        result = watch(work, run_id)
        if measured_at is not None:
            measure(work, measured_at, Nights.since(since) if since else None)
    except NightshiftError as error:  # the publication stands; the caller says what is missing
        return RunVerdict(problem=described(error))
    return RunVerdict(result.verdict, result.reasons)


def measure_again(work: Workspace, days: Collection[date]) -> list[date]:
    """Measure again the nights of ``days`` whose recorded performance belongs to a run that is no longer published.

    Return those measured. Labels known by the end of the last published night count.
    """
    published = ledger.published(work.warehouse, work.job.name)
    days = [day for day in days if day in published]
    if not days:
        return []
    span = Span(work.job.name, Nights.including(min(days), max(days)))
    measured = {row.night: row.run_id for row in overview.measured(work.warehouse, span)}
    stale = [day for day in days if day in measured and measured[day] != published[day]]
    return measure(work, max(published), Nights.including(min(stale), max(stale))) if stale else []


def missing_nights(work: Workspace, first: date | None, last: date | None, championed: bool) -> list[date]:
    """Return the nights of a range that are not published, or only provisionally, oldest first.

    A night whose last attempt was skipped for want of rows is not missing. Default: the nights of the schedule that are
    over and, when ``championed``, at which there was a champion.
    """
    published = ledger.settled(work.warehouse, work.job.name, work.clock())
    if first is None:
        crowned = [promotion.effective_from for promotion in promotions.history_of(work.warehouse, work.job.name)]
        bounds = [work.job.schedule.first_night, *([min(crowned)] if crowned and championed else [])]
        keep = work.job.keep_nights
        first = max([*bounds, *(sorted(published)[-keep:][:1] if keep and len(published) >= keep else [])])
    last = last or last_night(work)
    nights = Nights.including(first, last)
    tried = overview.nights(work.warehouse, Span(work.job.name, nights))
    there = {*published, *(row.night for row in tried if row.newest_status == "skipped")}
    return [night for night in nights.in_timezone(work.job.schedule.timezone) if night not in there]


def last_night(work: Workspace) -> date:
    """Return the last night of the schedule that is over."""
    over = work.clock().astimezone(ZoneInfo(work.job.schedule.timezone)).date() - timedelta(days=1)
    return min(over, work.job.schedule.last_night or over)


def _verdict(stores: Stores, run_id: str) -> RunVerdict:
    night_verdict = monitoring.drift_of(stores.warehouse, run_id)
    return RunVerdict(night_verdict.verdict, tuple(night_verdict.reasons)) if night_verdict else NOT_WATCHED
