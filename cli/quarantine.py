"""Rows that break their job's contract: those of a run, and those that a night would have."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console, tables
from cli.arguments import JobName, Night, open_job
from scoring.errors import RunMissing
from scoring.interval import parse_night

if TYPE_CHECKING:
    from datetime import date

    from lifecycle.checks import Preview
    from scoring.job import Job
    from scoring.stores import Workspace
    from scoring.stores.warehouse import Run

app = typer.Typer()


@app.command()
def quarantine(
    name: JobName,
    night: Night,
    run_id: Annotated[
        str | None, typer.Option("--run", help="A run; default: the published one, else the last.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows that are shown at most.")] = 20,
    csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, and nothing else.")] = False,
    as_json: tables.Json = False,
) -> None:
    """Show the rows of a night that went to quarantine, with the reasons. Values of sensitive columns are hidden."""
    from scoring.stores import RunFolder, masked_rows

    work = open_job(name)
    run = _run_of(work, parse_night(night), run_id)
    console.OUT.stderr |= csv  # sentences go there, so that standard output holds the rows and nothing else
    batches = RunFolder(work.lake, run).quarantine()
    shown = list(islice((row for batch in batches for row in masked_rows(batch, work.job)), rows))
    count = run.rows_quarantined or 0
    console.OUT.print(
        f"{name} {night}: {count:,} of {run.rows_extracted or 0:,} rows in quarantine, run {run.run_id} ({run.status})",
        soft_wrap=True,
        highlight=False,
    )
    if csv:
        tables.as_csv(
            ["reasons", *work.job.columns], [[row.get(c) for c in ("reasons", *work.job.columns)] for row in shown]
        )
        return
    _print_reasons(run.quarantine_reasons or {}, run.rows_extracted or 0)
    _print_rows(f"{len(shown):,} of {count:,} rows", shown)


def _run_of(work: Workspace, night: date, run_id: str | None) -> Run:
    """Return the run that is asked for: the one with an id, the published one, or the last that was extracted."""
    from scoring.stores.warehouse import ledger

    name = work.job.name
    if run_id is not None:
        run = ledger.get(work.warehouse, run_id, name)
        if run.night != night:
            raise RunMissing(f"run {run_id}", found=f"night {run.night}", expected=f"a run of {night}")
    else:
        runs = [run for run in ledger.runs_of(work.warehouse, name, night) if run.rows_extracted is not None]
        published = ledger.published(work.warehouse, name, night).get(night)
        chosen = next((run for run in runs if run.run_id == published), runs[-1] if runs else None)
        if chosen is None:
            raise RunMissing(
                f"{name} {night}",
                found="no run whose rows were read",
                next_step=f"`nightshift run {name} --night {night}`, or `nightshift check {name} --rows 10000 --night {night}`",
            )
        run = chosen
    ledger.require_files(run)
    return run


def _print_reasons(reasons: dict[str, int], rows: int) -> None:
    lines = [
        (reason, count, tables.share(count / rows if rows else None))
        for reason, count in Counter(reasons).most_common()
    ]
    if lines:
        tables.table("reasons", ("reason", "rows", "share"), lines, key="reasons")


def _print_rows(title: str, rows: list[dict[str, str | None]]) -> None:
    if rows:
        tables.table(title, list(rows[0]), [list(row.values()) for row in rows], key="rows")


def print_preview(preview: Preview, job: Job) -> None:
    """Print what a night would be: its columns, the reasons of its quarantine, and some rows of that."""
    from lifecycle.checks import shown

    read = "all" if preview.whole else "the first"
    sentence = (
        f"night {preview.night}: {read} {preview.rows:,} rows read, {preview.quarantined:,} would go to quarantine"
    )
    console.OUT.print(sentence, highlight=False)
    tables.record(
        "preview", {"job": job.name, "night": preview.night, "rows": preview.rows, "quarantined": preview.quarantined}
    )
    columns = ("column", "type", "null", "unreadable", "different", "values")
    lines = [
        (
            column.name,
            column.type,
            tables.share(column.nulls / column.rows if column.rows else None),
            column.unreadable,
            len(column.levels) or None,
            shown(column),
        )
        for column in preview.columns
    ]
    tables.table(f"columns of {job.name}", columns, lines, key="columns")
    _print_reasons(preview.reasons, preview.rows)
    _print_rows(
        f"{len(preview.examples)} of {preview.quarantined:,} rows that would go to quarantine", preview.examples
    )
    if preview.blind:
        console.OUT.print(
            f"unknown levels of {', '.join(preview.blind)} are not known before the first version", highlight=False
        )
