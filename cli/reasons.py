"""Why predictions are what they are, and why their mean moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import tables
from cli.arguments import JobName, Night, open_job
from scoring.errors import RunMissing
from scoring.interval import parse_night

if TYPE_CHECKING:
    from datetime import date

    from scoring.stores import Workspace
    from scoring.stores.warehouse import Run

app = typer.Typer()
Key = Annotated[
    list[str] | None, typer.Option(help="COLUMN=VALUE of the key, once for each column: the reasons of these rows.")
]


@app.command("reasons")
def explain(name: JobName, night: Night, key: Key = None, as_json: tables.Json = False) -> None:
    """Show why the mean prediction of a night moved, feature by feature, or with --key the reasons of single rows."""
    from drift.runs import published_run

    work = open_job(name)
    if work.job.reasons is None:
        raise typer.BadParameter(f"{name} asks for none: add `reasons` to jobs/{name}.yaml, and score the night again")
    run = published_run(work, parse_night(night))
    if key:
        _print_rows(work, run, key)
    else:
        _print_shift(work, run)


def _print_shift(work: Workspace, run: Run) -> None:
    from drift.reasons import explain_shift
    from scoring.stores.warehouse import mean_shifts

    shifts = mean_shifts.of_run(work.warehouse, run.run_id) or explain_shift(work, run)
    if not shifts:
        raise _without(work, run.night)
    before, after = (sum(getattr(shift, name) for shift in shifts) for name in _SIDES)
    first = shifts[0]
    facts = [
        ("mean in training", tables.Cell(before, f"{before:.4f} {first.unit}")),
        ("mean of the night", tables.Cell(after, f"{after:.4f} {first.unit}")),
        ("shift", tables.Cell(after - before, f"{after - before:+.4f}")),
        ("rows of the night", first.rows_night),
        ("rows of training", first.rows_reference),
    ]
    tables.facts(f"{work.job.name} {run.night}, version {run.model_version}", facts, key="mean")
    columns = ("feature", f"moved the mean by ({first.unit})", "contribution in the night", "in training")
    rows = [
        (shift.feature, shift.shift, shift.contribution_night, shift.contribution_reference)
        for shift in shifts
        if shift.contribution_night or shift.contribution_reference
    ]
    tables.table("why the mean moved", columns, rows, key="features")


_SIDES = ("contribution_reference", "contribution_night")


def _print_rows(work: Workspace, run: Run, texts: list[str]) -> None:
    """Print the published prediction and the reasons of the rows that have a key."""
    from lifecycle.erasure import EntityKey
    from scoring.night import has_reasons
    from scoring.stores.warehouse import reasons_by_key

    pairs = [text.partition("=") for text in texts]
    if any(not sign for _, sign, _ in pairs):
        raise typer.BadParameter(f"found {texts}, expected --key COLUMN=VALUE")
    key = EntityKey.of(work.job, {column: value for column, _, value in pairs})
    if not has_reasons(work, run):
        raise _without(work, run.night)
    rows = reasons_by_key(work.warehouse, work.job, run, key.values)
    if not rows:
        raise RunMissing(
            f"reasons of {work.job.name} {run.night}",
            found="no row with this key that has reasons",
            expected=f"a prediction that the job asks reasons for: {_where(work)}",
            next_step=f"look at `{work.job.name}_predictions` with `nightshift sql`",
        )
    columns: tuple[Any, ...] = (*work.job.key, "rank", "feature", "value", "contribution")
    tables.table(f"reasons of {work.job.name} {run.night}, version {run.model_version}", columns, rows, key="reasons")


def _where(work: Workspace) -> str:
    return (work.job.reasons and work.job.reasons.where) or "every one"


def _without(work: Workspace, night: date) -> RunMissing:
    return RunMissing(
        f"reasons of {work.job.name} {night}",
        found="a run that was scored without reasons",
        next_step=f"score the night again: `nightshift run {work.job.name} --night {night}`",
    )
