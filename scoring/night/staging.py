"""A shared night's rows where its tasks read them: in files of the source, or in a table made once and dropped at the end."""

from __future__ import annotations

from contextlib import suppress

from scoring.errors import SourceUnavailable
from scoring.interval import DataInterval
from scoring.stores import RunFolder, Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.source import AnyStage, Query, Stage, StagePlace, drop_stage, slice_files, stage_rows, stages_in
from scoring.stores.warehouse import Run, at_work, ledger


def stage_night(work: Workspace, folder: RunFolder, ref: VersionRef) -> AnyStage | None:
    """Find where tasks can read the night's rows side by side, pin the run to it, and return it, or None.

    That is a table, into which the job's SQL is run once where the settings name a schema for it, or the source's files.
    Where a key comes twice the run is not pinned: its rows must be read in the order of their keys.
    """
    run = folder.run
    interval = DataInterval(run.interval_start, run.interval_end, run.night)
    schema = work.settings.staging.get(work.job.source)
    stage = _files(work, interval) if schema is None else _table(work, run, interval, schema)
    if stage is not None and not stage.repeated_keys:
        folder.write_pin(ref, work.job, stage, work.stores.features_query(work.job).text)
    return stage


def _files(work: Workspace, interval: DataInterval) -> AnyStage | None:
    """Return the night's rows in the files of the source, where it has files and the job's SQL takes each row by itself."""
    return slice_files(*_source(work), interval, work.job.chunk_rows)


def _table(work: Workspace, run: Run, interval: DataInterval, schema: str) -> Stage:
    """Return a table with the night's rows, dropped again if a key comes twice. Those of older attempts are dropped too."""
    for place, other in left_stages(work):
        if other.night == run.night and other.run_id != run.run_id and over(work, other):
            with suppress(SourceUnavailable):  # somebody still reads it: retention comes back to it
                drop_stage(*_source(work), place)
    place = StagePlace.of(schema, run.run_id)
    drop_stage(*_source(work), place)
    stage = stage_rows(*_source(work), interval, place)
    if stage.repeated_keys:
        drop_stage(*_source(work), place)
    return stage


def chunks_of(stage: AnyStage, chunk_rows: int, shards: int) -> int:
    """Return how many chunks a staged night has: of at most about ``chunk_rows`` rows, one for each shard at least."""
    return min(stage.blocks, max(-(-stage.rows // chunk_rows), shards))


def unstage(work: Workspace, run: Run) -> None:
    """Drop the table of a run, if there is one."""
    schema = work.settings.staging.get(work.job.source)
    if schema is not None:
        drop_stage(*_source(work), StagePlace.of(schema, run.run_id))


def left_stages(work: Workspace) -> list[tuple[StagePlace, Run]]:
    """Return the tables with rows of the job's runs that there are, each with its run."""
    schema = work.settings.staging.get(work.job.source)
    if schema is None:
        return []
    places = {place.run_id: place for place in stages_in(*_source(work), schema)}
    runs = ledger.with_ids(work.warehouse, work.job.name, list(places))
    return [(places[run.run_id], run) for run in runs]


def over(work: Workspace, run: Run) -> bool:
    """Return whether a run has ended and nobody works on it."""
    return run.status != "running" and not at_work(work.warehouse, run.run_id)


def _source(work: Workspace) -> tuple[str, Query]:
    return work.stores.source_url(work.job), work.stores.features_query(work.job)
