"""What `check` says of a job's rows: a bounded sample of one night, and whether its times lie in that night."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import ContractError, SourceQueryError
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.rows import ARROW_TYPES, read_as
from scoring.stores import Workspace, feature_batches
from scoring.stores.source import Query, compared_types, stream

SAMPLE = 5_000
"""Rows of a night that are read at most."""
_BACK = (0, 1, 2, 7, 30, 365)
"""Days before the last night that are tried until one has rows. The job's first nights are tried last."""


def check_rows(work: Workspace) -> list[str]:
    """Return sentences about the rows of the last night that has some: how many, their first and last time, how they lie.

    Raises ``ContractError`` when one of them lies outside its night, or when the SQL compares calendar days with moments
    within a day.
    """
    tried = list(likely_nights(work))
    for query in _queries(work):
        _refuse_days(work, query, tried[0])
    for night in tried:
        rows = _sample(work, night)
        if rows.num_rows and work.job.is_snapshot:
            return [*_about_entities(work, night, rows), *_about_quarantine(work, night)]
        if rows.num_rows:
            by_day = bool({"date", "cast to date"} & _compared(work, work.stores.features_query(work.job)))
            return [_about(work.job, night, rows, by_day), *_about_quarantine(work, night)]
    return [f"no rows in the nights {', '.join(str(night) for night in tried)}: nothing to say of their times"]


def _queries(work: Workspace) -> list[Query]:
    stores, job = work.stores, work.job
    return [stores.features_query(job), *([stores.labels_query(job)] if job.has_labels else [])]


def _compared(work: Workspace, query: Query) -> set[str]:
    """Return PostgreSQL's types of what is compared with the ends of the interval, or nothing where they are not known."""
    try:
        types = compared_types(work.stores.source_url(work.job), query)
    except SourceQueryError:  # the statement runs; only that the server cannot tell the types from its text
        return set()
    return types.get("interval_start", set()) | types.get("interval_end", set())


def _refuse_days(work: Workspace, query: Query, night: date) -> None:
    """Raise ``ContractError`` when a column of calendar days is compared with an interval that begins within one."""
    start = DataInterval.of_night(night, work.job.schedule.timezone).start.astimezone(
        ZoneInfo(work.job.source_timezone)
    )
    if "date" in _compared(work, query) and start.time() != time():
        raise ContractError(
            query.name,
            found=f"calendar days compared with the interval, which begins at {start:%H:%M} {work.job.source_timezone}",
            expected="moments",
            next_step="restrict the rows with <date> = :night, the calendar day in the job's timezone",
        )


def likely_nights(work: Workspace) -> Iterator[date]:
    """Yield nights of the job that may have rows, the last ones first."""
    zone, first = work.job.schedule.timezone, work.job.schedule.first_night
    yesterday = work.clock().astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
    last = max(first, min(yesterday, work.job.schedule.last_night or yesterday))
    tries = [*(last - timedelta(days=days) for days in _BACK), first + timedelta(days=1), first]
    for night in dict.fromkeys(tries):
        if night >= first and DataInterval.of_night(night, zone).exists:
            yield night


def _sample(work: Workspace, night: date) -> pa.RecordBatch:
    """Return the first rows of a night as the source gives them, before any is put into quarantine."""
    interval = DataInterval.of_night(night, work.job.schedule.timezone)
    with stream(work.stores.source_url(work.job), work.stores.features_query(work.job), interval, SAMPLE) as batches:
        return next(batches)


def _about(job: Job, night: date, rows: pa.RecordBatch, by_day: bool) -> str:
    """Return a sentence about the rows. ``by_day`` says that a calendar day decides which night a row is of."""
    interval = DataInterval.of_night(night, job.schedule.timezone)
    count = f"{rows.num_rows:,} rows" if rows.num_rows < SAMPLE else f"the first {rows.num_rows:,} rows"
    sentence = f"night {night} in {job.schedule.timezone}: {count}"
    column = job.time_column or _only_day(job)
    if column is None:
        return f"{sentence}; no time_column in the job file, so whether they lie in the night cannot be seen"
    kind = ARROW_TYPES[job.key[column]]
    values, _ = read_as(rows.column(column), kind, column, job.source_timezone)
    times = values.drop_null()
    if not len(times):
        return f"{sentence}; {column} cannot be read as a {job.key[column]} in any of them"
    ends = pc.min_max(times).as_py()
    first, last = (_shown(ends[name], job) for name in ("min", "max"))
    outside = _outside(times, night, interval)
    sentence = f"{sentence}, {column} from {first} to {last}, {outside / len(times):.1%} outside the night"
    if outside and (job.time_column or by_day):
        raise ContractError(
            f"rows of {job.name}",
            found=sentence,
            expected=f"{interval.start:%Y-%m-%d %H:%M} to {interval.end:%Y-%m-%d %H:%M} UTC, half-open",
            next_step="restrict calendar days with <date> = :night; "
            f"for times without a zone name theirs, source_timezone: {job.schedule.timezone} for example; "
            "compare with >= :interval_start and < :interval_end",
        )
    return sentence


def _about_entities(work: Workspace, night: date, rows: pa.RecordBatch) -> Iterator[str]:
    """Yield how many entities there are, and how they differ from those of the night before."""
    before = _sample(work, night - timedelta(days=1))
    keys = list(work.job.key)
    now, then = (pa.Table.from_batches([batch]) for batch in (rows, before))
    different, earlier = (table.group_by(keys).aggregate([]) for table in (now, then))
    both = different.join(earlier, keys=keys, join_type="inner").num_rows
    count = (
        f"{different.num_rows:,} entities" if rows.num_rows < SAMPLE else f"the first {different.num_rows:,} entities"
    )
    yield f"night {night} in {work.job.schedule.timezone}: {count}, {both:,} of them among those of the night before"
    names = [name for name in work.job.features if name not in work.job.key]
    same = now.schema.equals(then.schema) and both and now.select(names).equals(then.select(names))
    if same:
        yield (
            "all features are as the night before: if the SQL gives the present state whatever :night is, nights that are "
            "scored or trained on later see what was not known then"
        )


def _about_quarantine(work: Workspace, night: date) -> Iterator[str]:
    """Yield how many rows of a sample would go to quarantine, if any would."""
    reasons: Counter[str] = Counter()
    rows = bad = 0
    interval = DataInterval.of_night(night, work.job.schedule.timezone)
    with feature_batches(work, interval, at_most=SAMPLE) as batches:
        for batch, part in batches:
            rows, bad = rows + batch.num_rows, bad + part.quarantined.num_rows
            reasons.update(part.reasons)
    if not bad:
        return
    worst = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(3))
    sentence = f"{bad:,} of {rows:,} rows of night {night} would go to quarantine: {worst}"
    limit = work.job.gate.max_quarantine_share
    held = (
        f"; more than gate.max_quarantine_share ({limit:.0%}), so that it would be held: --rows shows some"
        if bad > limit * rows
        else ""
    )
    yield sentence + held


def _only_day(job: Job) -> str | None:
    """Return the key that is a calendar day, if just one is."""
    days = [name for name, kind in job.key.items() if kind == "date"]
    return days[0] if len(days) == 1 else None


def _outside(values: pa.Array, night: date, interval: DataInterval) -> int:
    if pa.types.is_date(values.type):
        beyond = pc.not_equal(values, pa.scalar(night, values.type))
    else:
        before = pc.less(values, pa.scalar(interval.start, values.type))
        beyond = pc.or_(before, pc.greater_equal(values, pa.scalar(interval.end, values.type)))
    return int(pc.sum(beyond).as_py() or 0)


def _shown(value: date | datetime, job: Job) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(ZoneInfo(job.schedule.timezone)):%Y-%m-%d %H:%M:%S}"
    return str(value)
