"""Writes the files of a new job: from templates, or from a table of the source, with what was guessed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import console, tables
from cli.arguments import now

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.drafting import Draft

app = typer.Typer()
TaskName = Literal["binary", "multiclass", "regression"]


@app.command("new-job")
def write_job(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _.")],
    *,
    source: Annotated[str, typer.Option(help="Name of the source database.")] = "demo",
    table: Annotated[
        str | None, typer.Option(help="Table or view to begin from, such as orders or shop.orders.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Its column with the outcome; null where it is not known yet.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A key column; may be repeated. Default: a guess.")] = None,
    time: Annotated[str | None, typer.Option(help="The column that says in which night a row belongs.")] = None,
    kind: Annotated[Literal["events", "snapshot"], typer.Option(help="Rows that happen, or entities.")] = "events",
    task: Annotated[TaskName | None, typer.Option(help="What is predicted. Default: by the label's values.")] = None,
    positive: Annotated[str | None, typer.Option(help="The label's value that counts as positive.")] = None,
    delay_days: Annotated[int | None, typer.Option(min=0, help="Days until an outcome can be trusted.")] = None,
    horizon_days: Annotated[int | None, typer.Option(min=0, help="Days that the outcome looks ahead.")] = None,
    timezone: Annotated[str, typer.Option(help="The zone in which a night is a calendar day.")] = "UTC",
    source_timezone: Annotated[str, typer.Option(help="The zone of times that are stored without one.")] = "UTC",
    as_json: tables.Json = False,
) -> None:
    """Write the files of a new job: yaml, pipeline, SQL and a test.

    With --table and --label they are made for that table and run as they are: columns and a sample are read, and what was
    guessed is printed with the reason. Otherwise they are templates, to be filled in.
    """
    from scoring.job import new_job
    from scoring.settings import load_settings

    settings = load_settings()
    if table is None:
        given = {"--label": label, "--key": key, "--time": time, "--task": task, "--positive": positive}
        alone = [option for option, value in given.items() if value]
        if alone:
            raise typer.BadParameter(f"{alone[0]} is for a job that begins from a table: add --table")
        _print_paths(new_job(settings, name, source, kind=kind))
        console.OUT.print(f"edit them, then: nightshift check {name}")
        return
    if label is None:
        raise typer.BadParameter("--table needs --label, the column with the outcome")
    from lifecycle.drafting import DraftRequest, draft_job

    zones, days = (timezone, source_timezone), (delay_days, horizon_days)
    request = DraftRequest(name, source, table, label, tuple(key or ()), time, kind, task, positive, *days, *zones)
    with console.step(f"reading {table}"):
        draft = draft_job(settings, request, now())
    _print_draft(draft, name)


def _print_paths(files: list[Path]) -> None:
    for path in files:
        console.OUT.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _print_draft(draft: Draft, name: str) -> None:
    """Print what was guessed of every column and of the job, what to look at, and the commands that come next."""
    rows = [(guess.name, guess.type, guess.role, guess.reason) for guess in draft.guesses]
    tables.table("columns", ("column", "type", "role", "reason"), rows, key="columns")
    tables.facts(f"job {name}", draft.facts, key="job")
    for warning in draft.warnings:
        console.OUT.print(f"look at this: {warning}", highlight=False)
    _print_paths(draft.files)
    console.OUT.print("next:", highlight=False)
    wide = max(len(command) for command, _ in draft.commands)
    for command, about in draft.commands:
        tables.record("next", {"command": command, "about": about})
        console.OUT.print(f"  {command:<{wide}}   # {about}", highlight=False, soft_wrap=True)
