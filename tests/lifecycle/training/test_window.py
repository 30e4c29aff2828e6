"""Which nights are trained on, and the gap between those that are fitted and those that judge."""

from __future__ import annotations

from datetime import date, timedelta
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from lifecycle.training.fit import fit, fit_and_hold_out, out_of_fold, parted
from lifecycle.training.rows import NIGHT
from lifecycle.training.window import known_before, left_out, no_holdout, unseen_from
from scoring.errors import NightError, TrainingDataError
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.stores import LABEL_COLUMN

DAY = timedelta(days=1)
D = date(2024, 3, 1)


def late(job: Job, delay: int, horizon: int | None = None, **training: object) -> Job:
    label = job.label.model_copy(update={"delay_days": delay, "horizon_days": horizon})
    return job.model_copy(update={"label": label, "training": job.training.model_copy(update=training)})


@pytest.mark.parametrize("delay", [0, 1, 30])
def test_only_nights_whose_labels_were_known_are_trained_on(plain_job: Job, delay: int) -> None:
    """The label of night N is known at the end of night N + delay, and night D - 1 is the last that had ended."""
    job = late(plain_job, delay)
    window = known_before(job, D)
    assert window.last + delay * DAY == D - DAY
    assert len(window) == 90
    assert known_before(job, D, D - 40 * DAY) == Nights(D - 40 * DAY, D - delay * DAY)
    assert known_before(late(plain_job, delay, window="expanding"), D).first == job.schedule.first_night


def test_what_is_left_out_is_said(plain_job: Job) -> None:
    assert left_out(late(plain_job, 0), known_before(late(plain_job, 0), D), D) is None
    one, month = (left_out(job, known_before(job, D), D) for job in (late(plain_job, 1), late(plain_job, 30)))
    assert (
        one == "left out: night 2024-02-29, whose labels were not known when 2024-03-01 began (label.delay_days is 1)"
    )
    assert month is not None
    assert month.startswith("left out: the 30 nights 2024-01-31 to 2024-02-29, whose labels were not known")


def test_no_night_with_labels_is_an_error_that_says_so(plain_job: Job) -> None:
    job = late(plain_job, 30)
    with pytest.raises(NightError, match=r"labels were known of the nights before 2024-01-31.*label.delay_days is 30"):
        known_before(job, D, D - 30 * DAY)
    assert len(known_before(job, D, D - 31 * DAY)) == 1


def test_too_few_nights_for_a_holdout_are_counted(plain_job: Job) -> None:
    job = late(plain_job, 30)
    assert no_holdout(job, Nights.before(D, 45), 14) is None
    short = no_holdout(job, Nights.before(D, 44), 14)
    assert short == (
        "too few nights (found 44, expected at least 45: 1 to fit on + 30 between them (label.horizon_days) "
        "+ 14 of training.holdout_nights)"
    )
    assert no_holdout(late(plain_job, 1), Nights.before(D, 15), 14) is None


def test_a_version_has_seen_the_outcomes_that_overlap_its_own(plain_job: Job) -> None:
    assert unseen_from(late(plain_job, 1), D) == D
    assert unseen_from(late(plain_job, 7), D) == D + 7 * DAY
    assert unseen_from(late(plain_job, 7, 2), D) == D + 2 * DAY


# ---------------------------------------------------------------- purged


def nights(count: int, rows: int = 40) -> pa.Table:
    random = np.random.default_rng(0)
    days = np.repeat([D + number * DAY for number in range(count)], rows)
    size = count * rows
    return pa.table(
        {
            "at": pa.array([None] * size, pa.timestamp("us", "UTC")),
            "id": np.arange(size),
            "x": random.normal(size=size),
            "kind": random.choice(["a", "b"], size),
            NIGHT: pa.array(days, pa.date32()),
            LABEL_COLUMN: random.random(size) < 0.5,
        }
    )


def days_of(table: pa.Table) -> tuple[int, int]:
    days = table.column(NIGHT).to_pylist()
    return (min(days) - D).days, (max(days) - D).days


@pytest.mark.parametrize(("gap", "last"), [(0, 19), (1, 18), (7, 12)])
def test_outcomes_of_the_first_part_are_over_when_the_second_begins(gap: int, last: int) -> None:
    """The outcome of night N is over at the end of night N + gap; the second part begins with night 20."""
    early, judged = parted(nights(30), D + 20 * DAY, gap)
    assert (days_of(early), days_of(judged)) == ((0, last), (20, 29))
    assert last + gap < 20


class Spy(ClassifierMixin, BaseEstimator):
    """A pipeline that remembers what it was fitted on."""

    seen: ClassVar[list[set[float]]] = []

    def fit(self, frame, y):
        type(self).seen.append(set(frame["x"]))
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, frame):
        return np.full((len(frame), 2), 0.5)

    def predict(self, frame):
        return np.zeros(len(frame), dtype=int)


def fitted_nights(table: pa.Table) -> list[list[int]]:
    """Return the nights that each fit was given."""
    night = dict(zip(table.column("x").to_pylist(), table.column(NIGHT).to_pylist(), strict=True))
    return [sorted({(night[x] - D).days for x in seen}) for seen in Spy.seen]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch, plain_job: Job) -> Job:
    monkeypatch.setattr(Spy, "seen", [])
    return plain_job.model_copy(update={"pipeline": f"{__name__}:Spy"})


def test_reference_predictions_keep_a_gap_on_both_sides(spied: Job) -> None:
    table = nights(30)
    out_of_fold(late(spied, 3), None, table)
    first, middle, last = fitted_nights(table)
    assert first == [*range(13, 30)]
    assert middle == [*range(7), *range(23, 30)] or middle == [*range(8), *range(22, 30)]  # half of the nights are left
    assert last == [*range(17)]


def test_reference_predictions_without_a_horizon_are_of_all_other_nights(spied: Job) -> None:
    table = nights(30)
    out_of_fold(spied, None, table)
    assert fitted_nights(table) == [[*range(10, 30)], [*range(10), *range(20, 30)], [*range(20)]]


def test_calibration_keeps_the_gap(spied: Job) -> None:
    table = nights(30)
    job = late(spied, 5, calibration="sigmoid", calibration_nights=10)
    with pytest.raises(TrainingDataError, match=r"label\.horizon_days, 25, apart"):
        fit(table, late(job, 25))
    fit(table, job)
    assert fitted_nights(table)[-1] == [*range(15)]


def test_a_window_that_is_too_short_has_no_metrics(spied: Job) -> None:
    early, judged = parted(nights(30), D + 20 * DAY, 30)
    held = fit_and_hold_out(late(spied, 30), early, judged)
    assert (held.pipeline, held.scores, held.holdout) == (None, {}, None)
