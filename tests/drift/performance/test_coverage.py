"""The verdict on the coverage of intervals."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from drift.performance import CoverageStandard, coverage_of, missed_shares
from drift.performance.coverage import with_coverage
from drift.performance.judgement import Judgement
from scoring.job import REGRESSION, IntervalPolicy, Job
from scoring.rows import Band

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(60)]
ROWS = 100


@pytest.fixture
def job(plain_job: Job) -> Job:
    return plain_job.model_copy(update={"task": REGRESSION, "interval": IntervalPolicy(level=0.9)})


def rows_of(nights: int, seed: int, scale: float = 1.0) -> pa.Table:
    """Return rows of nights, each of which is as good or bad as its weather."""
    random = np.random.default_rng(seed)
    predicted = random.uniform(50, 100, nights * ROWS)
    weather = np.repeat(random.uniform(0.6, 1.4, nights), ROWS)
    outcome = predicted + scale * weather * random.normal(size=nights * ROWS)
    night = np.repeat(np.array(DAYS[:nights], dtype="datetime64[D]"), ROWS)
    return pa.table({"nightshift_night": pa.array(night), "prediction": predicted, "outcome": outcome})


def lived(job: Job, scale: float, nights: int = 14, seed: int = 1) -> tuple[CoverageStandard, list[float]]:
    training = rows_of(60, 0)
    band = Band.of(training["prediction"].to_numpy(), training["outcome"].to_numpy())
    standard = CoverageStandard.of(training, band, job)
    assert band is not None
    assert standard is not None
    later = rows_of(nights, seed, scale)
    lower, upper = band.limits(later["prediction"].to_numpy(), 0.1)
    truth = later["outcome"].to_numpy()
    return standard, list(((truth >= lower) & (truth <= upper)).reshape(nights, ROWS).mean(axis=1))


def verdicts(job: Job, scale: float, seed: int = 1) -> list[str | None]:
    standard, covered = lived(job, scale, seed=seed)
    return [
        coverage_of(missed_shares(DAYS[:last], covered[:last], [ROWS] * last), standard).verdict
        for last in range(1, len(covered) + 1)
    ]


def test_nights_as_at_training_are_ok(job: Job) -> None:
    every = [verdict for seed in range(1, 21) for verdict in verdicts(job, 1.0, seed)]
    assert every.count("alert") <= 1
    assert every.count("warn") <= 8


def test_outcomes_that_spread_more_are_an_alert_that_says_so(job: Job) -> None:
    assert "alert" in verdicts(job, 1.6)[:8]
    standard, covered = lived(job, 1.6)
    coverage = coverage_of(missed_shares(DAYS[:14], covered, [ROWS] * 14), standard)
    assert coverage.verdict == "alert"
    assert "intervals are too narrow: they hold" in coverage.reasons[0]
    assert coverage.reasons[0].endswith("expected 90 %")
    judgement = with_coverage(Judgement("ok", (), {}), coverage)
    assert (judgement.verdict, judgement.reasons) == ("alert", coverage.reasons)
    assert judgement.as_json()["coverage"]["level"] == 0.9


def test_intervals_that_are_far_too_wide_are_a_warning_and_no_alert(job: Job) -> None:
    found = verdicts(job, 0.3)
    assert "alert" not in found
    assert found[-1] == "warn"


def test_without_enough_training_nights_or_a_band_nothing_is_judged(job: Job) -> None:
    training = rows_of(10, 0)
    band = Band.of(training["prediction"].to_numpy(), training["outcome"].to_numpy())
    assert CoverageStandard.of(training, band, job) is None
    assert CoverageStandard.of(rows_of(60, 0), None, job) is None
    assert with_coverage(Judgement("ok", (), {}), None) == Judgement("ok", (), {})
