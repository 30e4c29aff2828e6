"""The reasons of a run's predictions on their way to analysts: into the table, and into the lake's object of the night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow as pa

from scoring.errors import LakeFileBroken, LakeFileMissing, LakeRefused, LakeUnavailable, ReconciliationError
from scoring.job import Job
from scoring.rows.reasons import reasons_schema
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import Run, count_reasons, ensure_job, ledger, load_reasons, stamped


def load_run_reasons(work: Workspace, run: Run) -> None:
    """Load the reasons of a scored run, all of them or none, invisibly. Nothing is done for a job without reasons.

    Raises ``ReconciliationError`` unless the table has as many rows as scoring wrote.
    """
    if work.job.reasons is None or not has_reasons(work, run):
        return
    ensure_job(work.warehouse, work.job)
    folder, schema = RunFolder(work.lake, run), reasons_schema(work.job)
    rows = load_reasons(work.warehouse, work.job, run, folder.reasons(schema), schema)
    written = sum(chunk.reasons or 0 for chunk in folder.scored())
    if rows != written:
        raise ReconciliationError(
            f"reasons of run {run.run_id}",
            found=f"{written} written, {rows} loaded",
            expected="as many rows loaded as written",
            next_step="run the night again; nothing was published",
        )


def reasons_problem(work: Workspace, run: Run) -> str | None:
    """Return what is wrong with the reasons of a published run, in the table or on the lake, or None."""
    if work.job.reasons is None:
        return None
    try:
        if not has_reasons(work, run):
            return None
        written = sum(chunk.reasons or 0 for chunk in RunFolder(work.lake, run).scored())
        facts = work.lake.facts(reasons_object(work, run.night))
    except (LakeFileBroken, LakeFileMissing, LakeRefused, LakeUnavailable) as error:
        return f"the reasons cannot be read: {error}"
    loaded = count_reasons(work.warehouse, work.job, run)
    if loaded != written:
        return f"the table has {loaded} rows of reasons of run {run.run_id}, {written} were written"
    return _problem_on_lake(run, facts, written)


def _problem_on_lake(run: Run, facts: dict[str, str] | None, written: int) -> str | None:
    if facts is None:
        return "no lake object of the reasons"
    if (facts.get("run_id"), facts["rows"]) != (run.run_id, str(written)):
        return f"the lake's reasons are {facts['rows']} of run {facts.get('run_id')}, not {written} of {run.run_id}"
    return None


def has_reasons(work: Workspace, run: Run) -> bool:
    """Return whether a run was scored with reasons."""
    chunks = RunFolder(work.lake, run).scored()
    return bool(chunks) and all(chunk.reasons is not None for chunk in chunks)


def current_reasons(work: Workspace, night: date, run_id: str | None, anew: bool) -> None:
    """Write the lake's object of a night's reasons for its published run, or remove it where there are none.

    The caller holds the night's lock. An object of the published run stays as it is, unless ``anew``.
    """
    path = reasons_object(work, night)
    if run_id is not None and not anew and run_of(work, path) == run_id:
        return
    run = ledger.get(work.warehouse, run_id) if run_id is not None else None
    if run is None or work.job.reasons is None or not has_reasons(work, run):
        work.lake.remove(path)
        return
    facts = {"job": run.job, "night": str(run.night), "run_id": run.run_id, "model_version": str(run.model_version)}
    empty = pa.RecordBatch.from_pylist([], reasons_schema(work.job))
    work.lake.write(path, _shown(empty, work.job, run).schema, _rows(work, run), facts)


def reasons_object(work: Workspace, night: date) -> str:
    """Return the path of the one object that holds the reasons of a night's published predictions."""
    return work.lake.below(f"reasons/{work.job.name}/night={night}/reasons.parquet")


def run_of(work: Workspace, path: str) -> str | None:
    """Return the run id in a lake object's metadata, or None if there is no object, or it cannot be read."""
    try:
        return (work.lake.facts(path) or {}).get("run_id")
    except (LakeFileBroken, LakeFileMissing):
        return None


def _rows(work: Workspace, run: Run) -> Iterator[pa.RecordBatch]:
    for batch in RunFolder(work.lake, run).reasons(reasons_schema(work.job)):
        yield _shown(batch, work.job, run)


def _shown(batch: pa.RecordBatch, job: Job, run: Run) -> pa.RecordBatch:
    """Return reasons with the columns of the analysts' view."""
    constants = {
        "night": pa.scalar(run.night, pa.date32()),
        "model_version": pa.scalar(run.model_version, pa.int32()),
        "run_id": pa.scalar(run.run_id, pa.string()),
        "scored_at": pa.scalar(run.started_at, pa.timestamp("us", "UTC")),
    }
    names = reasons_schema(job).names[len(job.key) :]
    return stamped(batch, constants, [*job.key, "night", *names, "model_version", "run_id", "scored_at"])
