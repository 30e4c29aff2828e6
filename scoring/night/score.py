"""Scores one chunk: features from the lake, predictions and their profile to the lake."""

from __future__ import annotations

from time import monotonic

from scoring.night.recording import recorded
from scoring.progress import Progress, silent
from scoring.rows import Profile, Summary, prediction_schema, profiled
from scoring.stores import RunFolder, ScoredChunk, Workspace
from scoring.stores.warehouse import ledger, seen, worked_on


def score_chunk(work: Workspace, run_id: str, number: int, progress: Progress = silent) -> int:
    """Score one chunk of a run's feature snapshot with the pinned version, and return how many rows.

    Writes the chunk's predictions, their summary and the profile of its columns; writing them again gives the same files.
    """
    run = worked_on(work.warehouse, run_id, work.job.name)
    ledger.require_files(run)
    lake, folder = work.lake, RunFolder(work.lake, run)
    with recorded(work.stores, run_id):
        began = monotonic()
        model = work.registry.load(folder.version_ref(), work.job)
        summary, profile, bins = Summary(), Profile(), model.bins
        parts = []
        for batch in lake.batches(folder.part("features", number), rows=50_000):
            parts.append(model.predict(batch, work.job))
            summary += Summary.of(parts[-1], work.job)
            profile += Profile.of(bins, profiled(batch, parts[-1], work.job), batch.num_rows)
            progress("score", batch.num_rows)
        rows = lake.write(folder.part("predictions", number), prediction_schema(work.job), parts, {})
        folder.write_scored(number, profile, ScoredChunk(rows, summary, monotonic() - began, model.scored_by))
        seen(work.warehouse, run_id, work.clock())
    return rows
