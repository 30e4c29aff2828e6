"""How well nights did once their outcomes were known, and past nights seen again with other settings."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console, tables
from cli.arguments import First, JobName, Last, asked_nights, open_job
from cli.verdicts import each_night
from scoring.interval import ALL_NIGHTS, Nights, parse_night, spans

if TYPE_CHECKING:
    from drift.replay import Replayed
    from scoring.stores import Workspace

app = typer.Typer()


@app.command()
def performance(
    name: JobName,
    *,
    night: Annotated[str | None, typer.Option(help="Labels known at the end of this night count.")] = None,
    since: Annotated[
        str | None, typer.Option(help="First night to measure, with --night; default: the last 28.")
    ] = None,
    first: First = None,
    last: Last = None,
    as_json: tables.Json = False,
) -> None:
    """Measure published nights whose labels have matured, and print what is known of the last nights.

    Over a range, what was known at the end of each of its nights is measured, one after the other, as the DAG does. Exit
    code 1 if one fails; the others are measured all the same.
    """
    if since and not night:
        raise typer.BadParameter("--since is for one night: give --night")
    days = asked_nights(night, first, last)
    work = open_job(name)
    if not work.job.has_labels:
        console.OUT.print(f"{name} has no labels: its performance is never measured", highlight=False)
    if night is None:
        _measure_each(work, days)
        return
    from drift.measure import measure

    nights = Nights.since(parse_night(since)) if since else None
    with console.step(f"measuring nights whose labels were known on {night}"):
        measured = measure(work, days[0], nights)
    _print_known(work, days[0], nights, f"; {len(measured)} nights new")


def _measure_each(work: Workspace, days: list[date]) -> None:
    from drift.measure import measure

    def cells(day: date) -> tuple[Any, ...]:
        measured = measure(work, day)
        return "measured" if measured else "nothing new", ", ".join(spans(measured)) or None

    try:
        each_night(work.job.name, days, ("nights measured",), cells, key="known_at")
    finally:
        _print_known(work, days[-1])


def _print_known(work: Workspace, known_at: date, nights: Nights | None = None, new: str = "") -> None:
    """Print the performance of the last nights, as far as it was known at the end of ``known_at``."""
    from scoring.stores.warehouse import Span, monitoring

    span = Span(work.job.name, ALL_NIGHTS if nights is None else nights)
    rows = monitoring.performance(work.warehouse, span, known_at)[-28:]
    metrics = list(rows[-1].metrics) if rows else []
    lines = [
        [
            row.night,
            tables.Cell(row.verdict, row.verdict or "not judged"),
            row.model_version,
            tables.share(row.share_labelled),
            row.rows_labelled,
        ]
        + [tables.with_interval(row.metrics.get(metric)) for metric in metrics]
        + [tables.Cell(row.reasons, "; ".join(row.reasons) or "–")]
        for row in rows
    ]
    columns = ("night", "verdict", "version", "labelled", "rows", *metrics, "because")
    title = f"{work.job.name}: performance known on {known_at} (95 % interval){new}"
    tables.table(title, columns, lines, key="nights")


@app.command("replay")
def replay_nights(
    name: JobName,
    first: Annotated[str, typer.Option("--from", help="First night.")],
    last: Annotated[str, typer.Option("--to", help="Last night.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting, e.g. retraining.cooldown_nights=7.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Print nights without anything to tell too.")] = False,
    as_json: tables.Json = False,
) -> None:
    """Run verdict and governor again over past nights, perhaps with other settings; nothing is written."""
    from drift.replay import replay
    from scoring.job import changed_job

    work = open_job(name)
    work = replace(work, job=changed_job(work.job, settings or []))
    verdicts: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    lines = []
    with console.step(f"replaying {name}") as show:
        for replayed in replay(work, Nights.including(parse_night(first), parse_night(last))):
            show(f"replaying {name}: {replayed.night}")
            verdicts[replayed.verdict.verdict] += 1
            decisions[replayed.decision.decision] += 1
            if every or replayed.verdict.verdict != "ok" or replayed.decision.decision != "none":
                lines.append(_line(replayed))
    titles = ("night", "version", "rows", "verdict", "because", "decision", "on record", "reason")
    tables.table(f"{name}, {first} to {last}, as each night would be seen", titles, lines, key="nights")
    console.OUT.print(f"verdicts {dict(verdicts)}, decisions {dict(decisions)}", highlight=False)


def _line(replayed: Replayed) -> list[Any]:
    verdict, decision = replayed.verdict, replayed.decision
    night = [replayed.night, replayed.model_version, replayed.rows]
    return [
        *night,
        verdict.verdict,
        "; ".join(verdict.reasons) or "–",
        decision.decision,
        replayed.recorded,
        decision.reason,
    ]
