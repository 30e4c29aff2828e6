"""Our metrics in Airflow's own stream, OpenTelemetry or StatsD, as Airflow's settings have it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from airflow.configuration import conf
from airflow.sdk.observability import stats

from orchestration.context import current_stores
from scoring.errors import NightshiftError
from scoring.job import Job
from scoring.metrics import CPU_SECONDS, ROWS_SCORED, Metric

STREAMS = ("otel_on", "statsd_on", "statsd_datadog_enabled")
"""Airflow's settings in ``[metrics]`` that turn a stream on."""


def stream(jobs: Sequence[Job], run_id: str | None = None, since: datetime | None = None) -> None:
    """Send every gauge of ``jobs``, and add what a published run scored and spent to the counters. Does nothing without a stream.

    A run that was published before ``since`` is not counted again. A warehouse that does not answer is only logged: what the
    task did stands.
    """
    if not any(conf.getboolean("metrics", option, fallback=False) for option in STREAMS):
        return
    try:
        _stream(jobs, run_id, since)
    except NightshiftError as error:
        logging.getLogger(__name__).warning("no metrics were sent: %s", error)


def _stream(jobs: Sequence[Job], run_id: str | None, since: datetime | None) -> None:
    from scoring.stores.warehouse import ledger
    from scoring.upkeep import measure_jobs

    stores = current_stores()
    for sample in measure_jobs(stores.warehouse, jobs, stores.settings.cpu_hour_price):
        if sample.metric.kind == "gauge":
            stats.gauge(sample.metric.streamed, sample.value, tags=sample.labels)
    run = ledger.get(stores.warehouse, run_id) if run_id is not None else None
    if run is not None and (since is None or run.finished_at is None or run.finished_at >= since):
        tags = {"job": run.job, "model_version": str(run.model_version)}
        _count(ROWS_SCORED, run.rows_scored, tags)
        _count(CPU_SECONDS, run.cpu_seconds, tags)


def _count(metric: Metric, value: float | None, tags: dict[str, str]) -> None:
    """Add to a counter. Airflow's counters are of whole numbers."""
    if value:
        stats.incr(metric.streamed, round(value), tags=tags)
