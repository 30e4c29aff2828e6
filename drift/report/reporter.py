"""The interface between the tasks and the maker of drift pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from scoring.stores import Workspace
from scoring.stores.warehouse import Run, ledger, monitoring

Reporter = Callable[[Workspace, Run], tuple[str | None, str | None]]
"""Makes the page of a judged run and returns its path below the lake and what it lacks, or None and why there is none."""


def reported(work: Workspace, runs: Iterable[Run], reporter: Reporter) -> dict[str, tuple[str | None, str | None]]:
    """Make the page of each judged run, once, record it, and return what the reporter returned, by the run's id."""
    pages = {}
    for run in {run.run_id: run for run in runs}.values():
        page, problem = reporter(work, run)
        monitoring.save_report(work.warehouse, run.run_id, page, problem)
        pages[run.run_id] = page, problem
    return pages


def runs_to_report(work: Workspace, run_ids: Iterable[str], measured: Iterable[date]) -> list[Run]:
    """Return the runs whose pages are due: those that were judged, and the published ones of nights that were measured."""
    published = ledger.settled(work.warehouse, work.job.name, work.clock())
    of_nights = [published[night] for night in measured if night in published]
    judged = [run_id for run_id in dict.fromkeys([*run_ids, *of_nights]) if monitoring.drift_of(work.warehouse, run_id)]
    return [ledger.get(work.warehouse, run_id) for run_id in judged]
