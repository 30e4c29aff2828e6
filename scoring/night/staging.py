"""A shared night's rows in a table of its source: made once, dropped at the end."""

from __future__ import annotations

from contextlib import suppress

from scoring.errors import SourceUnavailable
from scoring.interval import DataInterval
from scoring.stores import RunFolder, Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.source import Query, Stage, StagePlace, drop_stage, stage_rows, stages_in
from scoring.stores.warehouse import Run, at_work, ledger


def stage_night(work: Workspace, folder: RunFolder, ref: VersionRef) -> Stage | None:
    """Run the job's SQL once into a table of its source, pin the run to it, and return the table, or None.

    None where the settings name no schema for the source's tables. A table in which a key comes twice is dropped again:
    the night's rows must then be read in the order of their keys. Tables of older attempts at the night are dropped too.
    """
    schema = work.settings.staging.get(work.job.source)
    if schema is None:
        return None
    run = folder.run
    for place, other in left_stages(work):
        if other.night == run.night and other.run_id != run.run_id and over(work, other):
            with suppress(SourceUnavailable):  # somebody still reads it: retention comes back to it
                drop_stage(*_source(work), place)
    place = StagePlace.of(schema, run.run_id)
    drop_stage(*_source(work), place)
    interval = DataInterval(run.interval_start, run.interval_end, run.night)
    stage = stage_rows(*_source(work), interval, place)
    if stage.repeated_keys:
        drop_stage(*_source(work), place)
    else:
        folder.write_pin(ref, work.job, stage)
    return stage


def chunks_of(stage: Stage, chunk_rows: int, shards: int) -> int:
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
