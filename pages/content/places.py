"""Where the pages read from: a warehouse, a lake, the job files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scoring.errors import JobFileError
from scoring.job import Job
from scoring.stores import Lake
from scoring.stores.warehouse import Warehouse

View = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where the pages read: the warehouse, the lake, and the job files as they are now."""

    warehouse: Warehouse
    lake: Lake
    job_file: Callable[[str], Job]
    has_file: Callable[[str], bool] = lambda name: True
    """Whether a job has a file, valid or not. One without is retired."""

    def job(self, name: str) -> Job | None:
        """Return the job's file, or None when it is gone or broken: what was recorded of it stays readable."""
        try:
            return self.job_file(name)
        except JobFileError:
            return None
