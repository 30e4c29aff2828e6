"""What a task hands to whoever makes the page of a run."""

from __future__ import annotations

from collections.abc import Callable

from scoring.job import Job
from scoring.stores import Stores
from scoring.stores.warehouse import Run, monitoring

Reporter = Callable[[Stores, Job, Run], tuple[str | None, str | None]]
"""Makes the page of a judged run; returns its path below the lake and what it lacks, or None and why there is none."""


def report_of(stores: Stores, job: Job, run: Run, reporter: Reporter) -> tuple[str | None, str | None]:
    """Make the page of a judged run and record it; return its path and what it lacks, as the reporter does."""
    page, problem = reporter(stores, job, run)
    monitoring.save_report(stores.warehouse, run.run_id, page, problem)
    return page, problem
