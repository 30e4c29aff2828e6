"""Trains the challenger that the governor asked for, and keeps on the decision how that went."""

from __future__ import annotations

from datetime import date, timedelta

from scoring.job import Job
from scoring.stores import Stores
from scoring.training import Trained, train
from scoring.warehouse import monitoring


def training_window(job: Job, night: date) -> tuple[date, date]:
    """Return the window (since, until) whose labels had all matured at the end of ``night``; half-open."""
    until = night + timedelta(days=1 - job.label.delay_days)
    return until - timedelta(days=job.training.window_days), until


def retrain(stores: Stores, job: Job, night: date, decision_id: int | None = None) -> Trained:
    """Train a version on what was known at the end of ``night`` and make it the challenger; return it.

    The decision that asked for it, if any, says afterwards ``done`` with the version, or ``failed``.
    """

    def record(state: str, version: int | None = None) -> None:
        if decision_id is not None:
            monitoring.record_retraining(stores.warehouse, decision_id, state, version)

    record("running")
    try:
        trained = train(stores, job, training_window(job, night))
        stores.registry.set_alias(job.name, "challenger", trained.ref.version)
    except Exception:  # recorded, then raised again
        record("failed")
        raise
    record("done", trained.ref.version)
    return trained
