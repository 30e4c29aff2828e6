"""Which night of a job is late, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from scoring.job import Job, newest_due, ready_at
from scoring.stores import Workspace
from scoring.stores.warehouse import Warehouse, ledger


@dataclass(frozen=True)
class Lateness:
    """A night that is not published although it should be, and since when it should."""

    night: date
    since: datetime


def late(work: Workspace) -> date | None:
    """Return the job's last night if it should be published by now and is not, or None."""
    lateness = lateness_of(work.warehouse, work.job, work.clock())
    return lateness.night if lateness is not None else None


def lateness_of(warehouse: Warehouse, job: Job, now: datetime) -> Lateness | None:
    """Return the job's last night if it should be published by ``now`` and is not, or None.

    A provisional publication does not count. Of nights that ended more than a week ago nobody is told.
    """
    night = newest_due(job, now)
    if night is None or night in ledger.settled(warehouse, job.name, now):
        return None
    since = ready_at(job, night)
    return Lateness(night, since) if since is not None else None
