"""DAGs that stand in for jobs with a mistake, and say what it is."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from scoring.errors import (
    JobFileError,
)


def invalid_arguments(name: str, error: Exception) -> dict[str, Any]:
    """Return what the DAG that stands in for a job with a mistake is made with: it says what is wrong."""
    return {"doc_md": f"`jobs/{name}.yaml` is not valid: {error}", "tags": ["nightshift", "invalid"]}


def refuse(message: str) -> None:
    """Raise ``JobFileError``: the only task of the DAG of a job with a mistake."""
    raise JobFileError(message)


def dag_name(name: str) -> str:
    """Return the name of a job's file as a DAG's id may hold it. One that is changed gets the hash of what it was.

    >>> dag_name("churn"), dag_name("My Job")
    ('churn', 'My_Job_a827bd')
    """
    allowed = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:200]
    return name if allowed == name else f"{allowed}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
