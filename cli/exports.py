"""Published predictions as a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import console
from cli.arguments import JobName, open_job
from scoring.errors import Permanent
from scoring.interval import Nights, parse_night, spans

app = typer.Typer()
FORMATS = ("parquet", "csv")
STANDARD_OUTPUT = "-"


@app.command("export")
def export_nights(
    name: JobName,
    *,
    first: Annotated[str, typer.Option("--from", help="First night.")],
    last: Annotated[str, typer.Option("--to", help="Last night; it is one of them.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="parquet or csv; default: as --output ends, or parquet.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="The file; - is standard output, for csv. Default: JOB_FROM_TO and the format.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the published predictions of a range of nights to one file: night, keys, prediction, version and run.

    The nights are those of one moment, each whole, whatever is published meanwhile, and the file appears whole or not at
    all. Exit code 1 if a night of the range is missing: the others are in the file, and the message names it. Nights that
    were skipped for want of rows are not missing.
    """
    from scoring.night import export_csv, export_file, published_runs

    kind = kind or _format_of(output)
    if kind not in FORMATS:
        raise typer.BadParameter(f"--format: found {kind!r}, expected one of {', '.join(FORMATS)}")
    if output == STANDARD_OUTPUT and kind != "csv":
        raise typer.BadParameter("--output -: standard output is for --format csv")
    nights = Nights.including(parse_night(first), parse_night(last)).require("nights")
    work = open_job(name)
    published = published_runs(work, nights)
    path = output or f"{name}_{nights.first}_{nights.last}.{kind}"
    with console.progress(f"export {name}") as progress:
        if path == STANDARD_OUTPUT:
            try:
                rows = export_csv(work, published.runs, sys.stdout, progress)
                sys.stdout.flush()
            except BrokenPipeError:  # who reads it has enough, such as `head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
        else:
            rows = export_file(work, published.runs, Path(path), "csv" if kind == "csv" else "parquet", force, progress)
    console.ERR.print(f"{path}: {rows:,} rows of {len(published.runs)} nights", highlight=False)
    provisional = [run.night for run in published.runs if run.provisional]
    if provisional:
        console.ERR.print(f"scored before they were over: {', '.join(spans(provisional))}", highlight=False)
    if published.missing:
        console.ERR.print(f"not published, and missing: {', '.join(spans(published.missing))}", style="red")
        if published.taken_back:
            console.ERR.print(f"of them keep_nights took back: {', '.join(spans(published.taken_back))}", style="red")
        raise typer.Exit(1)


def _format_of(output: str | None) -> str:
    """Return the format that a file's name ends in. Raises ``Permanent`` for the ending of another format."""
    if output == STANDARD_OUTPUT:
        return "csv"
    ending = Path(output or "").suffix.lower()
    if ending and ending[1:] not in FORMATS:
        raise Permanent(
            f"file {output}",
            found=f"the ending {ending}",
            expected=".parquet or .csv",
            next_step="name the file so, or say the format with --format",
        )
    return ending[1:] or "parquet"
