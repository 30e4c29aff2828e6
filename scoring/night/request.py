"""The request to score a night of a job, and the result of its extraction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

from scoring.errors import NightError


@dataclass(frozen=True)
class NightRequest:
    """The request for one attempt at a night: by whom, when, and with which version."""

    night: date
    started_at: datetime
    origin: str
    airflow_run_id: str | None = None
    model_version: int | None = None
    """The version that scores the night in place of its champion."""
    unfinished: bool = False
    """Whether to score the night although it has not ended. Its run is provisional."""

    def __post_init__(self) -> None:
        """Raise ``NightError`` for a moment in place of a night: its text would be another partition."""
        if type(self.night) is not date:
            raise NightError(
                "night of a request", found=repr(self.night), expected="a date", next_step="give the calendar day alone"
            )

    @property
    def run_id(self) -> str:
        """Return the attempt's id: its night, its start in UTC, and a hash of origin, Airflow run and version.

        >>> from datetime import UTC
        >>> NightRequest(date(2013, 4, 1), datetime(2013, 4, 2, 4, tzinfo=UTC), "cli").run_id
        '2013-04-01-20130402T040000000000-aaf63300'
        """
        digest = hashlib.sha256(f"{self.origin} {self.airflow_run_id} {self.model_version}".encode()).hexdigest()
        return f"{self.night}-{self.started_at:%Y%m%dT%H%M%S%f}-{digest[:8]}"


@dataclass(frozen=True)
class Extracted:
    """The result of extraction: ids and counts only."""

    run_id: str
    model_version: int
    chunks: int
    rows_extracted: int
    rows_quarantined: int | None
    """None when the tasks that share the night read its rows, and count them."""
    shards: int | None
    """Tasks that share the night, or None when one task loads it."""
