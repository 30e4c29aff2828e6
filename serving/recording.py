"""From the journal to the warehouse: who asked for what, and what was answered; what the challenger says of it in the shadow."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from threading import Event, Thread
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from scoring.errors import NightshiftError, described
from scoring.job import Job
from scoring.rows import ARROW_TYPES, read_as
from scoring.stores.warehouse import ensure_requests, erasures, requests, unerased
from serving.champions import Seat
from serving.columns import batch_of, kinds_of
from serving.journal import Entry, Journal
from serving.versions import Served

LOG = logging.getLogger("nightshift.serving")
AT_ONCE = 20_000
"""Rows that are recorded in one transaction."""
Scored = tuple[Entry, int, dict[str, Any], dict[str, Any]]
"""The request, the row's place in it, the row, and what was answered."""


class Recorder:
    """Loads the journals of the served jobs into the warehouse, in a thread of its own."""

    def __init__(self, seats: Sequence[tuple[Seat, Journal]], flush_seconds: float) -> None:
        """Begin with nothing loaded."""
        self._seats, self._flush_seconds, self._ended = seats, flush_seconds, Event()
        self._thread = Thread(target=self._load_again_and_again, name="recorder", daemon=True)
        self._away = False
        self._ensured: set[str] = set()

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def stop(self) -> None:
        """Load what is left, and end."""
        self._ended.set()
        self._thread.join(timeout=60)

    def _load_again_and_again(self) -> None:
        while not self._ended.wait(self._flush_seconds):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Load what was answered until now. While the warehouse is away it stays in the journal."""
        for seat, journal in self._seats:
            try:
                if journal.pending:
                    self._load(seat, journal)
                self._say(away=False)
            except NightshiftError as error:
                self._say(away=True, why=described(error))
            except Exception:  # a thread that ends loads nothing again; the journal stays
                LOG.exception("%s: the journal was not loaded", seat.job.name)

    def _load(self, seat: Seat, journal: Journal) -> None:
        work = seat.work
        if work.job.name not in self._ensured:
            ensure_requests(work.warehouse, work.job)
            self._ensured.add(work.job.name)
        with unerased(work.warehouse, work.job.name):
            erased = [erasure.started_at for erasure in erasures.of_job(work.warehouse, work.job.name)]
            journal.rotate()
            for path, entries in journal.files():
                try:
                    self._record(seat, _after(entries, max(erased, default=None), work.job.name))
                except (ValueError, KeyError, TypeError):
                    LOG.exception("%s: %s cannot be read, and was put aside", work.job.name, path.name)
                    path.rename(path.with_suffix(".unreadable"))
        journal.rotate()

    def _record(self, seat: Seat, entries: Iterator[Entry]) -> None:
        rows: list[Scored] = []
        for entry in entries:
            rows += [(entry, *row) for row in entry.rows]
            if len(rows) >= AT_ONCE:
                record(seat, rows)
                rows = []
        record(seat, rows)

    def _say(self, away: bool, why: str = "") -> None:
        if away and not self._away:
            LOG.error("answers are kept in the journal: %s", why)
        elif self._away and not away:
            LOG.info("answers are recorded again")
        self._away = away


def _after(entries: Iterator[Entry], erased: datetime | None, job: str) -> Iterator[Entry]:
    """Yield the entries that are younger than the job's last erasure: an older one may be of who was erased."""
    dropped = 0
    for entry in entries:
        if erased is None or entry.at > erased:
            yield entry
        else:
            dropped += 1
    if dropped:
        LOG.warning("%s: %s requests from before an erasure were not recorded", job, dropped)


def record(seat: Seat, rows: Sequence[Scored]) -> None:
    """Record scored rows, and those that the challenger scores in the shadow."""
    if not rows:
        return
    work, by = seat.work, seat.answering
    records = _records(work.job, rows)
    if by is not None and by.challenger is not None and by.shadow:
        records += _shadowed(by.challenger, rows, records)
    requests.record(work.warehouse, work.job, records)


def _records(job: Job, rows: Sequence[Scored]) -> list[dict[str, Any]]:
    keys = _keys(job, [row for _, _, row, _ in rows])
    zone = ZoneInfo(job.schedule.timezone)
    records = []
    for (entry, place, row, said), key in zip(rows, keys, strict=True):
        records.append(
            {
                "nightshift_request": entry.request_id,
                "nightshift_row": place,
                "nightshift_role": "champion" if said["model_version"] == entry.champion else "challenger",
                "scored_at": entry.at,
                **key,
                "night": _night(key[job.time_column] if job.time_column else entry.at, zone),
                "model_version": said["model_version"],
                **{name: said[name] for name in job.prediction_columns},
                "nightshift_features": {name: row[name] for name in job.features if name in row},
            }
        )
    return records


def _night(moment: datetime, zone: ZoneInfo) -> date:
    """Return the night that a row belongs to: the day on which it happened, or was asked for, in the job's timezone."""
    return moment.astimezone(zone).date()


def _keys(job: Job, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys of rows in the declared types, read as the contract reads them."""
    kinds = {name: kind for name, kind in kinds_of(job).items() if name in job.key}
    batch = batch_of(rows, kinds)
    schema = {name: _typed(batch.column(name), job, name).to_pylist() for name in kinds}
    return [dict(zip(schema, values, strict=True)) for values in zip(*schema.values(), strict=True)]


def _typed(column: pa.Array, job: Job, name: str) -> pa.Array:
    return read_as(column, ARROW_TYPES[job.key[name]], name, job.source_timezone)[0]


def _shadowed(challenger: Served, rows: Sequence[Scored], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the challenger says of the rows that the champion answered for."""
    places = [place for place, record in enumerate(records) if record["nightshift_role"] == "champion"]
    split = challenger.contract.split(batch_of([rows[place][2] for place in places], kinds_of(challenger.job)))
    if split.accepted.num_rows < len(places):  # what the challenger alone would refuse
        return []
    said = challenger.predict(split.accepted).select(challenger.job.prediction_columns).to_pylist()
    stamp = {"nightshift_role": "shadow", "model_version": challenger.number}
    return [{**records[place], **stamp, **values} for place, values in zip(places, said, strict=True)]
