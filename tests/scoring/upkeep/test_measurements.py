"""The values of the metrics, on a real warehouse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drift.measure import measure
from drift.watch import watch
from scoring import metrics
from scoring.errors import NightHeld, NightshiftError
from scoring.metrics import METRICS, Metric, Sample, exposition
from scoring.night.publish import discard
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.warehouse import ledger, metering
from scoring.upkeep.lateness import lateness_of
from scoring.upkeep.measurements import measure_jobs
from tests.conftest import Toy
from tests.support.living import nights, score
from tests.support.toy import NIGHT

PRICE = 0.04


def values(samples: list[Sample], metric: Metric) -> dict[tuple[str, ...], float]:
    """Return the values of a metric by its labels, without the job's."""
    return {
        tuple(sample.labels[name] for name in metric.labels if name != "job"): sample.value
        for sample in samples
        if sample.metric is metric
    }


def measured(toy: Toy, price: float | None = PRICE) -> list[Sample]:
    return measure_jobs(toy.stores.warehouse, [toy.job], price)


def test_job_that_never_published_has_no_night_and_no_cost(toy: Toy) -> None:
    samples = measured(toy)
    assert values(samples, metrics.NIGHTS_PUBLISHED) == {(): 0}
    assert values(samples, metrics.CPU_PER_MILLION) == values(samples, metrics.LAST_PUBLICATION) == {}


def test_published_night_says_what_the_ledger_says_of_it(toy: Toy) -> None:
    run_id = score(toy, NIGHT)
    watch(toy.work, run_id)
    run, samples = ledger.get(toy.stores.warehouse, run_id), measured(toy)
    version = str(run.model_version)
    assert values(samples, metrics.NIGHT_ROWS) == {(version,): run.rows_scored}
    assert values(samples, metrics.ROWS_SCORED) == {(version,): run.rows_scored}
    assert values(samples, metrics.ROWS_PER_SECOND) == {(version,): run.rows_per_second}
    assert values(samples, metrics.STAGE_SECONDS)[version, "score"] == run.seconds_score
    share = (run.rows_quarantined or 0) / (run.rows_extracted or 1)
    assert values(samples, metrics.QUARANTINE_SHARE) == {(version,): share}
    assert values(samples, metrics.NIGHTS_PUBLISHED) == {(): 1}
    assert sorted(values(samples, metrics.DRIFT_VERDICT).values()) == [0, 0, 1]
    (since,) = values(samples, metrics.SINCE_PUBLICATION).values()
    assert 0 <= since < 60


def test_cost_is_cpu_time_at_the_price_of_an_hour(toy: Toy) -> None:
    run = ledger.get(toy.stores.warehouse, score(toy, NIGHT))
    assert run.cpu_seconds is not None and 0 < run.cpu_seconds < 30
    ((labels, cpu),) = values(measured(toy), metrics.CPU_PER_MILLION).items()
    assert labels == (str(run.model_version),)
    assert cpu == pytest.approx(run.cpu_seconds / (run.rows_scored or 0) * 1e6)
    (cost,) = values(measured(toy), metrics.COST_PER_MILLION).values()
    assert cost == pytest.approx(cpu / 3600 * PRICE)
    assert values(measured(toy, None), metrics.COST_PER_MILLION) == {}


def test_cpu_time_of_every_try_is_added(toy: Toy) -> None:
    warehouse, run_id = toy.stores.warehouse, score(toy, NIGHT)
    first = ledger.get(warehouse, run_id).cpu_seconds or 0
    with metering.metered(warehouse, run_id):
        sum(number * number for number in range(1_000_000))
    second = ledger.get(warehouse, run_id).cpu_seconds or 0
    with pytest.raises(NightshiftError), metering.metered(warehouse, run_id):
        sum(number * number for number in range(1_000_000))
        raise NightshiftError("broken")
    assert first < second < (ledger.get(warehouse, run_id).cpu_seconds or 0)


def test_held_night_counts_until_somebody_decides(toy: Toy) -> None:
    toy.change(gate={"min_rows": 1_000_000})
    request = NightRequest(NIGHT, toy.stores.clock(), "cli")
    with pytest.raises(NightHeld):
        run_night(toy.work, request)
    assert values(measured(toy), metrics.NIGHTS_HELD) == {(): 1}
    discard(toy.work, request.run_id)
    assert values(measured(toy), metrics.NIGHTS_HELD) == {(): 0}


def test_failed_night_counts_until_it_succeeds(toy: Toy) -> None:
    run_id = score(toy, NIGHT)
    recent = metering.clock(toy.stores.warehouse).date() - timedelta(days=3)
    ledger.record(toy.stores.warehouse, run_id, status="failed", night=recent)
    assert values(measured(toy), metrics.NIGHTS_FAILED) == {(): 1}
    ledger.record(toy.stores.warehouse, run_id, night=recent - timedelta(days=40))
    assert values(measured(toy), metrics.NIGHTS_FAILED) == {(): 0}


def test_late_night_is_late_since_its_time_of_day(toy: Toy) -> None:
    now = metering.clock(toy.stores.warehouse)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    schedule = {"timezone": "UTC", "first_night": NIGHT}
    job = toy.change(schedule={**schedule, "ready_by": "00:01"})
    lateness = lateness_of(toy.stores.warehouse, job, now)
    assert lateness is not None and lateness.since.strftime("%H:%M") == "00:01"
    (seconds,) = values(measured(toy), metrics.LATE_SECONDS).values()
    assert seconds == pytest.approx((now - lateness.since).total_seconds(), abs=30)
    toy.change(schedule=schedule, limits={"late_after_minutes": None})
    assert values(measured(toy), metrics.LATE_SECONDS) == {(): 0}


def test_performance_is_that_of_the_newest_measured_night(toy: Toy) -> None:
    days = nights(2)
    for day in days:
        watch(toy.work, score(toy, day))
    assert measure(toy.work, days[-1])
    names = {name for _, name in values(measured(toy), metrics.PERFORMANCE)}
    assert {"log_loss", "auc"} <= names


def test_job_whose_file_is_broken_is_named(toy: Toy) -> None:
    (sample,) = measure_jobs(toy.stores.warehouse, [], None, ["torn"])
    assert exposition([sample]).endswith('nightshift_job_file_valid{job="torn"} 0.0\n')


def test_every_metric_has_a_name_and_a_meaning_of_its_own() -> None:
    every = (*METRICS, *metrics.ON_DEMAND)
    assert len({metric.exposed for metric in every}) == len({metric.meaning for metric in every}) == len(every)
    listed = {value for value in vars(metrics).values() if isinstance(value, Metric)}
    assert listed == set(every)


def test_labels_of_any_text_are_escaped() -> None:
    text = exposition([Sample(metrics.NIGHTS_HELD, 2, {"job": 'a"b\\c\nd'})])
    assert text.splitlines()[-1] == 'nightshift_nights_held{job="a\\"b\\\\c\\nd"} 2.0'
