"""How predictions made on demand did: performance by version once outcomes are known, and drift of what was asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from drift.performance import outcome_sums, with_intervals
from drift.runs import past_of, reference_of
from drift.verdict import Night, Verdict, earliest, verdict_on
from scoring.interval import Nights
from scoring.rows import ARROW_TYPES, Profile, prediction_schema, profiled, read_as
from scoring.stores import LABEL_COLUMN, Workspace, read_labels
from scoring.stores.warehouse import Span, requests
from serving.columns import batch_of

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Reviewed:
    """What a version answered on demand in some nights, in one role."""

    version: int
    role: str
    """``champion``, ``challenger``, or ``shadow``: scored beside the champion's answer, and shown to nobody."""
    rows: int
    keys: int
    """Different keys of a night. Of a key that was asked several times in a night, the last answer counts."""
    labelled: int
    metrics: dict[str, dict[str, float | None]]
    verdict: Verdict | None
    """Drift of what was asked against the reference and the nights that the version scored, all of it as one night."""


def review(work: Workspace, nights: Nights) -> list[Reviewed]:
    """Return how each version did on demand, in the order of versions and roles.

    Labels are read as they are known now. The rows of shadows are the champion's, so they have no drift of their own.
    """
    by_version: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in requests.of_nights(work.warehouse, work.job, nights):
        by_version[row["model_version"], row["nightshift_role"]].append(row)
    if not by_version:
        return []
    asked = sorted({row["night"] for rows in by_version.values() for row in rows})
    labels = read_labels(work, Nights.including(asked[0], asked[-1]))
    return [_reviewed(work, labels, *of, rows) for of, rows in sorted(by_version.items(), key=lambda item: item[0])]


def _reviewed(work: Workspace, labels: pa.Table, version: int, role: str, rows: list[dict[str, Any]]) -> Reviewed:
    job = work.job
    last = {tuple(row[name] for name in ("night", *job.key)): row for row in rows}
    table = _predictions(work, list(last.values()))
    joined = table.join(labels, keys=list(job.key), join_type="inner").combine_chunks()
    sums = outcome_sums(joined, joined.column(LABEL_COLUMN), job)
    metrics = with_intervals(sums, job) if joined.num_rows else {}
    verdict = None if role == "shadow" else _drift(work, version, list(last.values()), table)
    return Reviewed(version, role, len(rows), len(last), joined.num_rows, metrics, verdict)


def _predictions(work: Workspace, rows: Rows) -> pa.Table:
    schema = prediction_schema(work.job)
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)


def _drift(work: Workspace, version: int, rows: Rows, predictions: pa.Table) -> Verdict:
    job, night = work.job, max(row["night"] for row in rows)
    kinds = {name: feature.type for name, feature in job.features.items()}
    sent = batch_of([{**dict.fromkeys(kinds), **row["nightshift_features"]} for row in rows], kinds)
    columns = [
        read_as(sent.column(name), ARROW_TYPES[kind], name, job.source_timezone)[0] for name, kind in kinds.items()
    ]
    features = pa.Table.from_arrays(columns, names=list(kinds))
    reference = reference_of(work, work.registry.resolve(job.name, version))
    profile = Profile.of(reference.bins, profiled(features, predictions, job), len(rows))
    past = past_of(work.stores, Span(job.name, Nights(earliest(job, night), night)), version)
    return verdict_on(reference, past, night, Night(profile, {}))
