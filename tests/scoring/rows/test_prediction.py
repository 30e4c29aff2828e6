"""Batch + fitted pipeline → predictions: one per row, and the same whatever rows stand around it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from demo.seed import read_table
from scoring.errors import PredictionError
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.job.files import load_job
from scoring.job.task import BINARY
from scoring.night.gate import gate_reasons
from scoring.rows.contract import Contract
from scoring.rows.prediction import predict, prediction_schema, to_frame
from scoring.rows.summary import Summary
from scoring.settings import HOME
from tests.support.jobs import make_job

MODEST = settings(deadline=None, max_examples=50, derandomize=True)
APRIL = Nights(date(2013, 4, 1), date(2013, 4, 6)).interval("America/New_York")


def batch_of(*values: float | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"id": pa.array(range(len(values)), pa.int64()), "x": pa.array(values, pa.float64())}
    )


# ---------------------------------------------------------------- the frame: one null


EVERY = make_job(
    features={
        "number": {"type": "float", "nullable": True},
        "whole": {"type": "int", "nullable": True},
        "flag": {"type": "bool", "nullable": True},
        "word": {"type": "category", "nullable": True},
        "moment": {"type": "datetime", "nullable": True},
    }
)
ARROW = pa.schema(
    {
        "number": pa.float64(),
        "whole": pa.int64(),
        "flag": pa.bool_(),
        "word": pa.string(),
        "moment": pa.timestamp("us", "UTC"),
    }
)
FULL: dict[str, Any] = {
    "number": 1.5,
    "whole": 2,
    "flag": True,
    "word": "a",
    "moment": datetime(2013, 4, 1, tzinfo=UTC),
}
DTYPES = {
    "number": "float64",
    "whole": "float64",
    "flag": "float64",
    "word": "object",
    "moment": "datetime64[us, UTC]",
}


def frame_of(*rows: dict[str, Any]) -> pd.DataFrame:
    return to_frame(pa.RecordBatch.from_pylist(list(rows), ARROW), EVERY)


@pytest.mark.parametrize("rows", [[FULL], [FULL, {}], [{}], [{}, {}], []], ids=["full", "mixed", "null", "nulls", "no"])
def test_to_frame_has_the_same_types_whatever_is_null(rows):
    frame = frame_of(*rows)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == DTYPES
    assert len(frame) == len(rows)


def test_to_frame_has_one_null():
    frame = frame_of({}, FULL, {})
    for name in ("number", "whole", "flag", "word"):
        assert [type(value) for value in frame[name].iloc[0:3:2]] == [float, float]
        assert np.isnan(frame[name].iloc[0])
    assert frame["moment"].iloc[0] is pd.NaT
    assert frame.iloc[1].to_dict() == {**FULL, "whole": 2.0, "flag": 1.0, "moment": pd.Timestamp(FULL["moment"])}


def test_to_frame_is_the_same_for_none_and_nan():
    job = make_job(features={"x": {"type": "float", "nullable": True}, "w": {"type": "category", "nullable": True}})
    words = pa.array(["a", None, None])
    mixed = pa.RecordBatch.from_pydict({"x": pa.array([1.0, None, float("nan")]), "w": words})
    plain = pa.RecordBatch.from_pydict({"x": pa.array([1.0, None, None]), "w": words})
    pd.testing.assert_frame_equal(to_frame(mixed, job), to_frame(plain, job), check_exact=True)
    assert to_frame(mixed, job)["x"].isna().tolist() == [False, True, True]


def test_to_frame_is_the_same_for_a_batch_a_table_of_chunks_and_a_slice():
    rows: list[dict[str, Any]] = [FULL, {}, {**FULL, "word": "b"}, {"word": ""}]
    whole = frame_of(*rows)
    chunks = pa.Table.from_batches([pa.RecordBatch.from_pylist([row], ARROW) for row in rows])
    pd.testing.assert_frame_equal(to_frame(chunks, EVERY), whole, check_exact=True)
    around = pa.RecordBatch.from_pylist([{}, *rows, FULL], ARROW).slice(1, 4)
    pd.testing.assert_frame_equal(to_frame(around, EVERY), whole, check_exact=True)
    assert whole["word"].iloc[3] == ""  # an empty text is no null


def test_to_frame_has_the_features_only_in_the_declared_order():
    batch = pa.RecordBatch.from_pylist([{"extra": 1, **dict(reversed(FULL.items()))}])
    assert list(to_frame(batch, EVERY)) == list(EVERY.features)


def test_to_frame_takes_whole_numbers_that_a_float_can_only_round():
    frame = frame_of({"whole": 2**53 + 1}, {"whole": -(2**63)})
    assert frame["whole"].tolist() == [2.0**53, -(2.0**63)]


# ---------------------------------------------------------------- predict, by task


class Says:
    """A fitted pipeline that gives what it was told to."""

    def __init__(self, output: Any, classes: list[Any] | None = None) -> None:
        self.output = output
        if classes is not None:
            self.classes_ = np.array(classes)

    def predict(self, X: pd.DataFrame) -> Any:
        if isinstance(self.output, Exception):
            raise self.output
        return self.output

    predict_proba = predict


def test_predict_gives_the_probability_of_true_and_its_decision():
    says = Says(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), [0, 1])
    found = predict(says, batch_of(1.0, 2.0, None), make_job())
    assert found.schema == prediction_schema(make_job())
    assert found.to_pydict() == {
        "id": [0, 1, 2],
        "prediction": [False, True, True],
        "probability": [0.1, 0.5, 0.8],
    }


@pytest.mark.parametrize("classes", [[0, 1], [False, True], [0.0, 1.0], ["0", "1"]])
def test_predict_takes_the_two_classes_however_they_are_written(classes):
    says = Says(np.array([[0.3, 0.7]]), classes)
    assert predict(says, batch_of(1.0), make_job()).column("probability").to_pylist() == [0.7]


def test_predict_gives_the_number_of_a_regression():
    found = predict(Says(np.array([1, 2], dtype=np.int64)), batch_of(1.0, None), make_job("regression"))
    assert found.schema == pa.schema({"id": pa.int64(), "prediction": pa.float64()})
    assert found.to_pydict() == {"id": [0, 1], "prediction": [1.0, 2.0]}


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 0, 2], [2, 1, 0]])
def test_predict_gives_probabilities_in_the_declared_order_of_classes(order):
    data = load_wine()
    names = np.array(["barbera", "grignolino", "zinfandel"])
    names = names[[2, 0, 1]]  # so that the order of the data is not the sorted one either
    job = make_job(
        "multiclass",
        [str(names[position]) for position in order],
        features={f"f{n}": {"type": "float"} for n in range(data.data.shape[1])},
    )
    columns = {f"f{n}": pa.array(data.data[:, n]) for n in range(data.data.shape[1])}
    batch = pa.RecordBatch.from_pydict({"id": pa.array(range(len(data.data)), pa.int64()), **columns})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(to_frame(batch, job), names[data.target])

    found = predict(pipeline, batch, job)

    assert found.schema == prediction_schema(job)
    assert found.schema.names == ["id", "prediction", *job.probability_columns]
    frame = to_frame(batch, job)
    assert found.column("prediction").to_pylist() == list(pipeline.predict(frame))
    expected = pd.DataFrame(pipeline.predict_proba(frame), columns=pipeline.classes_)
    for name in names:
        np.testing.assert_array_equal(np.asarray(found.column(f"probability_{name}")), expected[name].to_numpy())
    right = np.array(found.column("prediction").to_pylist()) == names[data.target]
    assert right.mean() > 0.95  # the names belong to the right columns


def test_predict_gives_no_rows_for_no_rows_without_asking_the_pipeline():
    for job in (make_job(), make_job("regression"), make_job("multiclass", ["a", "b", "c"])):
        found = predict(Says(AssertionError("asked")), batch_of(), job)
        assert (found.num_rows, found.schema) == (0, prediction_schema(job))


def test_predict_keeps_keys_of_every_type_in_their_order():
    job = make_job("regression", key={"id": "int", "code": "string", "at": "datetime", "day": "date"}, time_column="at")
    keys = {
        "id": pa.array([2, 1]),
        "code": pa.array(["b", "a"]),
        "day": pa.array([date(2013, 4, 1)] * 2),
        "at": pa.array([datetime(2013, 4, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
    }
    batch = pa.RecordBatch.from_pydict({"x": pa.array([1.0, 2.0]), **keys})
    found = predict(Says(np.array([0.5, 0.25])), batch, job)
    assert found.to_pydict() == {
        **{name: column.to_pylist() for name, column in keys.items()},
        "prediction": [0.5, 0.25],
    }


@pytest.mark.parametrize(
    ("task", "output", "classes", "said"),
    [
        # the wrong shape
        ("binary", np.ones((2, 2)), [0, 1], ["found shape (2, 2)", "expected shape (3, 2)"]),
        ("binary", np.ones(3), [0, 1], ["found shape (3,)", "expected shape (3, 2)"]),
        ("binary", np.ones((3, 3)), [0, 1], ["found shape (3, 3)", "expected shape (3, 2)"]),
        ("regression", np.ones((3, 1)), None, ["found shape (3, 1)", "expected shape (3,)"]),
        ("regression", np.ones(4), None, ["found shape (4,)", "expected shape (3,)"]),
        ("regression", 1.0, None, ["found shape ()", "expected shape (3,)"]),
        ("regression", None, None, ["found shape ()"]),
        # values that are no numbers
        ("binary", np.array([[0.5, 0.5], [np.nan, 0.5], [0.1, np.inf]]), [0, 1], ["2 rows not finite"]),
        ("regression", np.array([1.0, np.nan, 2.0]), None, ["1 rows not finite", "expected finite numbers"]),
        ("regression", np.array([1.0, np.inf, -np.inf]), None, ["2 rows not finite"]),
        ("regression", np.array(["a", "b", "c"]), None, ["'a'"]),
        ("regression", np.array([None, 1, 2], dtype=object), None, []),
        # the wrong classes
        ("binary", np.ones((3, 2)), [1, 2], ["classes of the pipeline of shop", "[0, 1]"]),
        ("binary", np.ones((3, 1)), [1], ["classes of the pipeline of shop", "[0, 1]"]),
        ("binary", np.ones((3, 2)), ["no", "yes"], ["classes of the pipeline of shop"]),
        ("binary", np.ones((3, 2)), None, ["classes of the pipeline of shop", "found []"]),
        ("multiclass", np.ones((3, 2)), ["a", "b"], ["classes of the pipeline of shop", "['a', 'b', 'c']"]),
        ("multiclass", np.ones((3, 3)), ["a", "b", "d"], ["classes of the pipeline of shop", "['a', 'b', 'c']"]),
        # a pipeline that fails
        ("binary", ValueError("no such column"), [0, 1], ["found ValueError: no such column"]),
        ("regression", KeyError("x"), None, ["found KeyError: 'x'"]),
        ("regression", MemoryError("too much"), None, ["MemoryError"]),
    ],
)
def test_predict_raises_when_the_pipeline_does_not_give_one_finite_prediction_per_row(task, output, classes, said):
    job = make_job(task, ["c", "a", "b"] if task == "multiclass" else None)
    with pytest.raises(PredictionError, match="shop") as caught:
        predict(Says(output, classes), batch_of(1.0, None, 3.0), job)
    for part in said:
        assert part in str(caught.value)
    assert not caught.value.retryable


def test_predict_names_the_libraries_own_error_when_the_pipeline_is_not_fitted():
    with pytest.raises(PredictionError, match="shop"):
        predict(make_pipeline(StandardScaler(), LogisticRegression()), batch_of(1.0), make_job())


# ---------------------------------------------------------------- row independence, with the demo's pipelines


@pytest.fixture(scope="module")
def april() -> pa.Table:
    """The demo's flights of the first days of April 2013 with what features.sql adds to them."""
    flights, weather, planes = (read_table(name) for name in ("flights", "weather", "planes"))
    chosen = flights.filter((pc.field("month") == 4) & (pc.field("day") <= 5))
    joined = chosen.join(weather.drop_columns(["year", "month", "day", "hour"]), ["origin", "time_hour"])
    joined = joined.join(planes.rename_columns({"year": "built"}), "tailnum").sort_by([("time_hour", "ascending")])
    hour, minute, due, built = (joined.column(name) for name in ("hour", "minute", "sched_arr_time", "built"))
    made = {
        "sched_dep_minute": pc.add(pc.multiply(hour, 60), minute),
        "sched_arr_minute": pc.min_element_wise(pc.divide(due, 2), 1439),
        "day_of_week": pc.day_of_week(joined.column("time_hour"), count_from_zero=False),
        "plane_age": pc.subtract(2013, built),
    }
    return pa.table({**{name: joined.column(name) for name in joined.column_names}, **made})


def accepted(table: pa.Table, job: Job) -> pa.Table:
    """Return the rows of the table that the job's contract accepts, in its types."""
    contract = Contract(job, APRIL)
    return pa.Table.from_batches([contract.split(batch).accepted for batch in table.combine_chunks().to_batches()])


def awkward(table: pa.Table, job: Job) -> pa.RecordBatch:
    """Return rows as they come and with every kind of null, rare and unseen category."""
    plain = table.slice(0, 40).to_pylist()
    nullable = [name for name, feature in job.features.items() if feature.nullable]
    rows = list(plain)
    rows += [{**row, name: None} for row, name in zip(plain, nullable * 2, strict=False)]
    rows += [{**row, **dict.fromkeys(nullable)} for row in plain[:10]]
    rows += [
        {**row, "carrier": carrier} for row, carrier in zip(plain, ["ZZ", "OO", "HA", "", None, "zz"], strict=False)
    ]
    rows += [{**row, "dest": "XXX", "carrier": "ZZ", "origin": "ABC", **dict.fromkeys(nullable)} for row in plain[:5]]
    rows += [{**row, "distance": 1e9} for row in plain[:3]]
    return pa.RecordBatch.from_pylist(rows, table.schema)


@pytest.mark.parametrize("name", ["flight_delay", "flight_duration"])
def test_predict_of_a_row_does_not_depend_on_the_rows_around_it(april, name):
    job = load_job(HOME / "jobs" / f"{name}.yaml")
    rows = accepted(april, job)
    train, unseen = rows.slice(0, 3500), rows.slice(3500)
    assert unseen.num_rows > 500
    random = np.random.default_rng(0)
    distance = np.asarray(train.column("distance"))
    if job.task is BINARY:
        label = random.random(train.num_rows) < np.where(distance > 1000, 0.4, 0.2)
    else:
        label = distance / 8 + random.normal(0, 10, train.num_rows)
    pipeline = job.pipeline_factory()().fit(to_frame(train, job), label)
    batch = awkward(unseen, job)

    whole = predict(pipeline, batch, job)

    assert len(set(whole.column(whole.schema.names[-1]).to_pylist())) > 30  # it tells rows apart
    alone = [predict(pipeline, batch.slice(row, 1), job) for row in range(batch.num_rows)]
    assert pa.Table.from_batches(alone).to_pylist() == whole.to_pylist()
    backwards = predict(pipeline, batch.take(pa.array(range(batch.num_rows - 1, -1, -1))), job)
    assert backwards.to_pylist() == whole.to_pylist()[::-1]
    halves = [predict(pipeline, half, job) for half in (batch.slice(0, 31), batch.slice(31))]
    assert pa.Table.from_batches(halves).to_pylist() == whole.to_pylist()


# ---------------------------------------------------------------- summaries


FINITE = st.floats(-1e6, 1e6)


def regression_of(values: list[float | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"prediction": pa.array(values, pa.float64())})


@MODEST
@given(values=st.lists(FINITE, max_size=20), cut=st.integers(0, 20), other=st.integers(0, 20))
def test_summary_of_parts_adds_up_to_the_summary_of_the_whole(values, cut, other):
    job = make_job("regression")
    first, second = sorted((min(cut, len(values)), min(other, len(values))))
    parts = [Summary.of(regression_of(part), job) for part in (values[:first], values[first:second], values[second:])]
    whole = Summary.of(regression_of(values), job)
    for together in ((parts[0] + parts[1]) + parts[2], parts[2] + (parts[1] + parts[0])):
        assert (together.rows, together.nulls, together.low, together.high) == (
            whole.rows,
            whole.nulls,
            whole.low,
            whole.high,
        )
        assert math.isclose(together.total, whole.total, rel_tol=1e-9, abs_tol=1e-6)
        assert math.isclose(together.squares, whole.squares, rel_tol=1e-9, abs_tol=1e-6)
    assert whole + Summary() == Summary() + whole == whole
    if values:
        assert math.isclose(whole.mean, float(np.mean(values)), rel_tol=1e-9, abs_tol=1e-6)
        assert math.isclose(whole.sd, float(np.std(values)), rel_tol=1e-3, abs_tol=0.1)


@MODEST
@given(values=st.lists(FINITE, max_size=20))
def test_summary_survives_json(values):
    summary = Summary.of(regression_of(values), make_job("regression"))
    assert Summary.from_dict(summary.as_dict()) == summary


def test_summary_of_no_rows_is_the_neutral_one():
    empty = Summary.of(regression_of([]), make_job("regression"))
    assert empty == Summary()
    assert math.isnan(empty.mean)
    assert math.isnan(empty.sd)
    assert empty.as_dict() == {"rows": 0, "nulls": 0, "total": 0.0, "squares": 0.0}


def test_summary_stands_for_each_task():
    binary = pa.RecordBatch.from_pydict({"prediction": [True, False], "probability": [0.75, 0.25]})
    assert Summary.of(binary, make_job()) == Summary(2, 0, 1.0, 0.625, 0.25, 0.75)
    job = make_job("multiclass", ["b", "a", "c"])
    classes = {"probability_b": [0.5, 0.0], "probability_a": [0.25, 0.25], "probability_c": [0.25, 0.75]}
    multiclass = pa.Table.from_pydict({"prediction": ["b", "c"], **classes})
    assert Summary.of(multiclass, job) == Summary(2, 0, 1.25, 0.8125, 0.5, 0.75)


def test_summary_counts_null_predictions():
    assert Summary.of(regression_of([1.0, None, None]), make_job("regression")).nulls == 2


# ---------------------------------------------------------------- the publish gate


GATED = make_job("regression", gate={"min_rows": 100, "max_quarantine_share": 0.05, "max_mean_shift_sd": 1.5})
REFERENCE = Summary.of(regression_of([0.0, 2.0] * 500), GATED)  # mean 1, standard deviation 1


def night(values: list[float | None]) -> Summary:
    return Summary.of(regression_of(values), GATED)


@pytest.mark.parametrize(
    ("scored", "quarantined", "said"),
    [
        (night([0.0, 2.0] * 50), 0, None),
        (night([0.0, 2.0] * 95), 10, None),
        (night([1.0, 3.9] * 50), 0, None),
        (night([0.0, 2.0] * 49), 0, "98 rows scored, gate.min_rows is 100"),
        (night([0.0, 2.0] * 50), 6, "5.7% of rows quarantined, gate.max_quarantine_share is 5.0%"),
        (
            night([1.0, 4.2] * 50),
            0,
            "mean prediction 2.6 lies 1.6 reference sd from the reference mean 1, gate.max_mean_shift_sd is 1.5",
        ),
        (night([-1.0, -0.2] * 50), 0, "mean prediction -0.6 lies 1.6 reference sd from the reference mean 1"),
        (night([1.5] * 100), 0, "all 100 predictions are 1.5, the reference sd is 1"),
        (Summary(rows=100, nulls=3, total=100.0, squares=200.0, low=0.0, high=2.0), 0, "3 null predictions"),
    ],
    ids=["usual", "at the share", "at the shift", "few", "quarantine", "far up", "far down", "constant", "nulls"],
)
def test_gate_reasons_name_the_limit_that_a_night_breaks(scored, quarantined, said):
    reasons = gate_reasons(GATED, scored, quarantined, REFERENCE)
    if said is None:
        assert reasons == []
    else:
        assert len(reasons) == 1
        assert said in reasons[0]


def test_gate_reasons_name_every_limit_at_once():
    reasons = gate_reasons(GATED, night([9.0] * 99), 50, REFERENCE)
    assert len(reasons) == 3
    assert [
        word for word in ("min_rows", "max_quarantine_share", "max_mean_shift_sd") if word in " ".join(reasons)
    ] == [
        "min_rows",
        "max_quarantine_share",
        "max_mean_shift_sd",
    ]


def test_gate_reasons_hold_a_night_whose_every_row_is_quarantined():
    reasons = gate_reasons(make_job("regression"), Summary(), 10, REFERENCE)
    assert len(reasons) == 2
    assert "0 rows scored" in reasons[0]
    assert "100.0% of rows quarantined" in reasons[1]


def test_gate_reasons_see_null_predictions_that_spoil_the_mean():
    reasons = gate_reasons(GATED, night([0.0, 2.0, None] * 50), 0, REFERENCE)
    assert "50 null predictions" in reasons


def test_gate_reasons_need_no_reference_that_varies():
    constant = Summary.of(regression_of([1.0] * 1000), GATED)
    assert gate_reasons(GATED, night([1.0] * 100), 0, constant) == []
    assert gate_reasons(GATED, night([0.0, 2.0] * 50), 0, Summary()) == []
