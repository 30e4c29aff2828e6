"""The interface between the tasks and the maker of drift pages."""

from __future__ import annotations

from collections.abc import Callable

from scoring.stores import Workspace
from scoring.stores.warehouse import Run, monitoring

Reporter = Callable[[Workspace, Run], tuple[str | None, str | None]]
"""Makes the page of a judged run and returns its path below the lake and what it lacks, or None and why there is none."""


def report_of(work: Workspace, run: Run, reporter: Reporter) -> tuple[str | None, str | None]:
    """Make the page of a judged run and record it, and return what the reporter returned."""
    page, problem = reporter(work, run)
    monitoring.save_report(work.warehouse, run.run_id, page, problem)
    return page, problem
