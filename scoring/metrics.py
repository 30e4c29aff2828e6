"""The metrics of an installation: name, kind, unit and meaning of each, for whoever measures and whoever shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

PREFIX = "nightshift"


@dataclass(frozen=True)
class Metric:
    """One metric. A counter only rises; a gauge is what was measured last; a histogram counts values up to limits, ``le``."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ("job",)

    @property
    def exposed(self) -> str:
        """Return the name that Prometheus has it by."""
        return f"{PREFIX}_{self.name}{'_total' if self.kind == 'counter' else ''}"

    @property
    def streamed(self) -> str:
        """Return the name in Airflow's stream of metrics, which puts its own prefix, ``airflow.``, before it."""
        return f"{PREFIX}.{self.name}"


@dataclass(frozen=True)
class Sample:
    """A value of a metric, with a value for each of its labels."""

    metric: Metric
    value: float
    labels: dict[str, str] = field(default_factory=dict)
    part: str = ""
    """Of a histogram: ``_bucket``, ``_sum`` or ``_count``."""


_BY_VERSION = ("job", "model_version")

ROWS_SCORED = Metric(
    "rows_scored",
    "counter",
    "rows",
    "Rows scored by all attempts of the ledger, those that were erased since too.",
    _BY_VERSION,
)
CPU_SECONDS = Metric(
    "cpu_seconds",
    "counter",
    "seconds",
    "CPU time that all attempts spent on extracting, scoring and publishing, without the database servers.",
    _BY_VERSION,
)
NIGHT_ROWS = Metric("night_rows", "gauge", "rows", "Rows of the newest published night.", _BY_VERSION)
ROWS_PER_SECOND = Metric(
    "rows_per_second",
    "gauge",
    "rows per second",
    "Rows of the newest published night by the seconds from its start to its publication.",
    _BY_VERSION,
)
STAGE_SECONDS = Metric(
    "stage_seconds",
    "gauge",
    "seconds",
    "Seconds of a stage of the newest published night; of scoring, those of all its chunks together.",
    (*_BY_VERSION, "stage"),
)
QUARANTINE_SHARE = Metric(
    "quarantine_share", "gauge", "share", "Share of the newest published night's rows in quarantine.", _BY_VERSION
)
CPU_PER_MILLION = Metric(
    "cpu_seconds_per_million_predictions",
    "gauge",
    "seconds",
    "CPU time of the newest published night by its predictions, for a million of them.",
    _BY_VERSION,
)
COST_PER_MILLION = Metric(
    "cost_per_million_predictions",
    "gauge",
    "the currency of NIGHTSHIFT_CPU_HOUR_PRICE",
    "What a million predictions of the newest published night cost: their CPU time at the price of an hour.",
    _BY_VERSION,
)
LAST_PUBLICATION = Metric(
    "last_publication_timestamp_seconds",
    "gauge",
    "seconds since 1970",
    "When the newest published night was published.",
)
SINCE_PUBLICATION = Metric(
    "seconds_since_publication", "gauge", "seconds", "Seconds since the newest published night was published."
)
LATE_SECONDS = Metric(
    "late_seconds",
    "gauge",
    "seconds",
    "Seconds since the last night had to be published and was not; 0: it is, or may wait.",
)
NIGHTS_PUBLISHED = Metric("nights_published", "gauge", "nights", "Nights that are published.")
NIGHTS_MISSING = Metric("nights_missing", "gauge", "nights", "Nights of the last 30 that are not published.")
NIGHTS_HELD = Metric("nights_held", "gauge", "nights", "Nights whose newest attempt the publish gate holds.")
NIGHTS_FAILED = Metric(
    "nights_failed", "gauge", "nights", "Nights of the last 30 whose newest attempt failed or was abandoned."
)
DRIFT_VERDICT = Metric(
    "drift_verdict",
    "gauge",
    "0 or 1",
    "1 for the verdict on the newest judged night, 0 for the others.",
    ("job", "verdict"),
)
PERFORMANCE_VERDICT = Metric(
    "performance_verdict",
    "gauge",
    "0 or 1",
    "1 for the verdict on the performance of the newest measured night, 0 for the others.",
    ("job", "verdict"),
)
PERFORMANCE = Metric(
    "performance",
    "gauge",
    "the metric's own",
    "A performance metric of the newest measured night.",
    (*_BY_VERSION, "metric"),
)
RETRAININGS = Metric(
    "retrainings", "gauge", "retrainings", "Retrainings by the state that they are in.", ("job", "state")
)
APPROVALS_WAITING = Metric(
    "approvals_waiting", "gauge", "retrainings", "Retrainings that wait for a person to approve their version."
)

JOB_FILE_VALID = Metric(
    "job_file_valid", "gauge", "0 or 1", "1 if the job's file can be read; 0: there are no other metrics of the job."
)

METRICS = (
    ROWS_SCORED,
    CPU_SECONDS,
    NIGHT_ROWS,
    ROWS_PER_SECOND,
    STAGE_SECONDS,
    QUARANTINE_SHARE,
    CPU_PER_MILLION,
    COST_PER_MILLION,
    LAST_PUBLICATION,
    SINCE_PUBLICATION,
    LATE_SECONDS,
    NIGHTS_PUBLISHED,
    NIGHTS_MISSING,
    NIGHTS_HELD,
    NIGHTS_FAILED,
    DRIFT_VERDICT,
    PERFORMANCE_VERDICT,
    PERFORMANCE,
    RETRAININGS,
    APPROVALS_WAITING,
    JOB_FILE_VALID,
)
"""Every metric there is, in the order in which they are shown."""


REQUESTS = Metric(
    "requests", "counter", "requests", "Requests for predictions, by the answer's status.", ("job", "status")
)
REQUEST_ROWS = Metric("request_rows", "counter", "rows", "Rows scored on demand.", _BY_VERSION)
REFUSED_ROWS = Metric("request_rows_refused", "counter", "rows", "Rows sent on demand that broke the contract.")
REQUEST_SECONDS = Metric("request_seconds", "histogram", "seconds", "Seconds from a request's last byte to its answer.")
UNRECORDED = Metric(
    "requests_unrecorded", "counter", "requests", "Requests that were answered and not recorded, for want of room."
)
JOURNAL_BYTES = Metric("journal_bytes", "gauge", "bytes", "Answered requests that the warehouse does not have yet.")
SERVED_VERSION = Metric("served_version", "gauge", "1", "1 for the version that answers as champion.", _BY_VERSION)
TAKEOVER_FAILURES = Metric(
    "takeover_failures",
    "counter",
    "versions",
    "Versions that should have answered and could not be loaded or verified.",
)
TAKEOVER_PROBLEM = Metric(
    "takeover_problem", "gauge", "0 or 1", "1 while another version answers than the one that should, or none."
)
ON_DEMAND = (
    REQUESTS,
    REQUEST_ROWS,
    REFUSED_ROWS,
    REQUEST_SECONDS,
    UNRECORDED,
    JOURNAL_BYTES,
    SERVED_VERSION,
    TAKEOVER_FAILURES,
    TAKEOVER_PROBLEM,
)
"""What a process of `nightshift serve` counts, and shows at its own ``/metrics``."""


def exposition(samples: Iterable[Sample]) -> str:
    """Return samples in Prometheus's text format, version 0.0.4.

    >>> print(exposition([Sample(NIGHTS_HELD, 1, {"job": "flights"})]), end="")
    # HELP nightshift_nights_held Nights whose newest attempt the publish gate holds.
    # TYPE nightshift_nights_held gauge
    nightshift_nights_held{job="flights"} 1.0
    """
    by_metric: dict[Metric, list[Sample]] = {}
    for sample in samples:
        by_metric.setdefault(sample.metric, []).append(sample)
    lines = []
    for metric in (metric for metric in (*METRICS, *ON_DEMAND) if metric in by_metric):
        lines += [f"# HELP {metric.exposed} {metric.meaning}", f"# TYPE {metric.exposed} {metric.kind}"]
        lines += [
            f"{metric.exposed}{sample.part}{{{_labels(sample)}}} {float(sample.value)!r}"
            for sample in by_metric[metric]
        ]
    return "".join(f"{line}\n" for line in lines)


def _labels(sample: Sample) -> str:
    names = (*sample.metric.labels, *(("le",) if sample.part == "_bucket" else ()))
    return ",".join(f'{name}="{_escaped(sample.labels[name])}"' for name in names)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
