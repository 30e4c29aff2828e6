"""Predictions made on demand that are older than the policy keeps them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from scoring.settings import RetentionPolicy
from scoring.stores import Workspace
from scoring.stores.warehouse import requests
from scoring.upkeep.removal import Removal


def removals(work: Workspace, policy: RetentionPolicy) -> list[Removal]:
    """Return the removal of a job's old predictions on demand, none if there are none."""
    before = work.clock() - timedelta(days=policy.request_days)
    rows = requests.older(work.warehouse, work.job, before)
    reason = f"answered before {before:%Y-%m-%d}, kept for {policy.request_days} days"
    return [Removal("predictions on demand", before.isoformat(), None, 0, rows, reason)] if rows else []


def remove(work: Workspace, removal: Removal) -> Removal | None:
    """Remove the predictions on demand from before the planned moment, and return how many there were."""
    rows = requests.remove_older(work.warehouse, work.job, datetime.fromisoformat(removal.what))
    return replace(removal, rows=rows) if rows else None
