"""Extract and score: from the source's rows of one night to predictions on the lake.

With ``scoring.publishing`` one function per Airflow task; the CLI calls the same functions.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from queue import Queue
from time import monotonic
from typing import Any

from lifecycle.promotion import promoted_ref
from scoring.errors import ChampionMissing, EmptyNight, NightNotOver
from scoring.interval import DataInterval
from scoring.job.definition import Job
from scoring.night.publish import Loaded, Published, load_run, publish
from scoring.night.recording import recorded
from scoring.rows.contract import Split
from scoring.rows.digest import RowsDigest
from scoring.rows.prediction import Summary, predict, prediction_schema
from scoring.rows.profile import Profile, profiled
from scoring.rows.thread_warnings import warnings_of_threads
from scoring.settings import code_version
from scoring.stores.installation import Progress, Stores, contracted, silent
from scoring.stores.lake import Lake
from scoring.stores.registry.golden import library_versions
from scoring.stores.registry.version import VersionRef
from scoring.stores.warehouse import ledger, promotions
from scoring.stores.warehouse.liveness import abandon_dead, held, seen, worked_on
from scoring.stores.warehouse.promotions import Promotion
from scoring.stores.warehouse.schema import ensure_job

_Coming = Queue[tuple[int, Future[int]] | None]
"""The chunks of a run in order, each with its scoring; None is the end."""


@dataclass(frozen=True)
class Request:
    """What one attempt at a night was asked to do, by whom and when."""

    night: date
    started_at: datetime
    origin: str
    airflow_run_id: str | None = None
    model_version: int | None = None
    """Overrides the version that was champion at the night."""
    unfinished: bool = False
    """Score the night although it has not ended; what comes of it is provisional."""

    @property
    def run_id(self) -> str:
        """Return the attempt's id: its night, its start in UTC, and a hash of who asked.

        >>> from datetime import UTC
        >>> Request(date(2013, 4, 1), datetime(2013, 4, 2, 4, tzinfo=UTC), "cli").run_id
        '2013-04-01-20130402T040000000000-aaf63300'
        """
        asked = hashlib.sha256(f"{self.origin} {self.airflow_run_id} {self.model_version}".encode()).hexdigest()
        return f"{self.night}-{self.started_at:%Y%m%dT%H%M%S%f}-{asked[:8]}"


@dataclass(frozen=True)
class Extracted:
    """What extract did: ids and counts only."""

    run_id: str
    model_version: int
    chunks: int
    rows_extracted: int
    rows_quarantined: int


def champion_version(stores: Stores, job: Job, night: date) -> int:
    """Return the version that was champion at ``night``; raises ``ChampionMissing``."""
    return _promotion(stores, job, night).model_version


def _promotion(stores: Stores, job: Job, night: date) -> Promotion:
    known = promotions.history_of(stores.warehouse, job.name)
    promotion = promotions.in_effect(known, night)
    if promotion is None:
        effective = sorted(str(one.effective_from) for one in known)
        raise ChampionMissing(
            f"champion of {job.name} at {night}",
            found=f"promotions effective from {effective or 'no night'}",
            next_step=f"`python -m scoring train {job.name} --until {night}`, or give a model version",
        )
    return promotion


def _pinned(stores: Stores, job: Job, request: Request) -> VersionRef:
    """Return the version that scores the night: the one asked for, or the champion."""
    if request.model_version is not None:
        return stores.registry.resolve(job.name, request.model_version)
    return promoted_ref(stores, _promotion(stores, job, request.night))


def extract(
    stores: Stores, job: Job, request: Request, on_chunk: Callable[[int], None] | None = None,
    progress: Progress = silent,
) -> Extracted:  # fmt: skip
    """Pin the model version and write the night's feature snapshot and quarantine; return ids and counts.

    ``on_chunk`` is told each chunk's number once it is on disk. Before anything is recorded: raises ``NoSuchNight`` when
    the timezone has no such day, and ``NightNotOver`` for a night that had not ended when the run began, unless the
    request allows that. Raises ``EmptyNight`` when there are no rows.
    """
    interval = DataInterval.of_night(request.night, job.schedule.timezone).require()
    _refuse_unfinished(job, request, interval)
    ensure_job(stores.warehouse, job)
    abandon_dead(stores.warehouse, stores.clock(), job.name)
    ref = _pinned(stores, job, request)
    run = ledger.start(stores.warehouse, _first_facts(stores, job, request, ref, interval))
    folder = stores.lake.run_folder(job.name, request.night, run.run_id)
    with recorded(stores, run.run_id):
        began = monotonic()
        stores.lake.write_json(f"{folder}/run.json", {"run_id": run.run_id, "model_uri": ref.uri})
        known = stores.registry.load(ref, job).categories
        counts = _Counts()
        with contracted(stores, job, interval, known) as batches:
            for number, (found, part) in enumerate(batches):
                _write_chunk(stores.lake, folder, number, part)
                counts.add(found.num_rows, part)
                progress("extract", found.num_rows)
                if on_chunk is not None and counts.rows:
                    on_chunk(number)
        facts = counts.facts()
        ledger.record(stores.warehouse, run.run_id, **facts, stage="score", seconds_extract=monotonic() - began)
        _refuse_empty(stores, job, run, counts.rows)
    return Extracted(run.run_id, ref.version, counts.chunks, counts.rows, counts.rows - counts.accepted)


def _refuse_unfinished(job: Job, request: Request, interval: DataInterval) -> None:
    if request.unfinished or interval.end <= request.started_at:
        return
    raise NightNotOver.at(
        f"night {request.night} of {job.name}", interval.end, found=f"a run that began at {request.started_at}",
        next_step="run it after that; to score what is there now on purpose, as provisional: `--unfinished`, in Airflow "
        "the parameter Unfinished",
    )  # fmt: skip


def _refuse_empty(stores: Stores, job: Job, run: ledger.Run, rows: int) -> None:
    if rows:
        return
    error = EmptyNight(
        f"night {run.night} of {job.name}",
        found="0 rows",
        expected="at least 1",
        next_step="check that the source has the night's rows; `on_empty: skip` in the job file allows none",
    )
    if job.on_empty == "skip":
        ledger.record(
            stores.warehouse, run.run_id, status="skipped", stage="done", reason=str(error), finished_at=stores.clock()
        )
    raise error


class _Counts:
    """Adds up what the chunks of one extract held."""

    def __init__(self) -> None:
        self.rows = self.accepted = self.chunks = 0
        self.reasons: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.digest = RowsDigest()

    def add(self, rows: int, part: Split) -> None:
        self.rows += rows
        self.accepted += part.accepted.num_rows
        self.chunks += 1
        self.reasons.update(part.reasons)
        self.unknown.update(part.unknown)
        self.digest.add(part.accepted)

    def facts(self) -> dict[str, Any]:
        return {
            "chunks": self.chunks, "rows_extracted": self.rows, "rows_quarantined": self.rows - self.accepted,
            "quarantine_reasons": dict(self.reasons), "unknown_categories": dict(self.unknown),
            "snapshot_hash": self.digest.hexdigest(),
        }  # fmt: skip


def _first_facts(stores: Stores, job: Job, request: Request, ref: VersionRef, interval: DataInterval) -> dict[str, Any]:
    return {
        "run_id": request.run_id, "job": job.name, "night": request.night,
        "interval_start": interval.start, "interval_end": interval.end,
        "origin": request.origin, "airflow_run_id": request.airflow_run_id, "started_at": request.started_at,
        "provisional": interval.end > request.started_at,
        "model_version": ref.version, "model_sha256": ref.sha256,
        "job_sha256": hashlib.sha256(job.model_dump_json().encode()).hexdigest(),
        "sql_sha256": stores.features_query(job).sha256,
        "code_version": code_version(stores.settings), "library_versions": library_versions(),
    }  # fmt: skip


def _write_chunk(lake: Lake, folder: str, number: int, part: Split) -> None:
    lake.write(lake.part(folder, "features", number), part.accepted.schema, [part.accepted], {})
    if part.quarantined.num_rows:
        lake.write(lake.part(folder, "quarantine", number), part.quarantined.schema, [part.quarantined], {})


def score_chunk(stores: Stores, job: Job, run_id: str, number: int, progress: Progress = silent) -> int:
    """Score one chunk of a run's feature snapshot with the pinned version; return how many rows.

    Writes the chunk's predictions, their summary and the profile of its columns; writing them again gives the same files.
    """
    run = worked_on(stores.warehouse, run_id, job.name)
    ledger.require_files(run)
    lake, folder = stores.lake, stores.lake.run_folder(job.name, run.night, run_id)
    with recorded(stores, run_id):
        began = monotonic()
        uri = lake.read_json(f"{folder}/run.json")["model_uri"]
        model = stores.registry.load(VersionRef(job.name, run.model_version, run.model_sha256, uri), job)
        summary, profile, bins = Summary(), Profile(), model.bins
        parts = []
        for batch in lake.batches(lake.part(folder, "features", number), rows=50_000):
            parts.append(predict(model.pipeline, batch, job, model.rule))
            summary += Summary.of(parts[-1], job)
            profile += Profile.of(bins, profiled(batch, parts[-1], job), batch.num_rows)
            progress("score", batch.num_rows)
        rows = lake.write(lake.part(folder, "predictions", number), prediction_schema(job), parts, {})
        lake.write_json(f"{folder}/profile-{number:05d}.json", profile.as_dict())
        facts = {"rows": rows, "summary": summary.as_dict(), "seconds": monotonic() - began}
        lake.write_json(f"{folder}/summary-{number:05d}.json", facts)
        seen(stores.warehouse, run_id, stores.clock())
    return rows


def run_night(stores: Stores, job: Job, request: Request, progress: Progress = silent) -> Published:
    """Extract, score, load and publish one night without Airflow, holding the run's lock all the while.

    Raises ``NightNotOver`` before anything is written, unless the request says that an unfinished night is wanted.
    """
    with held(stores.warehouse, request.run_id):
        return _run_night(stores, job, request, progress)


def _run_night(stores: Stores, job: Job, request: Request, progress: Progress) -> Published:
    """Publish the night; chunks are scored and loaded while later ones come.

    The rows are loaded in one transaction, which a failure of any chunk rolls back; that failure is raised, not loading's.
    """
    scoring: list[Future[int]] = []
    coming: _Coming = Queue()
    with (
        warnings_of_threads(),
        ThreadPoolExecutor(1, "load") as loader,
        ThreadPoolExecutor(stores.settings.score_threads, "score") as scorers,
    ):

        def submit(number: int) -> None:
            scoring.append(scorers.submit(score_chunk, stores, job, request.run_id, number, progress))
            coming.put((number, scoring[-1]))

        with _ended(coming):
            loading = loader.submit(_load_scored, stores, job, request.run_id, coming, progress)
            extract(stores, job, request, submit, progress)
        for future in scoring:
            future.result()
        with recorded(stores, request.run_id):
            loaded = loading.result()
    return publish(stores, job, request.run_id, progress, loaded)


@contextmanager
def _ended(coming: _Coming) -> Iterator[None]:
    """Tell the loading thread that no more chunks come; after an error, by one that was cancelled, so that it rolls back."""
    try:
        yield
    except BaseException:  # the loading thread is told, then it is raised again
        cancelled: Future[int] = Future()
        cancelled.cancel()
        coming.put((-1, cancelled))
        raise
    coming.put(None)


def _load_scored(stores: Stores, job: Job, run_id: str, coming: _Coming, progress: Progress) -> Loaded:
    numbers = _scored(coming)
    first = next(numbers)  # from here on the run is in the ledger
    return load_run(stores, job, ledger.get(stores.warehouse, run_id), chain([first], numbers), progress)


def _scored(coming: _Coming) -> Iterator[int]:
    """Yield the number of each chunk once it is scored; raises what its scoring raised."""
    while (chunk := coming.get()) is not None:
        number, scoring = chunk
        scoring.result()
        yield number
