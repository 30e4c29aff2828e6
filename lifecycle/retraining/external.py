"""Asks for a version that something else trains and registers: a URL here; a DAG is triggered by Airflow."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from scoring.errors import RetrainingFailed
from scoring.stores import Workspace
from scoring.stores.warehouse import Retraining, retrainings

AWAITED = "external"
"""Stage of a retraining that waits for a version from elsewhere."""
SECONDS = 30
"""How long a URL may take to answer: it is told to begin, not waited for."""


def asked_for(row: Retraining) -> dict[str, Any]:
    """Return what the other side is told: whose version is wanted, for which retraining, and by the outcomes known when."""
    return {
        "job": row.job,
        "retraining_id": row.retraining_id,
        "night": str(row.night),
        "since": str(row.since),
        "until": str(row.until),
        "reason": row.reason,
    }


def ask(work: Workspace, row: Retraining) -> None:
    """Ask the job's URL for a version, if it has one, and let the retraining wait for `nightshift register`.

    Raises ``RetrainingFailed`` when the URL refuses or does not answer.
    """
    external = work.job.retraining.external
    if external is not None and external.url is not None:
        _post(external.url, asked_for(row), row)
    retrainings.record(
        work.warehouse, row.retraining_id, stage=AWAITED, detail=f"waits for `nightshift register {row.job}`"
    )


def _post(url: str, content: dict[str, Any], row: Retraining) -> None:
    request = urllib.request.Request(
        url, json.dumps(content).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return
    except (urllib.error.URLError, OSError) as error:
        raise RetrainingFailed(
            f"retraining {row.retraining_id} of {row.job}",
            found=f"{urlsplit(url).hostname} answered: {error}",
            expected="an answer that says it has begun",
            next_step="see to what retraining.external names, then start the retraining again",
        ) from None
