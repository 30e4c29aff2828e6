"""Registration's proof that what a pipeline says of a row depends on the row alone, and what a night makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from lifecycle.training.row_independence import BLOCK_ROWS, proven_rule, reference_rows
from lifecycle.training.train import train
from scoring.errors import PipelineNotRowWise, PredictionError
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.job.task import REGRESSION
from scoring.night.run import run_night
from scoring.rows.prediction import predict, to_frame
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.pipelines import MedianDecision, OfTheBatch, decided_by, of_the_batch
from tests.support.runs import request
from tests.support.toy import EVENTS, FIRST, NIGHT, UNTIL, train_champion


@pytest.fixture
def two_threads() -> Iterator[None]:
    """The libraries compute in two threads, as in a night: then a matrix product is rounded by its number of rows."""
    with threadpool_limits(2):
        yield


def proven(pipeline: Any, batch: pa.RecordBatch, job: Job, threads: int = 2) -> Any:
    """Return the rule of a pipeline that is fitted on the batch."""
    target = EVENTS["x"].fillna(0) * 1000 if job.task is REGRESSION else EVENTS["y"].astype(int)
    return proven_rule(pipeline.fit(to_frame(batch, job), target), reference_rows(batch, job), job, threads)


def coded(model: Any) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(make_column_transformer((codes, ["kind"]), remainder="passthrough"), model)


def test_reference_rows_hold_nulls_and_categories_that_training_did_not_have(
    plain_rows: pa.RecordBatch, plain_job: Job
) -> None:
    rows = reference_rows(plain_rows, plain_job).to_pandas()
    assert set(rows["kind"]) == {"a", "b", "c", "a level that training did not have"}
    assert rows["x"].tail(3).isna().all()
    assert len(rows) == 125


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "way",
    ["mean", "slightly", "rank", "fillna", "shift", "length", "noise", "seeded_noise", "sorted", "calls", "running"],
)
def test_transformer_that_looks_at_its_batch_is_refused(plain_rows: pa.RecordBatch, plain_job: Job, way: str) -> None:
    with pytest.raises(PipelineNotRowWise):
        proven(of_the_batch(way), plain_rows, plain_job)


@pytest.mark.parametrize("way", ["mean", "shift", "calls", "noise"])
def test_refusal_names_the_step_rows_and_difference(plain_rows: pa.RecordBatch, plain_job: Job, way: str) -> None:
    with pytest.raises(PipelineNotRowWise) as caught:
        proven(of_the_batch(way), plain_rows, plain_job)
    said = str(caught.value)
    assert said.startswith("pipeline of plain, step columntransformer > 'ofthebatch' (OfTheBatch): found other predic")
    assert "of 125 rows, up to 0." in said
    assert "Next: in fit, learn what transform and predict need" in said


@pytest.mark.parametrize(
    ("wrapped", "step"),
    [
        (lambda inner: GridSearchCV(inner, {"logisticregression__C": [1.0]}), "columntransformer > 'ofthebatch'"),
        (lambda inner: CalibratedClassifierCV(inner, cv=2), "columntransformer > 'ofthebatch'"),
    ],
)
def test_step_is_found_inside_wrappers(plain_rows: pa.RecordBatch, plain_job: Job, wrapped: Any, step: str) -> None:
    with pytest.raises(PipelineNotRowWise, match=step):
        proven(wrapped(of_the_batch("mean")), plain_rows, plain_job)


def test_function_that_looks_at_its_batch_is_named(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    def centred(numbers: np.ndarray) -> np.ndarray:
        return numbers - numbers.mean(axis=0)

    model = make_pipeline(FunctionTransformer(centred), LogisticRegression())
    with pytest.raises(PipelineNotRowWise, match=r"'functiontransformer' \(FunctionTransformer of centred\)"):
        proven(decided_by(model), plain_rows, plain_job)


def test_decision_that_looks_at_its_batch_is_refused(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    with pytest.raises(PipelineNotRowWise, match="'mediandecision'"):
        proven(decided_by(MedianDecision()), plain_rows, plain_job)


def test_regression_is_judged_by_the_size_of_its_values(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    numbers = plain_job.model_copy(update={"task": REGRESSION})
    columns = make_column_transformer((OfTheBatch("mean"), ["x"]))
    with pytest.raises(PipelineNotRowWise):
        proven(TransformedTargetRegressor(make_pipeline(columns, Ridge())), plain_rows, numbers)


def test_pipeline_that_fails_on_one_row_alone_is_refused(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    def needs_two(numbers: np.ndarray) -> np.ndarray:
        if len(numbers) < 2:
            raise ValueError("two rows, please")
        return numbers

    model = make_pipeline(FunctionTransformer(needs_two), LogisticRegression())
    with pytest.raises(PipelineNotRowWise, match=r"one by one: .*two rows, please"):
        proven(decided_by(model), plain_rows, plain_job)


def test_pipeline_that_fails_on_all_rows_is_a_prediction_error(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    fitted = decided_by(LogisticRegression()).fit(to_frame(plain_rows, plain_job), EVENTS["y"].astype(int))
    fitted[-1].coef_ = fitted[-1].coef_[:, :2]
    with pytest.raises(PredictionError):
        proven_rule(fitted, reference_rows(plain_rows, plain_job), plain_job)


def test_pipeline_that_threads_share_through_its_class_is_refused(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    """Every time: one call runs at each line of the other."""
    for _ in range(3):
        with pytest.raises(PipelineNotRowWise, match="2 threads predict at once"):
            proven(of_the_batch("on_class"), plain_rows, plain_job)


# ---------------------------------------------------------------- what is not


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), MLPClassifier(max_iter=5)),
        KNeighborsClassifier(algorithm="brute", weights="distance"),
        make_pipeline(KNNImputer(), LogisticRegression()),
    ],
    ids=["logistic", "perceptron", "neighbours", "neighbours' mean"],
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_honest_matrix_products_are_scored_in_blocks_of_one_size(
    plain_rows: pa.RecordBatch, plain_job: Job, model: Any
) -> None:
    assert proven(decided_by(model), plain_rows, plain_job).block_rows == BLOCK_ROWS


@pytest.mark.usefixtures("two_threads")
def test_blocks_give_a_row_the_same_bits_wherever_it_stands(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    pipeline = make_pipeline(make_column_transformer((SimpleImputer(), ["x"])), MLPClassifier((50, 20), max_iter=3))
    with pytest.warns(match="Stochastic Optimizer"):
        rule = proven(pipeline, plain_rows, plain_job)
    whole = predict(pipeline, plain_rows, plain_job, rule)
    sevens = [predict(pipeline, plain_rows.slice(start, 7), plain_job, rule) for start in range(0, len(plain_rows), 7)]
    assert pa.Table.from_batches(sevens).to_pylist() == whole.to_pylist()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "model",
    [HistGradientBoostingClassifier(max_iter=5), RandomForestClassifier(10, n_jobs=2, min_samples_leaf=5)],
    ids=["boosting", "forest in two threads"],
)
def test_trees_are_scored_in_calls_of_any_size(plain_rows: pa.RecordBatch, plain_job: Job, model: Any) -> None:
    assert proven(coded(model), plain_rows, plain_job).block_rows is None


def test_pipeline_that_keeps_rows_on_itself_can_be_scored(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    """Each thread has a copy of its own."""
    assert proven(of_the_batch("on_self"), plain_rows, plain_job, threads=4).block_rows == BLOCK_ROWS


# ---------------------------------------------------------------- a night


def test_version_that_looks_at_its_batch_never_comes_to_be(untrained: Toy) -> None:
    untrained.change(pipeline="tests.support.pipelines:build_batch_mean")
    with pytest.raises(PipelineNotRowWise, match="ofthebatch"):
        train(untrained.work, Nights(FIRST, UNTIL))
    assert untrained.stores.registry.versions(untrained.job.name) == []


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "factory",
    [
        "tests.support.toy:build_pipeline",
        "tests.support.pipelines:build_on_self",
        "tests.support.pipelines:build_forest",
    ],
)
def test_night_is_the_same_whatever_its_chunks_and_threads(untrained: Toy, factory: str) -> None:
    untrained.change(pipeline=factory)
    train_champion(untrained.work)
    hashes = set()
    for chunk_rows, threads in ((7, 4), (60, 1), (60, 4), (100_000, 1)):
        settings = untrained.stores.settings.model_copy(update={"score_threads": threads})
        stores = untrained.stores.__class__(**{**vars(untrained.stores), "settings": settings})
        job = untrained.change(pipeline=factory, chunk_rows=chunk_rows)
        hashes.add(
            ledger.get(stores.warehouse, run_night(Workspace(stores, job), request(NIGHT)).run_id).predictions_hash
        )
    assert len(hashes) == 1
