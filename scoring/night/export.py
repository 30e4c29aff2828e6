"""Published predictions of several nights in one file, for people who read neither warehouse nor lake."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scoring.errors import Permanent, RunMissing
from scoring.interval import Nights
from scoring.names import plain
from scoring.night.shown import rows_schema, shown_rows
from scoring.private_files import open_like_its_folder
from scoring.progress import Progress, silent
from scoring.stores import Workspace
from scoring.stores.warehouse import Run, Span, ledger, overview

Format = Literal["parquet", "csv"]
GROUP_ROWS = 100_000
"""Rows of a row group of a Parquet file, at least: so many are in memory at a time."""
KEPT_FEWER = "which keep_nights keeps"
"""How the reason ends that retention records of a night that it takes back."""
END_OF_LINE = "\r\n"
"""As RFC 4180 has it."""


@dataclass(frozen=True)
class Published:
    """The published runs of a range of nights, read at one moment, and the nights that have none."""

    runs: list[Run]
    missing: list[date]
    """Nights without a publication, but for those skipped for want of rows."""
    taken_back: list[date]
    """Those of the missing that retention took back, since the job keeps fewer nights."""


def published_runs(work: Workspace, nights: Nights) -> Published:
    """Return the runs that a range of nights shows now. Raises ``RunMissing`` when none of them is published.

    What is published later does not change what is exported of them: a run's files stay as they are.
    """
    pointers = ledger.published(work.warehouse, work.job.name)
    runs = [ledger.get(work.warehouse, pointers[night]) for night in nights if night in pointers]
    tried = overview.nights(work.warehouse, Span(work.job.name, nights))
    skipped = {row.night for row in tried if row.newest_status == "skipped"}
    expected = nights.in_timezone(work.job.schedule.timezone)
    if not runs:
        raise RunMissing(
            f"export of {work.job.name}",
            found=f"no published night from {nights}",
            expected="at least one",
            next_step=f"nightshift run {work.job.name} --missing",
        )
    missing = [night for night in expected if night not in pointers and night not in skipped]
    withdrawn = [row for row in tried if row.status == "unpublished" and row.night in missing]
    reasons = {row.night: ledger.get(work.warehouse, row.run_id).reason or "" for row in withdrawn}
    return Published(runs, missing, [night for night, reason in reasons.items() if reason.endswith(KEPT_FEWER)])


def export_file(
    work: Workspace, runs: list[Run], path: Path, kind: Format, force: bool = False, progress: Progress = silent
) -> int:
    """Write the rows of published runs to a file that appears whole or not at all, and return how many there are.

    Raises ``Permanent`` when the file exists, unless ``force``, and when it cannot be written.
    """
    with _appearing(path, force) as part:
        if kind == "csv":
            with part.open("w", encoding="utf-8", newline="") as stream:
                return export_csv(work, runs, stream, progress)
        return _write_parquet(work, runs, part, progress)


def export_csv(work: Workspace, runs: list[Run], stream: TextIO, progress: Progress = silent) -> int:
    """Write the rows of published runs as CSV (RFC 4180), with a header and times in UTC, and return how many there are."""
    rows = 0
    stream.write(",".join(_schema(work, runs).names) + END_OF_LINE)  # plain names, which need no quotes
    for batch in _rows(work, runs, progress):
        cells = [_in_csv(column) for column in batch.columns]
        lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace")  # a null is nothing between commas
        stream.write(END_OF_LINE.join([*lines.to_pylist(), ""]))
        rows += batch.num_rows
    return rows


def _write_parquet(work: Workspace, runs: list[Run], path: Path, progress: Progress) -> int:
    schema, rows = _schema(work, runs), 0
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for group in _grouped(_rows(work, runs, progress)):
            writer.write_table(pa.Table.from_batches(group, schema))
            rows += sum(batch.num_rows for batch in group)
    return rows


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield batches together until they have the rows of a row group: nights and chunks may be small."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(part.num_rows for part in group) >= GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _rows(work: Workspace, runs: list[Run], progress: Progress) -> Iterator[pa.RecordBatch]:
    order = _order(work)
    for run in runs:
        for batch in shown_rows(work, run, work.job.interval is not None):
            yield batch.select(order).rename_columns([plain(name) for name in order])
            progress("export", batch.num_rows)


def _schema(work: Workspace, runs: list[Run]) -> pa.Schema:
    schema = rows_schema(work.job, runs[0], work.job.interval is not None)
    return pa.schema([schema.field(name).with_name(plain(name)) for name in _order(work)])


def _order(work: Workspace) -> list[str]:
    """Return the columns: night, keys, prediction, what made it, and the ends of its interval."""
    made = ("model_version", "run_id", "scored_at")
    return ["night", *work.job.key, *work.job.prediction_columns, *made, *work.job.interval_columns]


def _in_csv(column: pa.Array) -> pa.Array:
    """Return a column as CSV has it: times and days as ISO 8601, bools as true and false, text in quotes if it needs them."""
    text = pc.cast(column, pa.string())
    if pa.types.is_timestamp(column.type):  # all are in UTC
        return pc.replace_substring(pc.replace_substring(text, " ", "T"), "Z", "+00:00")
    if not pa.types.is_string(column.type):
        return text
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(text, '[",\r\n]'), quoted, text)


@contextmanager
def _appearing(path: Path, force: bool) -> Iterator[Path]:
    """Give a file to write beside ``path``, and move it there afterwards. On an error nothing appears."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    _refuse_existing(path, force)
    try:
        with part.open("xb"):
            pass
        yield part
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        _refuse_existing(path, force)  # which somebody may have made meanwhile
        open_like_its_folder(part)
        part.replace(path)
    except OSError as error:
        raise Permanent(f"file {path}", found=str(error), expected="a file that can be written") from error
    finally:
        part.unlink(missing_ok=True)


def _refuse_existing(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise Permanent(f"file {path}", found="it is there", expected="a new file", next_step="--force replaces it")
