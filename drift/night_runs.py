"""Nights scored and then watched, one after the other: what the nightly DAG does of a night, without Airflow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic
from zoneinfo import ZoneInfo

from drift import watch as monitor
from drift.measure import measure as measure_nights
from scoring.errors import EmptyNight, NightHeld, NightshiftError, NoSuchNight, described
from scoring.interval import Nights
from scoring.night import NightRequest, run_night
from scoring.progress import Progress, silent
from scoring.stores import Stores, Workspace
from scoring.stores.warehouse import Span, ledger, monitoring, overview, promotions


@dataclass(frozen=True)
class Watched:
    """What monitoring made of a run: its verdict, or why there is none."""

    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    problem: str | None = None


NOT_WATCHED = Watched()


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
    watched: Watched = NOT_WATCHED
    problem: str | None = None
    """Why the night was not scored and published."""

    @property
    def went_wrong(self) -> bool:
        """Return whether somebody has to look: the night is held or failed, or it could not be watched."""
        return self.status in ("held", "failed") or self.watched.problem is not None


def run_and_watch(
    work: Workspace, request: NightRequest, watched: bool = True, progress: Progress = silent,
    since: date | None = None,
) -> NightRun:  # fmt: skip
    """Score and publish a night, then judge it and measure performance known at its end, as the nightly DAG does.

    ``since`` leaves out the labels of nights before, which are looked at otherwise to find late and corrected
    ones. A held night is judged too. Monitoring that fails leaves the publication alone. Raises what scoring raises.
    """
    began = monotonic()
    try:
        done = run_night(work, request, progress)
    except NightHeld:
        if watched:
            watch(work, request.run_id)
        raise
    seen = watch(work, done.run_id, request.night, since) if watched else NOT_WATCHED
    seconds = monotonic() - began
    return NightRun(request.night, done.status, seconds, done.rows, done.run_id, done.lake_object, seen)


def run_each(
    work: Workspace, requests: Iterable[NightRequest], watched: bool = True, progress: Progress = silent
) -> Iterator[NightRun]:
    """Yield what became of each night; one that is held or fails says why, and the others go on.

    Nights come oldest first; the labels of each are looked at once.
    """
    since: date | None = None
    for request in requests:
        began = monotonic()
        try:
            done = run_and_watch(work, request, watched, progress, since)
            if done.watched.verdict is not None:
                since = request.night - timedelta(days=work.job.label.delay_days - 1)
            yield done
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


def watch(work: Workspace, run_id: str, measured_at: date | None = None, since: date | None = None) -> Watched:
    """Judge a run, and measure the nights whose labels were known at the end of ``measured_at`` if it is given."""
    try:
        found = monitor.watch(work, run_id)
        if measured_at is not None:
            measure_nights(work, measured_at, Nights.since(since) if since else None)
    except NightshiftError as error:  # the publication stands; the caller says what is missing
        return Watched(problem=described(error))
    return Watched(found.verdict, found.reasons)


def measure_again(work: Workspace, days: Collection[date]) -> list[date]:
    """Measure those of some nights whose performance is that of a run they no longer show; return those measured.

    What is measured now was known at the end of the last published night, not before.
    """
    shown = ledger.published(work.warehouse, work.job.name)
    days = [day for day in days if day in shown]
    if not days:
        return []
    span = Span(work.job.name, Nights.including(min(days), max(days)))
    known = {row.night: row.run_id for row in overview.measured(work.warehouse, span)}
    stale = [day for day in days if day in known and known[day] != shown[day]]
    return measure_nights(work, max(shown), Nights.including(min(stale), max(stale))) if stale else []


def missing_nights(work: Workspace, first: date | None, last: date | None, championed: bool) -> list[date]:
    """Return the nights of a range that are not published, or only provisionally, oldest first.

    Default: the nights of the schedule that are over and, when ``championed``, at which there was a champion.
    """
    if first is None:
        crowned = [one.effective_from for one in promotions.history_of(work.warehouse, work.job.name)]
        first = max([work.job.schedule.first_night, *([min(crowned)] if crowned and championed else [])])
    last = last or last_night(work)
    shown = ledger.settled(work.warehouse, work.job.name, work.clock())
    nights = Nights.including(first, last).in_timezone(work.job.schedule.timezone)
    return [night for night in nights if night not in shown]


def last_night(work: Workspace) -> date:
    """Return the last night of the schedule that is over."""
    over = work.clock().astimezone(ZoneInfo(work.job.schedule.timezone)).date() - timedelta(days=1)
    return min(over, work.job.schedule.last_night or over)


def _verdict(stores: Stores, run_id: str) -> Watched:
    found = monitoring.drift_of(stores.warehouse, run_id)
    return Watched(found.verdict, tuple(found.reasons)) if found else NOT_WATCHED
