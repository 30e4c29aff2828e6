"""The task of the retention DAG."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, get_current_context

from orchestration.context import current_stores
from scoring.job import Job
from scoring.settings import load_settings
from scoring.stores import Workspace


def retention_arguments() -> dict[str, Any]:
    """Return what the retention DAG is made with: once a week, one run at a time, its form filled in by the settings."""
    policy = ", ".join(f"{name} {value}" for name, value in load_settings().retention if name != "apply")
    return {
        "schedule": "30 10 * * 6",
        "start_date": datetime(2013, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["nightshift", "retention"],
        "description": "Removes rows and files that nothing points at any more",
        "params": {
            "apply": Param(
                load_settings().retention.apply,
                type="boolean",
                title="Remove",
                description=f"Off: only say in the log what would be removed. Kept: {policy}.",
            )
        },
    }


def retain(job: Job) -> dict[str, Any]:
    """Plan what a job's policy no longer keeps, remove it if the run's parameter ``apply`` is true, and return how much it is."""
    from scoring.upkeep import retention

    stores, remove = current_stores(), bool(get_current_context()["params"]["apply"])
    removables = retention.plan(Workspace(stores, job), stores.settings.retention)
    if remove:
        removables = retention.apply(Workspace(stores, job), removables)
    for removable in removables:
        sentence = (
            f"{removable.kind} {removable.what}, {removable.bytes:,} bytes, {removable.rows:,} rows: {removable.reason}"
        )
        logging.getLogger(__name__).info("%s: %s", "removed" if remove else "would be removed", sentence)
    total = {
        "bytes": sum(removable.bytes for removable in removables),
        "rows": sum(removable.rows for removable in removables),
    }
    return {"removed" if remove else "would_be_removed": len(removables), **total}
