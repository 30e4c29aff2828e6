"""What `publish` adds to the counters of Airflow's stream."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.observability import stats

from orchestration import context as of_airflow
from orchestration import metering, nightly, publishing
from orchestration.publishing import PublishOperator
from scoring.metrics import ROWS_SCORED
from scoring.night import extract, score_chunks
from tests.conftest import Toy
from tests.support.runs import request


@pytest.fixture
def counted(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What Airflow's counters were given; tasks use the stores of the test."""
    counts: Counter[str] = Counter()
    monkeypatch.setattr(stats, "incr", lambda name, count, **_: counts.update({name: count}))
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    for module in (nightly, metering, publishing, of_airflow):
        monkeypatch.setattr(module, "current_stores", lambda: toy.stores)
    return counts


def test_a_publication_is_counted_once_however_often_publish_runs(toy: Toy, counted: Counter[str]) -> None:
    extraction = extract(toy.work, request())
    score_chunks(toy.work, extraction.run_id, range(extraction.chunks))
    operator = PublishOperator(task_id="publish", job=toy.job, scoring_run=extraction.run_id)
    pushed: dict[str, Any] = {}
    context = {"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))}
    assert operator.execute(context) == []  # no version is in the shadow
    rows = pushed["rows"]
    once = dict(counted)
    assert once[ROWS_SCORED.streamed] == rows > 0
    operator.execute(context)
    assert dict(counted) == once
