"""The desk of a job: takes the body of a request, and gives the body of its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from scoring.errors import PredictionError
from scoring.job import Job
from serving.answers import Answer, answer
from serving.champions import Seat
from serving.journal import Entry, Journal
from serving.limits import Refused
from serving.metering import Counted
from serving.openapi import MOST_ROWS
from serving.versions import Answering

_dumps = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


@dataclass
class Desk:
    """A served job: who answers, where answers are written down, what was counted."""

    seat: Seat
    journal: Journal
    counted: Counted = field(default_factory=Counted)

    @property
    def job(self) -> Job:
        """Return the job."""
        return self.seat.job

    def by(self) -> Answering:
        """Return the versions that answer a request from its beginning to its end. Raises ``Refused`` before the first."""
        answering = self.seat.answering
        if answering is None:
            problem = self.seat.problem or "its champion is being loaded"
            raise Refused(503, f"{self.job.name}: no version answers yet: {problem}", {"Retry-After": "5"})
        return answering


@dataclass(frozen=True)
class Said:
    """An answer and its body."""

    request_id: str
    answer: Answer
    body: bytes

    @property
    def status(self) -> int:
        """Return 200 if a row was scored, else 422."""
        return 200 if self.answer.accepted else 422

    def entry(self, by: Answering, request: bytes, at: datetime) -> Entry:
        """Return what the journal holds of it."""
        return Entry(self.request_id, at, by.champion.number, request, self.body)


def say(by: Answering, body: bytes, top: int = 0) -> Said:
    """Return the answer to a body, with the ``top`` contributions to each prediction.

    Raises ``Refused`` for a body that is not 1 to 10,000 rows of JSON, and for a version that fails or explains nothing.
    """
    rows = _rows(body)
    try:
        answered = answer(by, rows, top)
    except PredictionError as error:
        raise Refused(422 if top else 503, str(error)) from None
    request_id = uuid4().hex
    content = {
        "request_id": request_id,
        "job": by.champion.job.name,
        "model_version": by.champion.number,
        "predictions": answered.rows,
    }
    return Said(request_id, answered, _dumps(content).encode())


def _rows(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (
        ValueError,
        RecursionError,
    ) as error:  # of numbers with thousands of digits, and of brackets in brackets too
        reason = "brackets inside brackets without end" if isinstance(error, RecursionError) else str(error)
        raise Refused(400, f"body: found no JSON, {reason[:200]}") from None
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_ROWS:
        found = f"{len(rows):,} rows" if isinstance(rows, list) else "no list of rows"
        raise Refused(422, f'body: found {found}, expected {{"rows": [...]}} with 1 to {MOST_ROWS:,} of them')
    return rows
