"""Publishes a run: load, reconcile, gate, pointer, lake object. Also releases, discards and unpublishes runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from time import monotonic

from scoring.errors import (
    NightHeld,
    NightshiftError,
    ReconciliationError,
    RunMissing,
)
from scoring.night.chunk import ChunkPredictions
from scoring.night.gate import gate_reasons
from scoring.night.loaded import Loaded, digested
from scoring.night.reasons import current_reasons, load_run_reasons, run_of
from scoring.night.recording import recorded
from scoring.night.shards import loaded_by_shards
from scoring.night.shown import INTERVAL_FACT, rows_schema, shown_rows
from scoring.night.staging import unstage
from scoring.progress import Progress, silent
from scoring.rows import RowsDigest, Summary
from scoring.stores import RunFolder, Stores, Workspace, no_erasure
from scoring.stores.warehouse import Action, Run, ledger, load, remove_rows, worked_on

_CONNECTIONS = 4
"""Connections at most that load a run. More would wait for each other at the end of the same index."""


@dataclass(frozen=True)
class Published:
    """A published run. ``status`` is ``published``, or ``superseded`` when a later run is visible already."""

    run_id: str
    status: str
    rows: int
    lake_object: str


def publish(work: Workspace, run_id: str, progress: Progress = silent, loaded: Loaded | None = None) -> Published:
    """Publish a scored run: load it unless ``loaded``, reconcile counts, pass the gate, flip the pointer, write the lake.

    A second call gives the same state. Raises ``ReconciliationError`` when rows are missing anywhere, ``NightHeld``
    when the gate refuses the night; then the run that was published before stays visible.
    """
    run = worked_on(work.warehouse, run_id, work.job.name)
    if run.status in ("published", "superseded"):
        return _after_flip(work, run, run.status)
    if run.status not in ("running", "failed", "held"):
        advice = (
            f"nightshift release {work.job.name} {run_id}" if run.status == "unpublished" else "run the night again"
        )
        raise RunMissing(
            f"run {run_id}", found=f"status {run.status}", expected="a run that was scored", next_step=advice
        )
    ledger.require_files(run)
    with recorded(work.stores, run_id):
        _require_chunks(work.stores, run)
        if run.shards is not None:
            loaded = loaded_by_shards(work, run)
            run = ledger.get(work.warehouse, run_id)
        summary = _reconciled(work.stores, run, loaded or _load_scored(work, run, progress))
        load_run_reasons(work, run)
        _pass_gate(work, run, summary)
        status = ledger.flip(work.warehouse, run, summary.rows, work.clock())
    return _after_flip(work, ledger.get(work.warehouse, run_id), status)


def _load_scored(work: Workspace, run: Run, progress: Progress) -> Loaded:
    folder = RunFolder(work.lake, run)
    schema = folder.schema(work.job)
    chunks = (ChunkPredictions(number, folder.predictions([number], schema)) for number in folder.chunks)
    return load_run(work, run, chunks, progress)


def load_run(work: Workspace, run: Run, chunks: Iterable[ChunkPredictions], progress: Progress = silent) -> Loaded:
    """Load the predictions of a run's chunks, all of them or none, invisibly."""
    began, digest, waits = monotonic(), RowsDigest(), _Waits(chunks)
    predictions = digested(waits, digest, len(work.job.key), progress)
    connections = min(work.settings.threads, _CONNECTIONS)
    schema = RunFolder(work.lake, run).schema(work.job)
    rows = load(work.warehouse, work.job, run, predictions, schema, connections)
    return Loaded(rows, digest.hexdigest(), monotonic() - began - waits.seconds)


class _Waits:
    """Yields chunks, and adds up the seconds of waiting for each."""

    def __init__(self, chunks: Iterable[ChunkPredictions]) -> None:
        self._chunks = iter(chunks)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[ChunkPredictions]:
        return self

    def __next__(self) -> ChunkPredictions:
        began = monotonic()
        try:
            return next(self._chunks)
        finally:
            self.seconds += monotonic() - began


def _reconciled(stores: Stores, run: Run, loaded: Loaded) -> Summary:
    """Return the summary of the run's predictions after all counts agree, and record the counts."""
    began = monotonic()
    chunks = RunFolder(stores.lake, run).scored()
    summary = sum((chunk.summary for chunk in chunks), Summary())
    scored = sum(chunk.rows for chunk in chunks)
    _reconcile(run, scored, summary.rows, loaded.rows)
    total = (stores.clock() - run.started_at).total_seconds()
    ledger.record(
        stores.warehouse,
        run.run_id,
        stage="publish",
        rows_scored=scored,
        rows_loaded=loaded.rows,
        predictions_hash=loaded.predictions_hash,
        rows_per_second=(run.rows_extracted or 0) / total if total > 0 else None,
        seconds_score=sum(chunk.seconds for chunk in chunks),
        evaluator="; ".join(sorted({chunk.scored_by for chunk in chunks if chunk.scored_by})) or None,
        seconds_publish=loaded.seconds + monotonic() - began,
    )
    return summary


def _require_chunks(stores: Stores, run: Run) -> None:
    """Raise ``ReconciliationError`` that lists the run's chunks without predictions, if there are any."""
    folder = RunFolder(stores.lake, run)
    numbers, missing = folder.chunks, folder.unscored()
    if missing or not numbers:
        raise ReconciliationError(
            f"run {run.run_id}",
            found=f"chunks {missing} of {len(numbers)} not scored",
            expected="every chunk scored",
            next_step="clear the score task of the run",
        )


def _reconcile(run: Run, scored: int, summarised: int, loaded: int) -> None:
    """Raise ``ReconciliationError`` unless extracted = quarantined + scored and scored = summarised = loaded."""
    if run.rows_extracted != (run.rows_quarantined or 0) + scored or not scored == summarised == loaded:
        raise ReconciliationError(
            f"run {run.run_id}",
            found=f"{run.rows_extracted} extracted, {run.rows_quarantined} quarantined, {scored} scored, {loaded} loaded",
            expected="extracted = quarantined + scored, scored = loaded",
            next_step="run the night again; nothing was published",
        )


def _pass_gate(work: Workspace, run: Run, summary: Summary) -> None:
    version = work.registry.load(RunFolder(work.lake, run).version_ref(), work.job)
    reasons = gate_reasons(work.job, summary, run.rows_quarantined or 0, version.reference, version.usual)
    if reasons:
        ledger.record(work.warehouse, run.run_id, status="held", reason="; ".join(reasons), finished_at=work.clock())
        raise NightHeld(
            f"night {run.night} of {work.job.name} is held",
            found="; ".join(reasons),
            expected="the publish gate to pass",
            next_step=f"`nightshift release {work.job.name} {run.run_id}` publishes it, `discard` drops it",
        )


def _after_flip(work: Workspace, run: Run, status: str) -> Published:
    if run.shards is not None:
        with suppress(NightshiftError):  # the publication stands; retention drops what is left in the source
            unstage(work, run)
    return Published(run.run_id, status, run.rows_loaded or 0, work.lake.url(refresh_lake(work, run.night)))


def refresh_lake(work: Workspace, night: date, anew: bool = False) -> str:
    """Write the lake object of a night's published run, or remove it when no run is published, and return its path.

    The night's lock is held meanwhile. An object of the published run stays as it is, unless ``anew``.
    """
    path = work.lake.current(work.job.name, night)
    with work.warehouse.transaction() as connection:
        ledger.hold_lock(connection, work.job.name, night)
        run_id = ledger.published(work.warehouse, work.job.name, night).get(night)
        if run_id is None:
            work.lake.remove(path)
        elif anew or run_of(work, path) != run_id:
            _write_current(work, ledger.get(work.warehouse, run_id), path)
        current_reasons(work, night, run_id, anew)
    return path


def _write_current(work: Workspace, run: Run, path: str) -> None:
    """Write a published run's predictions with the columns of the analysts' view."""
    facts = {
        "job": run.job,
        "night": str(run.night),
        "run_id": run.run_id,
        "model_version": str(run.model_version),
        "predictions_hash": str(run.predictions_hash),
    }
    pinned = RunFolder(work.lake, run).pinned_interval(work.job)
    facts |= {} if pinned is None else {INTERVAL_FACT: f"{pinned.level:g}"}
    interval = work.job.interval is not None or pinned is not None
    work.lake.write(path, rows_schema(work.job, run, interval), shown_rows(work, run, interval), facts)


@no_erasure
def release(work: Workspace, run_id: str) -> Published:
    """Publish a held, superseded or unpublished run although the publish gate or a later run speaks against it."""
    run = ledger.get(work.warehouse, run_id, work.job.name)
    if run.status not in ("held", "superseded", "published", "unpublished"):
        expected = "held, superseded, unpublished or published"
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected=expected)
    now, subject = work.clock(), f"night {run.night}: run {run_id}, which was {run.status}"
    action = Action(run.job, "released", subject, run.reason, now)
    status = ledger.flip(work.warehouse, run, run.rows_loaded or 0, now, force=True, action=action)
    return _after_flip(work, run, status)


def unpublish(work: Workspace, night: date, reason: str) -> Run:
    """Take a night's publication back: first the pointer, then the lake object, and return the run that was published.

    Rows, files, ledger and ``…_as_of`` stay. A second call completes an interrupted one. Raises ``RunMissing`` for a
    night that was never published.
    """
    run = ledger.withdraw(work.warehouse, work.job.name, night, reason, work.clock())
    if run is None:
        taken_back = [
            run for run in ledger.runs_of(work.warehouse, work.job.name, night) if run.status == "unpublished"
        ]
        if not taken_back:
            raise RunMissing(
                f"night {night} of {work.job.name}",
                found="no publication",
                expected="a published night",
                next_step=f"see `nightshift explain {work.job.name} {night}`",
            )
        run = taken_back[-1]
    refresh_lake(work, night)
    return run


def discard(work: Workspace, run_id: str) -> int:
    """Drop a held run's rows, and return how many. What was published before stays."""
    run = ledger.get(work.warehouse, run_id, work.job.name)
    if run.status != "held":
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected="held")
    ledger.discard(work.warehouse, run, work.clock())
    return remove_rows(work.warehouse, work.job, run)
