"""Scores one chunk: features from the lake, predictions and their profile to the lake."""

from __future__ import annotations

from time import monotonic

from scoring.job import Job
from scoring.night.recording import recorded
from scoring.progress import Progress, silent
from scoring.rows import Profile, Summary, predict, prediction_schema, profiled
from scoring.stores import Stores
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import ledger, seen, worked_on


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
