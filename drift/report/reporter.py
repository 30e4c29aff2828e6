"""What a task hands to whoever makes the page of a run."""

from __future__ import annotations

from collections.abc import Callable

from scoring.stores import Workspace
from scoring.stores.warehouse import Run, monitoring

Reporter = Callable[[Workspace, Run], tuple[str | None, str | None]]
"""Makes the page of a judged run and returns its path below the lake and what it lacks, or None and why there is none."""


def report_of(work: Workspace, run: Run, reporter: Reporter) -> tuple[str | None, str | None]:
    """Make the page of a judged run and record it, and return its path and what it lacks, as the reporter does."""
    page, problem = reporter(work, run)
    monitoring.save_report(work.warehouse, run.run_id, page, problem)
    return page, problem
