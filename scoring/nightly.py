"""One night: extract, score, publish. One function per Airflow task; the CLI calls the same functions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import Any

import pyarrow as pa

from scoring.contract import Contract, quarantine_schema
from scoring.digest import RowsDigest
from scoring.errors import ChampionMissing, EmptyNight, NightHeld, ReconciliationError, RunMissing
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.lake import Lake
from scoring.registry import VersionRef, library_versions
from scoring.score import Summary, gate_reasons, predict, prediction_schema
from scoring.settings import code_version
from scoring.stores import Progress, Stores, contracted, silent
from scoring.warehouse import ledger, promotions
from scoring.warehouse.load import Stamp, load, remove_rows
from scoring.warehouse.schema import ensure_job

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Request:
    """What one attempt at a night was asked to do, by whom and when."""

    night: date
    started_at: datetime
    origin: str
    airflow_run_id: str | None = None
    model_version: int | None = None
    """Overrides the version that was champion at the night."""

    @property
    def run_id(self) -> str:
        """Return the attempt's id: its night, its start in UTC, and a hash of who asked.

        >>> from datetime import UTC
        >>> Request(date(2013, 4, 1), datetime(2013, 4, 2, 4, tzinfo=UTC), "cli").run_id
        '2013-04-01-20130402T040000000000-40b1ee0f'
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


@dataclass(frozen=True)
class Published:
    """What publish did; ``status`` is ``published``, or ``superseded`` when a later run is shown already."""

    run_id: str
    status: str
    rows: int
    lake_object: str


def champion_version(stores: Stores, job: Job, night: date) -> int:
    """Return the version that was champion at ``night``; raises ``ChampionMissing``."""
    known = promotions.history_of(stores.warehouse, job.name)
    version = promotions.champion_at(known, night)
    if version is None:
        effective = sorted(str(one.effective_from) for one in known)
        raise ChampionMissing(
            f"champion of {job.name} at {night}",
            found=f"promotions effective from {effective or 'no night'}",
            next_step=f"`python -m scoring train {job.name} --until {night}`, or give a model version",
        )
    return version


def extract(
    stores: Stores, job: Job, request: Request, on_chunk: Callable[[int], None] | None = None,
    progress: Progress = silent,
) -> Extracted:  # fmt: skip
    """Pin the model version and write the night's feature snapshot and quarantine; return ids and counts.

    ``on_chunk`` is told each chunk's number once it is on disk. Raises ``EmptyNight`` when there are no rows.
    """
    ensure_job(stores.warehouse, job)
    version = request.model_version or champion_version(stores, job, request.night)
    ref = stores.registry.resolve(job.name, version)
    interval = DataInterval.of_night(request.night, job.schedule.timezone)
    run = ledger.start(stores.warehouse, _first_facts(stores, job, request, ref, interval))
    folder = stores.lake.run_folder(job.name, request.night, run.run_id)
    with _recorded(stores, run.run_id, lambda: request.started_at):
        began = monotonic()
        stores.lake.write_json(f"{folder}/run.json", {"run_id": run.run_id, "model_uri": ref.uri})
        known = stores.registry.load(ref, job).categories
        counts = _Counts()
        with contracted(stores, job, interval, known) as batches:
            for number, (found, part) in enumerate(batches):
                _write_chunk(stores.lake, folder, number, part.accepted, part.quarantined)
                counts.add(found.num_rows, part.accepted, part.reasons, part.unknown)
                progress("extract", found.num_rows)
                if on_chunk is not None and counts.rows:
                    on_chunk(number)
        ledger.record(stores.warehouse, run.run_id, **counts.facts(), stage="score", seconds_extract=monotonic() - began)
        if counts.rows == 0:
            raise EmptyNight(
                f"night {request.night} of {job.name}", found="0 rows", expected="at least 1",
                next_step="check that the source has the night's rows; on_empty: skip in the job file allows none",
            )  # fmt: skip
    return Extracted(run.run_id, version, counts.chunks, counts.rows, counts.rows - counts.accepted)


class _Counts:
    """Adds up what the chunks of one extract held."""

    def __init__(self) -> None:
        self.rows = self.accepted = self.chunks = 0
        self.reasons: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.digest = RowsDigest()

    def add(self, rows: int, accepted: pa.RecordBatch, reasons: dict[str, int], unknown: dict[str, int]) -> None:
        self.rows += rows
        self.accepted += accepted.num_rows
        self.chunks += 1
        self.reasons.update(reasons)
        self.unknown.update(unknown)
        self.digest.add(accepted)

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
        "model_version": ref.version, "model_sha256": ref.sha256,
        "job_sha256": hashlib.sha256(job.model_dump_json().encode()).hexdigest(),
        "sql_sha256": stores.features_query(job).sha256,
        "code_version": code_version(stores.settings), "library_versions": library_versions(),
    }  # fmt: skip


def _write_chunk(lake: Lake, folder: str, number: int, accepted: pa.RecordBatch, bad: pa.RecordBatch) -> None:
    lake.write(lake.part(folder, "features", number), accepted.schema, [accepted], {})
    if bad.num_rows:
        schema = quarantine_schema(bad.schema.names[:-1])
        lake.write(lake.part(folder, "quarantine", number), schema, [bad], {})


def score_chunk(stores: Stores, job: Job, run_id: str, number: int, progress: Progress = silent) -> int:
    """Score one chunk of a run's feature snapshot with the pinned version; return how many rows.

    Writes the chunk's predictions and their summary; writing them again gives the same files.
    """
    run = ledger.get(stores.warehouse, run_id)
    lake, folder = stores.lake, stores.lake.run_folder(job.name, run.night, run_id)
    with _recorded(stores, run_id, lambda: run.started_at):
        began = monotonic()
        uri = lake.read_json(f"{folder}/run.json")["model_uri"]
        model = stores.registry.load(VersionRef(job.name, run.model_version, run.model_sha256, uri), job)
        summary = Summary()
        parts = []
        for batch in lake.batches(lake.part(folder, "features", number), rows=50_000):
            parts.append(predict(model.pipeline, batch, job))
            summary += Summary.of(parts[-1], job)
            progress("score", batch.num_rows)
        rows = lake.write(lake.part(folder, "predictions", number), prediction_schema(job), parts, {})
        facts = {"rows": rows, "summary": summary.as_dict(), "seconds": monotonic() - began}
        lake.write_json(f"{folder}/summary-{number:05d}.json", facts)
    return rows


def publish(stores: Stores, job: Job, run_id: str, clock: Clock, progress: Progress = silent) -> Published:
    """Load a scored run, reconcile its counts, pass the gate, flip the pointer, replace the lake object.

    Doing it again gives the same state. Raises ``ReconciliationError`` when rows are missing anywhere, ``NightHeld``
    when the gate refuses; then what was published before stays.
    """
    run = ledger.get(stores.warehouse, run_id)
    if run.status in ("published", "superseded"):
        return _after_flip(stores, job, run, str(run.status))
    if run.status not in ("running", "failed", "held"):
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected="a run that was scored")
    with _recorded(stores, run_id, clock):
        began = monotonic()
        folder = stores.lake.run_folder(job.name, run.night, run_id)
        chunks = [stores.lake.read_json(f"{folder}/summary-{number:05d}.json") for number in _chunk_numbers(stores, folder, run)]
        summary = sum((Summary.from_dict(chunk["summary"]) for chunk in chunks), Summary())
        digest = RowsDigest()
        stamp = Stamp(run.night, run_id, run.model_version, run.started_at)
        predictions = _told(digest.through(_predictions(stores, folder, len(chunks))), progress)
        loaded = load(stores.warehouse, job, stamp, iter(predictions), prediction_schema(job))
        scored = sum(chunk["rows"] for chunk in chunks)
        _reconcile(run, scored, summary.rows, loaded)
        seconds = {
            "seconds_score": sum(chunk["seconds"] for chunk in chunks), "seconds_publish": monotonic() - began,
        }  # fmt: skip
        total = (clock() - run.started_at).total_seconds()
        ledger.record(
            stores.warehouse, run_id, stage="publish", rows_scored=scored, rows_loaded=loaded, **seconds,
            predictions_hash=digest.hexdigest(), rows_per_second=run.rows_extracted / total if total > 0 else None,
        )  # fmt: skip
        _pass_gate(stores, job, run, summary, clock)
        status = ledger.flip(stores.warehouse, run, loaded, clock())
    return _after_flip(stores, job, ledger.get(stores.warehouse, run_id), status)


def _chunk_numbers(stores: Stores, folder: str, run: ledger.Run) -> range:
    """Return the run's chunk numbers; raises ``ReconciliationError`` that lists the chunks without predictions."""
    numbers = range(run.chunks or 0)
    missing = [n for n in numbers if not stores.lake.exists(f"{folder}/summary-{n:05d}.json")]
    if missing or not numbers:
        raise ReconciliationError(
            f"run {run.run_id}", found=f"chunks {missing} of {len(numbers)} not scored", expected="every chunk scored",
            next_step="clear the score task of the run",
        )  # fmt: skip
    return numbers


def _predictions(stores: Stores, folder: str, chunks: int) -> Iterator[pa.RecordBatch]:
    for number in range(chunks):
        yield from stores.lake.batches(stores.lake.part(folder, "predictions", number))


def _told(batches: Any, progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        progress("publish", batch.num_rows)


def _reconcile(run: ledger.Run, scored: int, summarised: int, loaded: int) -> None:
    """Raise ``ReconciliationError`` unless extracted = quarantined + scored and scored = summarised = loaded."""
    if run.rows_extracted != run.rows_quarantined + scored or not scored == summarised == loaded:
        raise ReconciliationError(
            f"run {run.run_id}",
            found=f"{run.rows_extracted} extracted, {run.rows_quarantined} quarantined, {scored} scored, {loaded} loaded",
            expected="extracted = quarantined + scored, scored = loaded",
            next_step="run the night again; nothing was published",
        )


def _pass_gate(stores: Stores, job: Job, run: ledger.Run, summary: Summary, clock: Clock) -> None:
    folder = stores.lake.run_folder(job.name, run.night, run.run_id)
    uri = stores.lake.read_json(f"{folder}/run.json")["model_uri"]
    ref = VersionRef(job.name, run.model_version, run.model_sha256, uri)
    reasons = gate_reasons(job, summary, run.rows_quarantined, stores.registry.load(ref, job).reference)
    if reasons:
        ledger.record(stores.warehouse, run.run_id, status="held", reason="; ".join(reasons), finished_at=clock())
        raise NightHeld(
            f"night {run.night} of {job.name} is held", found="; ".join(reasons), expected="the publish gate to pass",
            next_step=f"`python -m scoring release {job.name} {run.run_id}` publishes it, `discard` drops it",
        )  # fmt: skip


def _after_flip(stores: Stores, job: Job, run: ledger.Run, status: str) -> Published:
    path = refresh_lake(stores, job, run.night)
    return Published(run.run_id, status, run.rows_loaded or 0, path)


def refresh_lake(stores: Stores, job: Job, night: date) -> str:
    """Make the night's lake object what the pointer says, under the night's lock; return its path."""
    path = stores.lake.current(job.name, night)
    with stores.warehouse.transaction() as connection:
        ledger.hold_lock(connection, job.name, night)
        shown = ledger.published(stores.warehouse, job.name, night).get(night)
        if shown is None:
            stores.lake.remove(path)
            return path
        run = ledger.get(stores.warehouse, shown)
        if (stores.lake.facts(path) or {}).get("run_id") == shown:
            return path
        stamp = Stamp(night, shown, run.model_version, run.started_at)
        schema = prediction_schema(job)
        order = [*job.key, "night", *schema.names[len(job.key) :], "model_version", "run_id", "scored_at"]
        target = stamp.onto(pa.RecordBatch.from_pylist([], schema), order).schema
        facts = {
            "job": job.name, "night": str(night), "run_id": shown, "model_version": str(run.model_version),
            "predictions_hash": run.predictions_hash,
        }  # fmt: skip
        folder = stores.lake.run_folder(job.name, night, shown)
        parts = _predictions(stores, folder, run.chunks)
        stores.lake.write(path, target, (stamp.onto(batch, order) for batch in parts), facts)
    return path


def release(stores: Stores, job: Job, run_id: str, clock: Clock) -> Published:
    """Publish a held run, or an older one again, although the gate or a later run speaks against it."""
    run = ledger.get(stores.warehouse, run_id)
    if run.status not in ("held", "superseded", "published"):
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected="held, superseded or published")
    status = ledger.flip(stores.warehouse, run, run.rows_loaded, clock(), force=True)
    return _after_flip(stores, job, run, status)


def discard(stores: Stores, job: Job, run_id: str, clock: Clock) -> int:
    """Drop a held run's rows; return how many. What was published before stays."""
    run = ledger.get(stores.warehouse, run_id)
    if run.status != "held":
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected="held")
    ledger.record(stores.warehouse, run_id, status="discarded", stage="done", finished_at=clock())
    return remove_rows(stores.warehouse, job, run.night, run_id)


def run_night(stores: Stores, job: Job, request: Request, clock: Clock, progress: Progress = silent) -> Published:
    """Extract, score and publish one night without Airflow, scoring chunks while later ones are extracted."""
    scoring: list[Future[int]] = []
    run_id = request.run_id
    with ThreadPoolExecutor(stores.settings.score_threads, thread_name_prefix="score") as pool:

        def submit(number: int) -> None:
            scoring.append(pool.submit(score_chunk, stores, job, run_id, number, progress))

        extract(stores, job, request, submit, progress)
        for future in scoring:
            future.result()
    return publish(stores, job, run_id, clock, progress)


@contextmanager
def _recorded(stores: Stores, run_id: str, clock: Clock) -> Iterator[None]:
    """Write a failure into the run's ledger row and raise it again."""
    try:
        yield
    except EmptyNight as error:
        ledger.record_failure(stores.warehouse, run_id, str(error), clock())
        raise
    except NightHeld:
        raise
    except Exception as error:  # every failure is recorded, then raised again
        ledger.record_failure(stores.warehouse, run_id, f"{type(error).__name__}: {error}", clock())
        raise


def night_contract(job: Job, night: date) -> Contract:
    """Return the contract that a night's rows must meet."""
    return Contract(job, DataInterval.of_night(night, job.schedule.timezone))
