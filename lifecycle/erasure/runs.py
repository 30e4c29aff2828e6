"""Runs without an entity's rows: their files, their rows in the warehouse, and what the ledger says of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa

from lifecycle.erasure.files import batches_of, erase, leftovers, name_of, rows_in
from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from scoring.night import left_stages, reasons_object, refresh_lake, unstage
from scoring.rows import Profile, RowsDigest, Summary, bins_from, merged, profiled
from scoring.stores import Lake, RunFolder, Workspace
from scoring.stores.registry import NIGHTS_FILE
from scoring.stores.warehouse import Run, erasures, ledger

STORES = {
    "features": "rows of runs (lake)",
    "predictions": "predictions of runs (lake)",
    "quarantine": "quarantine (lake)",
    "shadow": "predictions in the shadow (lake)",
    "reasons": "reasons of predictions (lake)",
}
HISTORY, SHADOW, CURRENT = "prediction history (table)", "predictions in the shadow (table)", "published nights (lake)"
REASONS, CURRENT_REASONS = "reasons of predictions (table)", "reasons of published nights (lake)"
STAGED = "tables with rows of shared nights, dropped whole (source)"


def look(work: Workspace, inventory: Inventory) -> dict[str, str]:
    """Count an entity's rows in all runs and published nights. Return the folders of the runs that have some, by id.

    A run whose rows are in the warehouse alone has an empty folder.
    """
    touched: dict[str, str] = {}
    for run_id, folder in work.lake.run_folders(work.job.name).items():
        for path in _tables(work, folder):
            rows = rows_in(work.lake, path, inventory)
            inventory.add(STORES[name_of(path).partition("-")[0]], rows)
            if rows:
                touched[run_id] = folder
    stored_rows = erasures.stored_rows(work.warehouse, work.job, inventory.key.values)
    numbers = {
        run.run_number: run.run_id for run in ledger.of_job(work.warehouse, work.job.name)
    }  # every run that has rows
    for stored in stored_rows:
        inventory.add(HISTORY, stored.history)
        inventory.add(SHADOW, stored.shadow)
        inventory.add(REASONS, stored.reasons)
        touched.setdefault(numbers[stored.run_number], "")
    for _ in left_stages(work):
        inventory.add(STAGED, 1)
    for night in work.lake.nights(work.job.name):
        inventory.add(CURRENT, rows_in(work.lake, work.lake.current(work.job.name, night), inventory))
        inventory.add(CURRENT_REASONS, rows_in(work.lake, reasons_object(work, night), inventory))
    return touched


def compare(work: Workspace, inventory: Inventory) -> None:
    """Learn which of the entity's texts other rows of runs have too."""
    for folder in work.lake.run_folders(work.job.name).values():
        for path in _tables(work, folder):
            if inventory.candidates and name_of(path).startswith(("features-", "quarantine-")):
                for batch in batches_of(work.lake, path):
                    inventory.compare(batch)


def _tables(work: Workspace, folder: str) -> Iterator[str]:
    """Yield the files of a run's folder that hold rows."""
    for path in work.lake.files(folder):
        if path.endswith(".parquet") and name_of(path).partition("-")[0] in STORES:
            yield path


def erase_run(work: Workspace, key: EntityKey, erasure_id: int, run: Run) -> None:
    """Remove an entity's rows from a run, so that files, tables and ledger agree. Killed anywhere, it can be repeated."""
    erasures.begin_run(work.warehouse, erasure_id, run)
    folder = RunFolder(work.lake, run)
    for path in leftovers(work.lake, folder.path):
        work.lake.remove(path)
    for path in _tables(work, folder.path):
        erase(work.lake, path, key)
        if name_of(path).startswith("quarantine-") and (work.lake.facts(path) or {}).get("rows") == "0":
            work.lake.remove(path)
    settle(work, key, erasure_id, run)


def erase_strays(work: Workspace, key: EntityKey) -> None:
    """Remove an entity's rows from folders without a run in the ledger, tables in the source, and objects of nights."""
    for _, run in left_stages(work):
        unstage(work, run)
    for folder in work.lake.run_folders(work.job.name).values():
        for path in _tables(work, folder):
            erase(work.lake, path, key)
    for night in work.lake.nights(work.job.name):
        for path in _objects(work, night):
            for left in leftovers(work.lake, str(PurePosixPath(path).parent)):
                work.lake.remove(left)
            erase(work.lake, path, key)


def settle(work: Workspace, key: EntityKey, erasure_id: int, run: Run) -> None:
    """Make the ledger, the tables, the profile and the night's object of a run say what its files hold now."""
    folder = RunFolder(work.lake, run)
    for number in folder.chunks:
        _summarise(work, folder, number)
    facts, profile = _facts(folder), _profile(folder)
    erasures.settle_run(work.warehouse, work.job, run, key.values, facts, profile)
    if ledger.published(work.warehouse, work.job.name, run.night).get(run.night) == run.run_id:
        if _has_all(folder, "predictions"):
            refresh_lake(work, run.night, anew=True)
        else:
            for path in _objects(work, run.night):
                erase(work.lake, path, key)
    erasures.end_run(work.warehouse, erasure_id, run, work.clock())


def _objects(work: Workspace, night: date) -> list[str]:
    """Return the objects of a night that there are: of its predictions, and of their reasons."""
    paths = (work.lake.current(work.job.name, night), reasons_object(work, night))
    return [path for path in paths if work.lake.exists(path)]


def _summarise(work: Workspace, folder: RunFolder, number: int) -> None:
    """Write summary and profile of a chunk anew if they are of more rows than it has."""
    paths = [folder.part("features", number), folder.part("predictions", number), folder.summary(number)]
    if not all(folder.lake.exists(path) for path in paths):
        return
    (before,) = folder.scored([number])
    features, predictions = (folder.lake.table(path).combine_chunks() for path in paths[:2])
    if before.rows == predictions.num_rows == features.num_rows:
        return
    bins = bins_from(work.registry.content(folder.version_ref(), NIGHTS_FILE).get("bins", {}))
    summary = Summary.of(predictions, work.job)
    profile = Profile.of(bins, _columns(features, predictions, work), features.num_rows) if len(features) else Profile()
    rows = predictions.num_rows
    reasons = None if before.reasons is None else _rows_of(folder.lake, folder.part("reasons", number))
    folder.write_scored(number, profile, replace(before, rows=rows, summary=summary, reasons=reasons))


def _rows_of(lake: Lake, path: str) -> int:
    return int((lake.facts(path) or {"rows": "0"})["rows"])


def _columns(features: pa.Table, predictions: pa.Table, work: Workspace) -> dict[str, Any]:
    columns = profiled(features, predictions, work.job)
    return {
        name: column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        for name, column in columns.items()
    }


def _profile(folder: RunFolder) -> dict[str, Any] | None:
    """Return the profile of a run's rows, or None if not every chunk has one."""
    return merged(folder.profiles()).as_dict() if folder.chunks and not folder.unprofiled() else None


def _facts(folder: RunFolder) -> dict[str, Any]:
    """Return the columns of the ledger that follow from a run's files, of those that it had."""
    run, facts = folder.run, dict[str, Any]()
    if run.rows_extracted is not None and _has_all(folder, "features"):
        paths = [folder.part("features", number) for number in folder.chunks]
        rows, snapshot_hash = _digest(batch for path in paths for batch in folder.lake.batches(path))
        reasons = Counter(_reasons(folder.quarantine()))
        quarantined = sum(batch.num_rows for batch in folder.quarantine())
        facts |= {"rows_extracted": rows + quarantined, "rows_quarantined": quarantined}
        facts |= {"quarantine_reasons": dict(reasons), "snapshot_hash": snapshot_hash}
        facts |= (
            {} if run.status in ("published", "superseded") else {"shards": None}
        )  # its rows are loaded anew, by one
    if run.rows_scored is not None and _has_all(folder, "predictions"):
        facts["rows_scored"], facts["predictions_hash"] = _digest(folder.predictions())
    return facts


def _has_all(folder: RunFolder, part: Literal["features", "predictions"]) -> bool:
    """Return whether every chunk of a run has a part on the lake."""
    paths = [folder.part(part, number) for number in folder.chunks]
    return bool(paths) and all(folder.lake.exists(path) for path in paths)


def _reasons(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    for batch in batches:
        yield from (reason for reasons in batch.column("reasons").to_pylist() for reason in reasons)


def _digest(batches: Iterator[pa.RecordBatch]) -> tuple[int, str]:
    """Return how many rows there are, and their hash."""
    digest, rows = RowsDigest(), 0
    for batch in batches:
        digest.add(batch)
        rows += batch.num_rows
    return rows, digest.hexdigest()
