"""Training snapshots: the rows of a window as they were read, kept by the hash of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.training.rows import Rows, read_rows
from scoring.errors import NightNotOver, TrainingDataError
from scoring.interval import Nights
from scoring.job import Job
from scoring.progress import Progress, silent
from scoring.rows import RowsDigest
from scoring.stores import SNAPSHOT_FACTS, SNAPSHOT_ROWS, Stores, Workspace

THEN = "then"
"""What ``snapshot.json`` says beforehand of the rows that an erasure is about to leave."""


@dataclass(frozen=True)
class Snapshot:
    """The rows of a window, and the hash that names them: the same window with the same rows has the same hash."""

    hash: str
    window: Nights
    rows: Rows


def take(work: Workspace, window: Nights, progress: Progress = silent) -> Snapshot:
    """Read the window's rows, keep them, and return them.

    Rows that were kept before are not written again, unless some were erased and the source gives them still. Raises
    ``TrainingDataError`` when more of the rows than ``training.max_quarantine_share`` break the contract: broken data are
    never trained on; and ``NightNotOver`` for a window with a night whose labels are not known yet.
    """
    _refuse_unfinished(work, window)
    progress("read", 0)
    rows = read_rows(work, window, progress)
    _refuse_broken(work.job, window, rows)
    snapshot = Snapshot(_hash_of(window, rows), window, rows)
    folder = work.lake.snapshot_folder(work.job.name, snapshot.hash)
    if not work.lake.exists(f"{folder}/{SNAPSHOT_FACTS}") or "rows_hash" in work.lake.read_json(
        f"{folder}/{SNAPSHOT_FACTS}"
    ):
        work.lake.write(f"{folder}/{SNAPSHOT_ROWS}", rows.table.schema, rows.table.to_batches(), {})
        work.lake.write_json(f"{folder}/{SNAPSHOT_FACTS}", _facts(work.stores, snapshot))
    return snapshot


def _refuse_unfinished(work: Workspace, window: Nights) -> None:
    delay = work.job.label.delay_days
    matures = window.last + timedelta(days=delay)
    if not work.stores.over(work.job, matures):
        ended = work.stores.over(work.job, window.last)
        late = f"whose labels count from the end of night {matures} on (label.delay_days is {delay})"
        raise NightNotOver.at(
            f"training of {work.job.name} on nights before {window.until}",
            work.stores.end_of(work.job, matures if ended else window.last),
            found=f"night {window.last}, {late if ended else 'which has not ended'}",
            next_step="train with an earlier --until",
        )


def load(work: Workspace, digest: str) -> Snapshot:
    """Return the snapshot that was kept under a hash. Raises ``TrainingDataError`` when it is gone, or is another."""
    folder = work.lake.snapshot_folder(work.job.name, digest)
    if not work.lake.exists(f"{folder}/{SNAPSHOT_FACTS}"):
        raise TrainingDataError(
            f"snapshot {digest} of {work.job.name}", found="no files", next_step="start the retraining again"
        )
    facts = work.lake.read_json(f"{folder}/{SNAPSHOT_FACTS}")
    table, unreadable = work.lake.table(f"{folder}/{SNAPSHOT_ROWS}"), facts.get("unreadable_labels", 0)
    window = Nights(*(date.fromisoformat(facts[name]) for name in ("since", "until")))
    states = [{**facts, "rows_hash": facts.get("rows_hash", digest)}, *([facts[THEN]] if THEN in facts else [])]
    actual = []
    for state in states:
        rows = Rows(table, state["extracted"], facts["reasons"], unreadable)
        actual.append(_hash_of(window, rows))
        if actual[-1] == state["rows_hash"]:
            return Snapshot(digest, window, rows)
    raise TrainingDataError(
        f"snapshot {digest} of {work.job.name}",
        found=f"rows with hash {actual[0]}",
        next_step=f"remove {folder} and start again",
    )


def erase_rows(work: Workspace, digest: str, chosen: Callable[[pa.Table], pa.ChunkedArray]) -> int:
    """Remove the chosen rows from a snapshot, and return how many went. Killed anywhere, it can be repeated.

    The snapshot keeps the hash that names it, and says what the hash of its rows is now: beforehand as what it will be.
    """
    folder, snapshot = work.lake.snapshot_folder(work.job.name, digest), load(work, digest)
    place, rows = f"{folder}/{SNAPSHOT_FACTS}", snapshot.rows
    facts = {name: value for name, value in work.lake.read_json(place).items() if name != THEN}
    left = rows.table.filter(pc.invert(chosen(rows.table)))
    gone = int(rows.table.num_rows - left.num_rows)
    after = Rows(left, rows.extracted - gone, rows.reasons, rows.unreadable_labels)
    state = {"extracted": after.extracted, "rows": left.num_rows, "rows_hash": _hash_of(snapshot.window, after)}
    if gone:
        work.lake.write_json(place, {**facts, THEN: state})
        work.lake.write(f"{folder}/{SNAPSHOT_ROWS}", left.schema, left.to_batches(), {})
    if gone or THEN in work.lake.read_json(place):
        work.lake.write_json(place, {**facts, **state})
    return gone


def _facts(stores: Stores, snapshot: Snapshot) -> dict[str, Any]:
    rows = snapshot.rows
    return {
        "hash": snapshot.hash,
        "since": str(snapshot.window.first),
        "until": str(snapshot.window.until),
        "extracted": rows.extracted,
        "reasons": rows.reasons,
        "rows": rows.table.num_rows,
        "unreadable_labels": rows.unreadable_labels,
        "created_at": stores.clock().isoformat(),
    }


def _hash_of(window: Nights, rows: Rows) -> str:
    digest = RowsDigest()
    for batch in rows.table.to_batches():
        digest.add(batch)
    kinds = [str(kind) for kind in rows.table.schema.types]
    text = repr((str(window.first), str(window.until), digest.hexdigest(), kinds, rows.extracted))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse_broken(job: Job, window: Nights, rows: Rows) -> None:
    broken = rows.extracted - rows.table.num_rows
    share = broken / rows.extracted if rows.extracted else 0.0
    if share <= job.training.max_quarantine_share:
        return
    worst = sorted(rows.reasons.items(), key=lambda item: -item[1])[:3]
    reasons = ", ".join(f"{reason}: {count}" for reason, count in worst)
    raise TrainingDataError(
        f"training {job.name} on {window.first} to {window.until}",
        found=f"{broken} of {rows.extracted} rows ({share:.1%}) in quarantine ({reasons})",
        expected=f"at most training.max_quarantine_share, {job.training.max_quarantine_share:.1%}",
        next_step="repair the source; nothing was trained",
    )
