"""How far a night's mean prediction may lie from the reference's: sure models, rare outcomes, nights that differ."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from scoring.night.gate import gate_reasons
from scoring.rows.mean_shift import UsualNights
from scoring.rows.prediction import certainty
from scoring.rows.summary import Summary
from tests.support.jobs import make_job

CLASSES = ["a", "b", "c"]
NIGHTS = 10


def summary(values: np.ndarray) -> Summary:
    return Summary(len(values), 0, values.sum(), np.square(values).sum(), values.min(), values.max())


def spread(mean: float, sd: float, rows: int = 200) -> np.ndarray:
    """Return values with exactly this mean and standard deviation."""
    return mean + sd * np.where(np.arange(rows) % 2, 1.0, -1.0)


def reasons(task: str, training: list[np.ndarray], night: np.ndarray, **gate: float) -> list[str]:
    """Return what the gate says of a night, after training on these nights."""
    job = make_job(task, CLASSES if task == "multiclass" else None, gate=gate)
    values = np.concatenate(training)
    nights = pa.array(np.repeat(np.arange(len(training)), [len(one) for one in training]))
    return gate_reasons(job, summary(night), 0, summary(values), UsualNights.of(values, nights))


SURE = [spread(0.9913 + shift, 0.0001) for shift in np.linspace(-0.0001, 0.0001, NIGHTS)]


@pytest.mark.parametrize("mean", [0.9938, 0.9999, 0.97, 0.95])
def test_night_of_a_sure_model_passes_although_its_rows_hardly_differ(mean: float) -> None:
    assert reasons("multiclass", SURE, spread(mean, 0.00005)) == []


@pytest.mark.parametrize("mean", [0.5, 0.34, 0.9])
def test_night_on_which_a_sure_model_is_unsure_is_held(mean: float) -> None:
    (told,) = reasons("multiclass", SURE, spread(mean, 0.01))
    assert "gate.min_mean_shift" in told
    assert "reference mean 0.9913" in told


def test_sure_version_from_before_nights_were_kept_passes_too() -> None:
    job = make_job("multiclass", CLASSES)
    reference = summary(spread(0.9913, 0.00016))
    assert gate_reasons(job, summary(spread(0.9938, 0.0001)), 0, reference) == []
    assert gate_reasons(job, summary(spread(0.5, 0.1)), 0, reference) != []


def test_two_sure_classes_half_and_half_are_held_when_all_rows_turn_into_one() -> None:
    """The rows' own standard deviation is 0.49: by it alone no night could ever be held."""
    training = [spread(0.5 + shift, 0.49) for shift in np.linspace(-0.02, 0.02, NIGHTS)]
    (told,) = reasons("binary", training, spread(0.985, 0.01))
    assert "10 times as far as the farthest of 10 training nights" in told
    assert reasons("binary", training, spread(0.62, 0.45)) == []
    assert reasons("binary", training, np.array([0.99, 0.98])) == [], "two rows say nothing of their night"


def test_few_training_nights_do_not_narrow_what_is_allowed() -> None:
    training = [spread(0.5 + shift, 0.3) for shift in (-0.001, 0.001)]
    assert reasons("binary", training, spread(0.6, 0.3)) == []


def test_rare_outcome_is_guarded_by_its_own_size() -> None:
    training = [spread(0.002 + shift, 0.0015) for shift in np.linspace(-0.0002, 0.0002, NIGHTS)]
    assert reasons("binary", training, spread(0.009, 0.002)) == []
    assert reasons("binary", training, spread(0.04, 0.01)) != []


def test_nights_that_differ_more_than_their_rows_pass() -> None:
    """One value a night, such as a price of the day: the nights of training would not have passed by their rows."""
    training = [spread(100.0, 0.001) for _ in range(30)] + [spread(140.0, 0.001)]
    assert reasons("regression", training, spread(160.0, 0.001)) == []
    (told,) = reasons("regression", training, spread(200.0, 0.001))
    assert "2 times as far as the farthest of 31 training nights" in told


def test_regression_is_judged_by_its_own_magnitude() -> None:
    for unit in (1e-6, 1.0, 1e9):
        training = [spread(100 * unit, 0.001 * unit)] * NIGHTS
        assert reasons("regression", training, spread(100.9 * unit, 0.001 * unit)) == []
        assert reasons("regression", training, spread(102 * unit, 0.001 * unit)) != []


def test_constant_regression_passes_as_long_as_it_stays_the_same() -> None:
    training = [np.full(200, 0.1)] * NIGHTS
    assert reasons("regression", training, np.full(200, 0.1)) == []
    (told,) = reasons("regression", training, np.full(200, 60.0))
    assert told.startswith("mean prediction 60 lies 59.9 from the reference mean 0.1")


def test_predictions_that_are_all_the_same_pass_where_training_had_such_nights() -> None:
    """A tree whose one leaf takes nearly every row; each fold of the training has a leaf of its own."""
    mostly = [np.append(np.full(999, value), 0.6) for value in (0.991, 0.992, 0.993)]
    assert reasons("multiclass", mostly, np.full(500, 0.9931)) == []
    (told,) = reasons("multiclass", [spread(0.99, 0.001)] * 3, np.full(500, 0.99))
    assert told.startswith("all 500 predictions are 0.99, the reference sd is 0.001")


def test_floor_can_be_set() -> None:
    assert reasons("multiclass", SURE, spread(0.9938, 0.0001), min_mean_shift=0) != []
    assert reasons("multiclass", SURE, spread(0.8, 0.0001), min_mean_shift=0.2) == []


def test_usual_nights_survive_json() -> None:
    found = UsualNights.of(np.array([0.1, 0.3]), pa.array([1, 2]))
    assert UsualNights.from_dict(found.as_dict()) == found
    assert UsualNights.of(np.array([]), pa.array([])) == UsualNights() == UsualNights.from_dict({})


def test_certainty_is_the_highest_probability_of_several() -> None:
    job = make_job("multiclass", CLASSES)
    table = pa.table({"prediction": ["a"], "probability_a": [0.5], "probability_b": [0.3], "probability_c": [0.2]})
    assert certainty(table, job).tolist() == [0.5]
