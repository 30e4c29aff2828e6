"""Extracts one night: reads its rows from the source and writes them as feature chunks to the lake.

``extract``, ``score`` and ``publish`` have one function per Airflow task. The CLI calls the same functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import date
from time import monotonic
from typing import Any

from scoring.errors import EmptyNight, NightError, NightNotOver, Permanent, described
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.night.champion import pinned
from scoring.night.chunk import Chunk, write_chunk
from scoring.night.counts import Counts
from scoring.night.recording import recorded
from scoring.night.request import Extracted, NightRequest
from scoring.night.staging import chunks_of, stage_night
from scoring.progress import Progress, silent
from scoring.settings import code_version
from scoring.stores import RepeatedKeys, RunFolder, Workspace, feature_batches
from scoring.stores.registry import VersionRef, library_versions
from scoring.stores.warehouse import Run, abandon_dead, ensure_job, ledger

NO_VERSION = 0
"""What the ledger says in place of a version when an attempt was refused before there was one."""
OnChunk = Callable[[Chunk], None]
Reading = Callable[[], AbstractContextManager[OnChunk]]


def extract(
    work: Workspace,
    request: NightRequest,
    reading: Reading | None = None,
    progress: Progress = silent,
    shared: bool = False,
) -> Extracted:
    """Pin the model version, write the night's feature snapshot and quarantine, and return ids and counts.

    A ``shared`` night is read by the tasks that score it, where its source can keep its rows for them.
    ``reading`` is entered for each reading of the night, the last of which counts, and gives a function that is called
    with every chunk once it is on the lake. Before anything is recorded: raises ``NoSuchNight`` when the timezone has no
    such day, and ``NightNotOver`` for a night that had not ended when the run began, unless the request allows that.
    A night that is refused for another reason has a row in the ledger, as one that fails: raises ``NightError`` for one
    after ``schedule.last_night``, ``ChampionMissing``, ``DeclarationMismatch``, and ``EmptyNight`` when there are no rows.
    """
    interval = DataInterval.of_night(request.night, work.job.schedule.timezone).require()
    _refuse_unfinished(work.job, request, interval)
    ref, run = _start(work, request, interval)
    folder = RunFolder(work.lake, run)
    with recorded(work.stores, run.run_id):
        work.registry.job_of(ref, work.job)  # what the version cannot be used with is refused before any row is read
        began = monotonic()
        facts = _extracted(work, folder, ref, reading or _nobody, progress, shared)
        seconds = monotonic() - began
        stage = "score" if facts["rows_extracted"] else "extract"
        ledger.record(work.warehouse, run.run_id, **facts, stage=stage, seconds_extract=seconds)
        _refuse_empty(work, run, facts["rows_extracted"])
    return Extracted(
        run.run_id,
        ref.version,
        facts["chunks"],
        facts["rows_extracted"],
        facts.get("rows_quarantined"),
        facts["shards"],
    )


def _extracted(
    work: Workspace, folder: RunFolder, ref: VersionRef, reading: Reading, progress: Progress, shared: bool
) -> dict[str, Any]:
    """Put the night's rows on the lake, or where the tasks that share it read them, and return what the ledger says of them."""
    repeating = _keys_repeat(work)
    stage = stage_night(work, folder, ref) if shared and not repeating else None
    if stage is not None and not stage.repeated_keys:
        shards = work.job.shards_of(stage.rows)
        chunks = chunks_of(stage, work.job.chunk_rows, shards or 1)
        return {"chunks": chunks, "rows_extracted": stage.rows, "shards": shards}
    counts = _read(work, folder, ref, (reading, progress), repeating or stage is not None)
    return {**counts.facts(), "shards": work.job.shards_of(counts.rows) if shared else None}


def _keys_repeat(work: Workspace) -> bool:
    """Return whether the job's last run had keys that repeat, or that could not be read."""
    reasons = ledger.last_reasons(work.warehouse, work.job.name)
    return any(reason == "duplicate_key" or reason.partition(":")[0] in work.job.key for reason in reasons)


def _read(
    work: Workspace, folder: RunFolder, ref: VersionRef, how: tuple[Reading, Progress], in_key_order: bool
) -> Counts:
    """Write the night's chunks as the source gives its rows, and again in key order if a key came twice. Return the counts.

    A night that is known to have such keys is read ``in_key_order`` at once.
    """
    reading, progress = how
    for ordered in (True,) if in_key_order else (False, True):
        folder.write_pin(ref, work.job)
        with suppress(RepeatedKeys), reading() as on_chunk:
            return _write(work, folder, ordered, on_chunk, progress)
        folder.remove()
    raise AssertionError("in key order every copy of a key is marked")


def _write(work: Workspace, folder: RunFolder, in_key_order: bool, on_chunk: OnChunk, progress: Progress) -> Counts:
    run, counts = folder.run, Counts(len(work.job.key))
    interval = DataInterval(run.interval_start, run.interval_end, run.night)
    ref = folder.version_ref()
    categories, unused = work.registry.categories(ref), work.registry.unused(ref, work.job)
    with feature_batches(work, interval, categories, in_key_order=in_key_order, unused=unused) as batches:
        for number, (batch, part) in enumerate(batches):
            write_chunk(folder, number, part)
            counts.add(batch.num_rows, part)
            progress("extract", batch.num_rows)
            if counts.rows:
                on_chunk(Chunk(number, part.accepted, part.accepted_hashes))
    return counts


@contextmanager
def _nobody() -> Iterator[OnChunk]:
    """Give a function for chunks that nobody waits for."""
    yield lambda chunk: None


def _refuse_unfinished(job: Job, request: NightRequest, interval: DataInterval) -> None:
    if request.unfinished or interval.end <= request.started_at:
        return
    raise NightNotOver.at(
        f"night {request.night} of {job.name}",
        interval.end,
        found=f"a run that began at {request.started_at}",
        next_step="run it after that; to score what is there now on purpose, as provisional: `--unfinished`, in Airflow "
        "the parameter Unfinished",
    )


def _start(work: Workspace, request: NightRequest, interval: DataInterval) -> tuple[VersionRef, Run]:
    """Return the version that scores the night, and the run that the ledger has of the attempt from now on."""
    ensure_job(work.warehouse, work.job)
    abandon_dead(work.warehouse, work.clock(), work.job.name)
    try:
        _refuse_after_last(work.job, request.night)
        ref = pinned(work, request)
    except Permanent as error:  # there is no version, but there was an attempt
        nobody = VersionRef(work.job.name, request.model_version or NO_VERSION, "", "")
        run = ledger.start(work.warehouse, _first_facts(work, request, nobody, interval))
        ledger.record_failure(work.warehouse, run.run_id, described(error), work.clock())
        raise
    return ref, ledger.start(work.warehouse, _first_facts(work, request, ref, interval))


def _refuse_after_last(job: Job, night: date) -> None:
    last = job.schedule.last_night
    if last is not None and night > last:
        raise NightError(
            f"night {night} of {job.name}",
            found="a night after the last one of its schedule",
            expected=f"schedule.last_night, {last}, or an earlier one",
            next_step=f"if there are nights after it, move schedule.last_night in jobs/{job.name}.yaml",
        )


def _refuse_empty(work: Workspace, run: Run, rows: int) -> None:
    if rows:
        return
    error = EmptyNight(
        f"night {run.night} of {work.job.name}",
        found="0 rows at stage extract",
        expected="at least 1",
        next_step="check that the source has the night's rows; `on_empty: skip` in the job file allows none",
    )
    if work.job.on_empty == "skip":
        ledger.record(
            work.warehouse, run.run_id, status="skipped", stage="done", reason=str(error), finished_at=work.clock()
        )
    raise error


def _first_facts(work: Workspace, request: NightRequest, ref: VersionRef, interval: DataInterval) -> dict[str, Any]:
    return {
        "run_id": request.run_id,
        "job": work.job.name,
        "night": request.night,
        "interval_start": interval.start,
        "interval_end": interval.end,
        "origin": request.origin,
        "airflow_run_id": request.airflow_run_id,
        "started_at": request.started_at,
        "provisional": interval.end > request.started_at,
        "model_version": ref.version,
        "model_sha256": ref.sha256,
        "job_sha256": hashlib.sha256(work.job.model_dump_json().encode()).hexdigest(),
        "sql_sha256": work.stores.features_query(work.job).sha256,
        "code_version": code_version(work.settings),
        "library_versions": library_versions(),
    }
