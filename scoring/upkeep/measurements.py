"""The values of the metrics, read from the warehouse."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from scoring import metrics
from scoring.job import Job
from scoring.metrics import Metric, Sample
from scoring.stores.warehouse import Row, Run, Warehouse, metering, overview
from scoring.upkeep.lateness import lateness_of

VERDICTS = ("ok", "warn", "alert")
MILLION = 1_000_000


@dataclass(frozen=True)
class _Reading:
    """What is read of all jobs at once."""

    jobs: Mapping[str, Job]
    statuses: list[Row]
    now: datetime
    price: float | None


def measure_jobs(
    warehouse: Warehouse, jobs: Collection[Job], price: float | None = None, broken: Collection[str] = ()
) -> list[Sample]:
    """Return every metric of jobs that were ever used and are not retired, by the warehouse's clock.

    ``price`` is that of a CPU-hour; without it nothing has a cost. ``broken`` are jobs whose files cannot be read.
    """
    by_name = {job.name: job for job in jobs}
    statuses = [row for row in overview.statuses(warehouse, by_name) if row["retired_at"] is None]
    names = [row["job"] for row in statuses]
    validity = {**dict.fromkeys(names, True), **dict.fromkeys(broken, False)}
    reading = _Reading(by_name, statuses, metering.clock(warehouse), price)
    return [
        *_totals(warehouse, names),
        *_of_nights(warehouse, reading),
        *_counts(warehouse, reading),
        *_verdicts(warehouse, names),
        *_of_retrainings(warehouse, names),
        *(Sample(metrics.JOB_FILE_VALID, float(valid), {"job": name}) for name, valid in validity.items()),
    ]


def measure_run(run: Run, price: float | None = None) -> Iterator[Sample]:
    """Yield what can be said of one scored run."""
    rows, extracted = run.rows_scored or 0, run.rows_extracted or 0
    yield _of_run(run, metrics.NIGHT_ROWS, rows)
    if run.rows_per_second is not None:
        yield _of_run(run, metrics.ROWS_PER_SECOND, run.rows_per_second)
    if extracted:
        yield _of_run(run, metrics.QUARANTINE_SHARE, (run.rows_quarantined or 0) / extracted)
    stages = {"extract": run.seconds_extract, "score": run.seconds_score, "publish": run.seconds_publish}
    for stage, seconds in stages.items():
        if seconds is not None:
            yield _of_run(run, metrics.STAGE_SECONDS, seconds, stage=stage)
    if run.cpu_seconds is None or not rows:
        return
    yield _of_run(run, metrics.CPU_PER_MILLION, run.cpu_seconds / rows * MILLION)
    if price is not None:
        yield _of_run(run, metrics.COST_PER_MILLION, run.cpu_seconds / 3600 * price / rows * MILLION)


def _of_run(run: Run, metric: Metric, value: float, **labels: str) -> Sample:
    return Sample(metric, value, {"job": run.job, "model_version": str(run.model_version), **labels})


def _totals(warehouse: Warehouse, names: list[str]) -> Iterator[Sample]:
    for row in metering.totals(warehouse, names):
        labels = {"job": row["job"], "model_version": str(row["model_version"])}
        yield Sample(metrics.ROWS_SCORED, float(row["rows"]), labels)
        yield Sample(metrics.CPU_SECONDS, float(row["cpu_seconds"]), labels)


def _of_nights(warehouse: Warehouse, reading: _Reading) -> Iterator[Sample]:
    """Yield the metrics of each job's newest published night, and how late its last night is."""
    for run in metering.runs(warehouse, [row["run_id"] for row in reading.statuses if row["run_id"]]):
        yield from measure_run(run, reading.price)
    for row in reading.statuses:
        labels = {"job": row["job"]}
        if row["published_at"] is not None:
            yield Sample(metrics.LAST_PUBLICATION, row["published_at"].timestamp(), labels)
            yield Sample(metrics.SINCE_PUBLICATION, (reading.now - row["published_at"]).total_seconds(), labels)
        lateness = lateness_of(warehouse, reading.jobs[row["job"]], reading.now)
        seconds = (reading.now - lateness.since).total_seconds() if lateness is not None else 0
        yield Sample(metrics.LATE_SECONDS, seconds, labels)


def _counts(warehouse: Warehouse, reading: _Reading) -> Iterator[Sample]:
    nights = metering.nights_by_status(warehouse, [row["job"] for row in reading.statuses], reading.now)
    for row in reading.statuses:
        name, labels = row["job"], {"job": row["job"]}
        failed = nights.get((name, "failed"), 0) + nights.get((name, "abandoned"), 0)
        yield Sample(metrics.NIGHTS_PUBLISHED, row["nights_published"], labels)
        yield Sample(metrics.NIGHTS_MISSING, row["nights_missing"] or 0, labels)
        yield Sample(metrics.NIGHTS_HELD, nights.get((name, "held"), 0), labels)
        yield Sample(metrics.NIGHTS_FAILED, failed, labels)


def _verdicts(warehouse: Warehouse, names: list[str]) -> Iterator[Sample]:
    for name, verdict in metering.drift_verdicts(warehouse, names).items():
        yield from _verdict(metrics.DRIFT_VERDICT, name, verdict)
    for row in metering.newest_performance(warehouse, names):
        if row["verdict"] is not None:
            yield from _verdict(metrics.PERFORMANCE_VERDICT, row["job"], row["verdict"])
        labels = {"job": row["job"], "model_version": str(row["model_version"])}
        for metric, interval in row["metrics"].items():
            if isinstance(interval, dict) and interval.get("value") is not None:
                yield Sample(metrics.PERFORMANCE, float(interval["value"]), {**labels, "metric": metric})


def _verdict(metric: Metric, job: str, verdict: str) -> Iterator[Sample]:
    for name in VERDICTS:
        yield Sample(metric, float(name == verdict), {"job": job, "verdict": name})


def _of_retrainings(warehouse: Warehouse, names: list[str]) -> Iterator[Sample]:
    rows = metering.retrainings_by_state(warehouse, names)
    for row in rows:
        yield Sample(metrics.RETRAININGS, row["count"], {"job": row["job"], "state": row["state"]})
    for name in names:
        waiting = sum(row["waiting"] for row in rows if row["job"] == name)
        yield Sample(metrics.APPROVALS_WAITING, waiting, {"job": name})
