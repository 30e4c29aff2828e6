"""Files of model versions without an entity's rows. The fitted pipelines stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from lifecycle.erasure.redaction import Redaction
from lifecycle.training import NIGHT, load
from scoring.errors import Permanent, TrainingDataError
from scoring.stores import LABEL_COLUMN, Workspace
from scoring.stores.registry import (
    FACTS,
    GOLDEN_FILE,
    GOLDEN_PREDICTIONS_FILE,
    HOLDOUT_FILE,
    NIGHTS_FILE,
    REFERENCE_FILE,
    VersionRef,
)

STORES = {
    REFERENCE_FILE: "reference samples (model versions)",
    GOLDEN_FILE: "golden rows (model versions)",
    HOLDOUT_FILE: "holdouts (model versions)",
}
TEXTS = "texts in files of model versions"
GOLDEN_ROWS = 32
"""Rows that are taken from the reference sample when no golden row is left."""


def look(work: Workspace, inventory: Inventory) -> None:
    """Count an entity's rows in the files of all versions."""
    for ref in work.registry.versions(work.job.name):
        for name in (REFERENCE_FILE, GOLDEN_FILE):
            table = work.registry.table(ref, name)
            if table is not None and inventory.key.in_columns(table.column_names):
                inventory.add(STORES[name], inventory.look(table.combine_chunks()))
        mask = _of_holdout(work, inventory.key, ref, inventory.notes)
        inventory.add(STORES[HOLDOUT_FILE], 0 if mask is None else int(pc.sum(mask).as_py() or 0))


def compare(work: Workspace, inventory: Inventory) -> None:
    """Learn which of the entity's texts other training rows have too: in the reference sample, or by their number.

    A category that a version counted more often than the rows that are there have it was in rows that nobody keeps any more.
    """
    for ref in work.registry.versions(work.job.name) if inventory.candidates else ():
        table = work.registry.table(ref, REFERENCE_FILE)
        if table is not None:
            inventory.compare(table.combine_chunks())
        snapshot = _snapshot_of(work, ref)
        rows = snapshot if snapshot is not None else table
        for name, counted in _levels(work, ref).items():
            there = _counts(rows.column(name)) if rows is not None and name in rows.column_names else {}
            inventory.share(level for level, number in counted.items() if number > there.get(level, 0))


def _levels(work: Workspace, ref: VersionRef) -> dict[str, dict[str, int]]:
    """Return how often the training rows of a version had each category, by column."""
    content = work.registry.content(ref, NIGHTS_FILE)
    levels = {name: bins.get("levels") or [] for name, bins in content.get("bins", {}).items()}
    sums = {name: dict.fromkeys(of_column, 0) for name, of_column in levels.items() if name in work.job.features}
    for night in content.get("nights", {}).values():
        for name, total in sums.items():
            for level, number in zip(levels[name], night["columns"].get(name, {}).get("bins", ()), strict=False):
                total[level] += number
    return sums


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(column)}


def look_for_texts(work: Workspace, inventory: Inventory, redaction: Redaction) -> None:
    """Count the files of versions with a text of the entity, and say which pipelines hold one."""
    for ref in work.registry.versions(work.job.name):
        inventory.add(TEXTS, len(_redacted(work, ref, redaction)))
        if redaction.texts and redaction.in_bytes(_artifact(work, ref)):
            inventory.notes.append(
                f"the fitted pipeline of version {ref.version} holds a value of the entity, such as a category that it learned; "
                "it stays: train and promote a version without the rows, and remove this one"
            )


def _artifact(work: Workspace, ref: VersionRef) -> bytes:
    files = work.registry.files(ref)
    return files.content(files.artifact)


def redact(work: Workspace, redaction: Redaction, why: str) -> None:
    """Take the texts out of the JSON files and pages of all versions."""
    for ref in work.registry.versions(work.job.name):
        work.registry.settle(ref, why)
        contents = _redacted(work, ref, redaction)
        if contents:
            work.registry.replace(ref, contents, why)


def erase(work: Workspace, key: EntityKey, why: str) -> None:
    """Remove an entity's rows from the files of all versions, and record what these files are now."""
    for ref in work.registry.versions(work.job.name):
        contents = {**_reference(work, key, ref), **_golden(work, key, ref), **_holdout(work, key, ref)}
        if contents:
            work.registry.replace(ref, contents, why)


def _redacted(work: Workspace, ref: VersionRef, redaction: Redaction) -> dict[str, bytes]:
    """Return the files with text that are others without the texts."""
    files = work.registry.files(ref)
    changed: dict[str, bytes] = {}
    for name in sorted(_names(files.folder) if redaction.texts else ()):
        if name.endswith((".json", ".html")) and files.has(name):
            text = files.content(name).decode()
            new = _json(name, text, redaction) if name.endswith(".json") else redaction.page(text)
            changed |= {name: new.encode()} if new != text else {}
    return changed


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _json(name: str, text: str, redaction: Redaction) -> str:
    """Return the text of a JSON file without the texts: the very same one when none is in it.

    What the job file declared stays: it is no row's, and a version is held against it.
    """
    values = json.loads(text)
    new = redaction.value(values)
    if name == FACTS and "declaration" in values:
        new["declaration"] = values["declaration"]
    return text if new == values else json.dumps(new)


def _reference(work: Workspace, key: EntityKey, ref: VersionRef) -> dict[str, bytes]:
    table = work.registry.table(ref, REFERENCE_FILE)
    if table is None or not key.in_columns(table.column_names):
        return {}
    left = table.filter(pc.invert(key.rows(table)))
    return {} if left.num_rows == table.num_rows else {REFERENCE_FILE: _parquet(left)}


def _golden(work: Workspace, key: EntityKey, ref: VersionRef) -> dict[str, bytes]:
    """Return the golden rows that are not the entity's with their predictions, or others when none is left."""
    rows, predictions = (work.registry.table(ref, name) for name in (GOLDEN_FILE, GOLDEN_PREDICTIONS_FILE))
    if rows is None or predictions is None or not key.in_columns(rows.column_names):
        return {}
    others = pc.invert(key.rows(rows))
    if pc.all(others).as_py():
        return {}
    if pc.any(others).as_py():
        return _golden_files(rows.filter(others), predictions.filter(others))
    reference = work.registry.table(ref, REFERENCE_FILE)
    left = None if reference is None else reference.filter(pc.invert(key.rows(reference))).slice(0, GOLDEN_ROWS)
    if left is None or not left.num_rows:
        raise Permanent(
            f"golden rows of version {ref.version} of {ref.job}",
            found="rows of the entity only, and no other row in the reference sample",
            expected="a row that can stay, without which the version cannot be loaded",
            next_step="train another version, and remove this one",
        )
    batch = left.select(rows.column_names).cast(rows.schema).combine_chunks().to_batches()[0]
    made = work.registry.load(ref, work.job).predict(batch, work.job)
    return _golden_files(pa.Table.from_batches([batch]), pa.Table.from_batches([made]))


def _golden_files(rows: pa.Table, predictions: pa.Table) -> dict[str, bytes]:
    return {GOLDEN_FILE: _parquet(rows), GOLDEN_PREDICTIONS_FILE: _parquet(predictions)}


def _holdout(work: Workspace, key: EntityKey, ref: VersionRef) -> dict[str, bytes]:
    mask, table = _of_holdout(work, key, ref, []), work.registry.table(ref, HOLDOUT_FILE)
    if mask is None or table is None or not pc.any(mask).as_py():
        return {}
    return {HOLDOUT_FILE: _parquet(table.filter(pc.invert(mask)))}


def _of_holdout(work: Workspace, key: EntityKey, ref: VersionRef, notes: list[str]) -> pa.Array | None:
    """Return which rows of a holdout are the entity's, or None where they are gone or cannot be told.

    A holdout has night, outcome and prediction of each row, and no key: its rows are those of the snapshot, in order.
    """
    holdout, rows = work.registry.table(ref, HOLDOUT_FILE), _snapshot_of(work, ref)
    if holdout is None or not holdout.num_rows:
        return None
    if rows is None:
        notes.append(
            f"the holdout of version {ref.version} has night, outcome and prediction of each row and no key; the snapshot "
            "that tells whose row it is, is gone: its rows stay"
        )
        return None
    rows = rows.filter(pc.is_valid(rows.column(LABEL_COLUMN)))
    rows = rows.filter(pc.greater_equal(rows.column(NIGHT), pc.min(holdout.column("night")))).combine_chunks()
    same = rows.num_rows == holdout.num_rows and holdout.column("outcome").equals(rows.column(LABEL_COLUMN))
    return key.rows(rows) if same else None


def _snapshot_of(work: Workspace, ref: VersionRef) -> pa.Table | None:
    """Return the rows that a version was trained on, or None when they are gone."""
    digest = work.registry.facts(ref).snapshot
    try:
        return load(work, digest if isinstance(digest, str) else "none").rows.table
    except TrainingDataError:
        return None


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
