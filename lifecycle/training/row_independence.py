"""Proves on a few rows that a pipeline's prediction of a row depends on that row only: not on chunk, neighbours or thread."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import ThreadpoolController

from lifecycle.training.interleaving import interleaved
from lifecycle.training.pipeline_steps import differing_step
from scoring.errors import NightshiftError, PipelineNotRowWise, PredictionError
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task
from scoring.rows import (
    Decision,
    Rule,
    decision_of,
    last_estimator,
    predict,
    sklearn_name,
    to_frame,
    warnings_of_threads,
)

REFERENCE_ROWS = 120
MANY_ROWS = 8_192
"""Rows of a large call. From about 2,000 on a matrix product of few columns is made by several threads."""
BLOCK_ROWS = 4_096
"""Rows of each call of pipelines without trees: a logistic regression takes 8 ms for them, and 5 ms for 1 row."""
ONES = 12
"""Rows that are predicted one by one."""
SEVENS = 10
"""Calls of seven rows each."""
ROUNDS = 3
"""Times that all threads predict at once."""
ROUNDING = 1e-5
"""Difference, in probability or of the largest value, beyond which no rounding of a matrix product explains it."""
LAST_BITS = 1e-12
"""As ``ROUNDING``, for calls of the same number of rows: on the processors measured there was no difference at all."""

_TREES = {"DecisionTree", "ExtraTree", "ExtraTrees", "GradientBoosting", "HistGradientBoosting", "RandomForest"}

Places = list[np.ndarray]
"""The rows of each call, by their places in the reference rows."""


def reference_rows(batch: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Return rows of the training data, spread evenly, then some with nulls wherever one may be and unseen categories."""
    spread = np.linspace(0, batch.num_rows - 1, min(REFERENCE_ROWS, batch.num_rows)).astype(int)
    rows = batch.select(job.columns).take(pa.array(spread))
    kinds = {name: feature for name, feature in job.features.items() if name not in job.key}
    nullable = [name for name, feature in kinds.items() if feature.nullable]
    open_ended = [
        name
        for name, feature in kinds.items()
        if feature.type == "category" and not feature.allowed and feature.unknown == "count"
    ]
    plain = rows.slice(0, min(3, rows.num_rows)).to_pylist()
    strange = [{**row, name: None} for name in nullable for row in plain[:1]]
    strange += [{**row, name: "a level that training did not have"} for name in open_ended for row in plain[:1]]
    strange += [{**row, **dict.fromkeys(nullable)} for row in plain if nullable]
    return pa.concat_batches([rows, pa.RecordBatch.from_pylist(strange, rows.schema)])


def proven_rule(pipeline: Any, rows: pa.RecordBatch, job: Job, threads: int = 2) -> Rule:
    """Return the rule by which the pipeline's rows can be scored in any chunks, by as many threads, with one result.

    Each way to cut the rows is tried on a copy of its own, as every process and thread of a night has one. Raises
    ``PipelineNotRowWise``, or ``PredictionError`` when the pipeline cannot predict the rows at all.
    """
    proof = _Proof(pipeline, rows, job)
    any_size = Rule(proof.settled(decision_of(pipeline, job)))
    trees = _made_of_trees(pipeline)
    proof.tried(any_size, proof.cuts(), 0.0 if trees else ROUNDING)
    proof.threaded(any_size, max(threads, 2), 0.0 if trees else ROUNDING)
    if trees:
        return any_size
    rule = replace(any_size, block_rows=BLOCK_ROWS)
    proof.tried(rule, proof.cuts(), LAST_BITS)
    return rule


class _Proof:
    """A pipeline, the rows that it is tried on, and their job."""

    def __init__(self, pipeline: Any, rows: pa.RecordBatch, job: Job) -> None:
        self.pipeline, self.rows, self.job = pipeline, rows, job
        self.n = rows.num_rows
        self.openmp = ThreadpoolController().select(user_api="openmp")

    def settled(self, decision: Decision) -> Decision:
        """Return the decision, or the decision by ``predict`` if that differs for a row."""
        if decision.by not in ("threshold", "largest"):
            return decision
        by_predict = Decision("predict", None, decision.origin)
        every = np.arange(self.n)
        cheap, dear = (self.ask(self.copied(), every, Rule(way))[:, 0] for way in (decision, by_predict))
        return decision if np.array_equal(cheap, dear) else by_predict

    def copied(self) -> Any:
        """Return a copy such as unpickling gives."""
        try:
            return copy.deepcopy(self.pipeline)
        except Exception as error:  # whatever a pipeline raises is its own: named and raised again
            raise PredictionError(
                f"pipeline of {self.job.name}", found=f"{type(error).__name__}: {error}", expected="one to be pickled"
            ) from error

    def ask(self, pipeline: Any, places: np.ndarray, rule: Rule) -> np.ndarray:
        """Return the prediction of some rows as a number, then the probabilities: shape (rows, 1 + classes).

        Boosted trees start no threads for a handful of rows, which cost up to 0.5 s a call on a busy machine.
        """
        with self.openmp.limit(limits=1):
            predictions = predict(pipeline, self.rows.take(pa.array(places)), self.job, rule)
        first = _AS_NUMBERS[self.job.task](predictions.column("prediction"), self.job)
        return np.column_stack(
            [first, *(np.asarray(predictions.column(name)) for name in self.job.probability_columns)]
        )

    def cuts(self) -> dict[str, Places]:
        """Return the ways to cut the rows into calls: for each way the rows of every call."""
        every, half = np.arange(self.n), self.n // 2
        sevens = [every[start : start + 7] for start in range(0, self.n, 7)]
        sevens = [*sevens[: SEVENS // 2], *sevens[max(len(sevens) - SEVENS // 2, SEVENS // 2) :]]
        alone = np.unique(np.concatenate([np.linspace(0, self.n - 1, ONES // 2).astype(int), every[-ONES // 2 :]]))
        order = np.random.default_rng(0).permutation(self.n)
        halves = [part for part in (every[:half], every[half:]) if len(part)]
        return {
            "they were asked for again": [every],
            "they came in two halves": halves,
            "they came by sevens": sevens,
            "they came one by one": [np.array([place]) for place in alone],
            "they came in another order": [order],
            "they came many times over": [np.resize(order, MANY_ROWS)],
        }

    def tried(self, rule: Rule, cuts: dict[str, Places], allowed: float) -> None:
        """Raise ``PipelineNotRowWise`` if a cut gives a row another decision, or a number further away than allowed.

        Where rounding is allowed a decision may differ: a probability may lie on the threshold.
        """
        first = self.copied()
        whole = self.ask(first, np.arange(self.n), rule)
        for words, places in cuts.items():
            pipeline = first if words.endswith("again") else self.copied()
            try:
                parts = np.concatenate([self.ask(pipeline, some, rule) for some in places])
            except NightshiftError as error:  # it could predict the same rows in one call
                raise self._refused(f"{words}: {error}", places, words) from error
            gaps = self.gaps(parts, whole[np.concatenate(places)])
            undecided = parts[:, 0] != whole[np.concatenate(places), 0]
            decisive = allowed < ROUNDING and self.job.task.classifies
            if gaps.max(initial=0.0) > allowed or (decisive and undecided.any()):
                raise self._refused(_different(gaps, undecided, f"when {words}"), places, words)

    def gaps(self, numbers: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Return the largest difference of each row: of probabilities, or of values as a share of the largest."""
        if not self.job.task.classifies:
            scale = max(float(np.abs(expected).max(initial=0.0)), np.finfo(np.float64).tiny)
            return np.asarray(np.abs(numbers - expected)[:, 0] / scale)
        return np.asarray(np.abs(numbers - expected)[:, 1:].max(axis=1, initial=0.0))

    def threaded(self, rule: Rule, threads: int, allowed: float) -> None:
        """Raise ``PipelineNotRowWise`` if threads that predict at once, each with its copy, give other numbers."""
        whole = self.ask(self.copied(), np.arange(self.n), rule)
        order = np.random.default_rng(1).permutation(self.n)
        sizes = [self.n, max(self.n // 2, 1), min(7, self.n), max(self.n // 3, 1), 1]

        def work(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
            pipeline, results = self.copied(), []
            for turn in range(ROUNDS):
                places = np.roll(order, 11 * number)[: sizes[(turn + number) % len(sizes)]]
                results.append((places, self.ask(pipeline, places, rule)))
            return results

        words = f"{threads} threads predict at once"
        first, second, few = self.copied(), self.copied(), order[:7]
        try:
            with warnings_of_threads(), _frequent_switches(), ThreadPoolExecutor(threads) as pool:
                answers = [answer for part in pool.map(work, range(threads)) for answer in part]
            with warnings_of_threads():
                crossed = interleaved(lambda: self.ask(first, order, rule), lambda: self.ask(second, few, rule))
        except NightshiftError as error:  # it could predict the same rows in one thread
            raise self._refused(f"{words}: {error}", [], words) from error
        answers.append((order, crossed))
        gaps = np.concatenate([self.gaps(numbers, whole[places]) for places, numbers in answers])
        undecided = np.concatenate([numbers[:, 0] != whole[places, 0] for places, numbers in answers])
        decisive = allowed < ROUNDING and self.job.task.classifies
        if gaps.max(initial=0.0) > allowed or (decisive and undecided.any()):
            raise self._refused(_different(gaps, undecided, f"when {words}"), [], words)

    def _refused(self, finding: str, places: Places, words: str) -> PipelineNotRowWise:
        """Return the error, with the step whose output differs first where that can be found."""
        step = differing_step(self.pipeline, to_frame(self.rows, self.job), places, words.endswith("again"))
        return PipelineNotRowWise(
            f"pipeline of {self.job.name}{f', step {step}' if step else ''}",
            found=finding,
            expected="the same prediction for a row whatever rows stand around it, in whatever order, call and thread",
            next_step="in fit, learn what transform and predict need of other rows (means, levels, ranks); "
            "let them draw no random numbers, and keep nothing from one call to the next",
        )


def _numbers(prediction: pa.Array, job: Job) -> np.ndarray:
    return np.asarray(prediction.to_numpy(zero_copy_only=False).astype(np.float64))


def _places(prediction: pa.Array, job: Job) -> np.ndarray:
    return np.array([job.outcomes.index(name) for name in prediction.to_pylist()], dtype=np.float64)


_AS_NUMBERS: dict[Task, Callable[[pa.Array, Job], np.ndarray]] = {
    BINARY: _numbers,
    MULTICLASS: _places,
    REGRESSION: _numbers,
    SCORE: _numbers,
}


def _made_of_trees(pipeline: Any) -> bool:
    """Return whether decision trees of scikit-learn predict in the end: comparisons and sums in a fixed order."""
    model = last_estimator(pipeline)
    name = sklearn_name(model)
    if name in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return _made_of_trees(getattr(model, "estimator_", model.estimator))
    if name == "CalibratedClassifierCV":
        return all(_made_of_trees(classifier.estimator) for classifier in model.calibrated_classifiers_)
    if name == "TransformedTargetRegressor":
        return _made_of_trees(model.regressor_)
    return name.removesuffix("Classifier").removesuffix("Regressor") in _TREES


def _different(gaps: np.ndarray, undecided: np.ndarray, words: str) -> str:
    number = int(((gaps > 0) | undecided).sum())
    return f"other predictions for {number} of {len(gaps)} rows, up to {gaps.max(initial=0.0):.3g} away, {words}"


@contextmanager
def _frequent_switches() -> Iterator[None]:
    """Let Python's threads take turns a thousand times as often, so that what is not safe shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
