"""Scores one chunk: predictions and their profile to the lake, of rows in memory or on the lake."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

import pyarrow as pa

from scoring.night.chunk import Chunk, ChunkPredictions
from scoring.night.recording import recorded
from scoring.progress import Progress, silent
from scoring.rows import Profile, Summary, one_thread, prediction_schema, profiled
from scoring.rows.reasons import reasons_schema
from scoring.stores import RunFolder, ScoredChunk, Workspace
from scoring.stores.registry import VersionReasons
from scoring.stores.warehouse import ledger, seen, worked_on

_ROWS = 50_000
"""Rows that are predicted at once: fewer cost more a row, more need more memory."""


def score_chunk(work: Workspace, run_id: str, number: int, progress: Progress = silent) -> int:
    """Score one chunk of a run's feature snapshot with the pinned version, and return how many rows.

    Writes the chunk's predictions, their summary and the profile of its columns; writing them again gives the same files.
    """
    folder = _folder(work, run_id)
    batches = work.lake.batches(folder.part("features", number), _ROWS, work.stores.features_schema(work.job))
    return sum(batch.num_rows for batch in _score(work, folder, number, batches, progress))


def score_rows(work: Workspace, run_id: str, chunk: Chunk, progress: Progress = silent) -> ChunkPredictions:
    """Score a chunk of a run that is in memory as well, as ``score_chunk`` does, and return its predictions."""
    batches = (chunk.rows.slice(start, _ROWS) for start in range(0, chunk.rows.num_rows, _ROWS))
    predictions = _score(work, _folder(work, run_id), chunk.number, batches, progress)
    return ChunkPredictions(chunk.number, predictions, chunk.key_hashes)


def load_version(work: Workspace, run_id: str) -> None:
    """Load a run's pinned version, so that it is there for the first chunk."""
    work.registry.load(_folder(work, run_id).version_ref(), work.job)


def _folder(work: Workspace, run_id: str) -> RunFolder:
    run = worked_on(work.warehouse, run_id, work.job.name)
    ledger.require_files(run)
    return RunFolder(work.lake, run)


def _score(
    work: Workspace, folder: RunFolder, number: int, batches: Iterable[pa.RecordBatch], progress: Progress
) -> list[pa.RecordBatch]:
    run_id = folder.run.run_id
    with recorded(work.stores, run_id):
        began = monotonic()
        model = work.registry.load(folder.version_ref(), work.job)
        interval = folder.pinned_interval(work.job)
        miss = None if interval is None else interval.miss
        summary, profile, bins = Summary(), Profile(), model.bins
        parts, reasons = [], _Reasons(work, folder, number)
        with one_thread():  # chunks are scored side by side: more threads in each would fight for the cores
            for batch in batches:
                parts.append(model.predict(batch, work.job, miss))
                reasons.add(batch, parts[-1])
                summary += Summary.of(parts[-1], work.job)
                profile += Profile.of(bins, profiled(batch, parts[-1], work.job), batch.num_rows)
                progress("score", batch.num_rows)
        schema = prediction_schema(work.job, interval is not None)
        rows = work.lake.write(folder.part("predictions", number), schema, parts, {})
        explained = reasons.written()
        scored = ScoredChunk(rows, summary, monotonic() - began, model.scored_by, explained)
        folder.write_scored(number, profile, scored)
        seen(work.warehouse, run_id, work.clock())
    return parts


class _Reasons:
    """The reasons of a chunk's predictions, if the job asks for some."""

    def __init__(self, work: Workspace, folder: RunFolder, number: int) -> None:
        self._work, self._path, self._batches = work, folder.part("reasons", number), list[pa.RecordBatch]()
        asked = work.job.reasons is not None
        self._of = VersionReasons(work.registry, folder.version_ref(), work.job) if asked else None

    def add(self, batch: pa.RecordBatch, predictions: pa.RecordBatch) -> None:
        """Add the reasons of some rows."""
        if self._of is not None:
            self._batches.append(self._of.asked_for(batch, predictions))

    def written(self) -> int | None:
        """Write the chunk's reasons to the lake, and return how many rows they are, or None where none are asked for."""
        if self._of is None:
            return None
        return self._work.lake.write(self._path, reasons_schema(self._work.job), self._batches, {})
