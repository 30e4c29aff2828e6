"""The command that lives a job's past nights again under retraining policies."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import JobName, open_job
from scoring.interval import Nights, parse_night

if TYPE_CHECKING:
    from scoring.stores import Workspace

app = typer.Typer()
Interval = dict[str, float | None]
TITLES = (
    "policy",
    "loss",
    "gain over never (95 % interval)",
    "retrainings",
    "promoted",
    "refused",
    "failed",
    "worse promotions",
    "rollbacks",
    "kept by the gate (share)",
    "CPU s of fitting",
)


@app.command("backtest")
def backtest_job(
    name: JobName,
    first: Annotated[
        str | None, typer.Option("--from", help="First night; default: the first with a full training window.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last night; default: the last whose labels are known.")
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(
            help="With commas between them: never, every, weekly, monthly, every-15 (or another number), governor, each but "
            "the first also with -ungated behind it. Default: never,monthly,weekly,governor,governor-ungated."
        ),
    ] = None,
    as_json: tables.Json = False,
) -> None:
    """Live a job's past nights under retraining policies, and say which would have lost how much at what cost.

    Each policy trains with the job's own pipeline, window, gate and rollback on what was known at the end of each night: labels
    count after label.delay_days. Every model is fitted once and kept below the data folder, so an interrupted call goes on
    where it was. The result is on the job's page as well, with curves and how fast the model ages.
    """
    from lifecycle.backtest import DEFAULT, NAMES, backtest, policy_of

    asked = {item.strip(): policy_of(item.strip()) for item in (policies or ",".join(DEFAULT)).split(",")}
    chosen = [policy for policy in asked.values() if policy is not None]
    if len(chosen) < len(asked):
        strange = ", ".join(name for name, policy in asked.items() if policy is None)
        raise typer.BadParameter(f"no policy is called {strange}; there are {NAMES}", param_hint="--policies")
    work = open_job(name)
    nights = _nights(work, first, last)
    lives = len(chosen) + (0 if "never" in asked else 1)
    with console.counted(f"backtest {name}", lives * len(nights)) as (stage, counted):

        def progress(what: str, number: int) -> None:
            if what == "night":
                counted("")
            else:
                stage(what, number)

        result = backtest(work, nights, chosen, progress)
    _print(result)


def _nights(work: Workspace, first: str | None, last: str | None) -> Nights:
    """Return the nights that were asked for."""
    from drift.night_runs import last_night
    from lifecycle.backtest import first_night

    begin = parse_night(first) if first else first_night(work.job)
    end = parse_night(last) if last else last_night(work) - timedelta(days=work.job.label.delay_days)
    return Nights.including(begin, end).require("nights")


def _print(result: dict[str, Any]) -> None:
    """Print a line per policy, how the model ages, and the settings that follow."""
    title = (
        f"{result['job']}, {result['from']} to {result['to']}: {result['nights']} nights, {result['rows']:,} rows; "
        f"{result['loss']} ({result['unit']}), smaller is better"
    )
    tables.table(title, TITLES, [_cells(line) for line in result["policies"]], key="policies")
    rows = [(row["age"], _gain(row["gain"]), row["pairs"]) for row in result["ageing"]]
    if rows:
        titles = ("nights older", "gain of a refit over it (95 % interval)", "pairs")
        tables.table("how fast the model ages", titles, rows, key="ageing")
    advice = result["recommendation"]
    if advice is None:
        return
    tables.record("recommendations", advice)
    console.OUT.print(f"recommended: {advice['sentence']}", highlight=False)
    lines = advice["settings"] or "# nothing to change"
    console.OUT.print("in the job file:", highlight=False)
    for line in lines.splitlines():
        console.OUT.print(f"  {line}", highlight=False)


def _cells(line: dict[str, Any]) -> tuple[Any, ...]:
    counts = [line[name] for name in ("retrainings", "promoted", "refused", "failed")]
    worse = tables.Cell(line["worse"], f"{line['worse']} of {line['followed']}")
    loss = tables.Cell(line["loss"], _number(line["loss"]["value"], "{:.4f}"))
    kept = tables.share(line["kept"])
    return (
        line["policy"],
        loss,
        _gain(line["gain"]),
        *counts,
        worse,
        line["rollbacks"],
        kept,
        round(line["seconds"], 1),
    )


def _gain(gain: Interval) -> tables.Cell:
    ends = "" if gain["low"] is None else f" ({_number(gain['low'])} to {_number(gain['high'])})"
    return tables.Cell(gain, f"{_number(gain['value'])}{ends}")


def _number(value: float | None, form: str = "{:+.4f}") -> str:
    return "–" if value is None else form.format(value)
