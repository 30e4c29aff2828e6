"""A version's evaluator: chosen where it gives the pipeline's bits, refused where it does not, and switched off by the job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from lifecycle.training.evaluator import chosen_evaluator
from scoring.rows.decision import Rule, decision_of
from scoring.rows.prediction import to_frame
from scoring.stores.registry.evaluating import proven_evaluator
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.golden import library_versions
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.jobs import make_job
from tests.support.runs import run, shown
from tests.support.toy import train_champion, write_job

BOOSTED = "tests.support.pipelines:build_boosted"
JOB = make_job()


class OtherTrees(HistGradientBoostingClassifier):
    """Trees that say something else of a few values: a scikit-learn that computes otherwise than the evaluator believes."""

    __module__ = "sklearn.of.another.day"

    def predict_proba(self, X: Any) -> np.ndarray:
        chances: np.ndarray = super().predict_proba(X)
        strange = np.asarray(X)[:, 0] == 0.25
        chances[strange] = np.nextafter(chances[strange], 1)
        return chances


OtherTrees.__name__ = "HistGradientBoostingClassifier"


def rows(count: int = 500) -> pa.RecordBatch:
    x = np.random.default_rng(0).normal(size=count)
    x[7] = 0.25
    return pa.RecordBatch.from_pydict({"id": pa.array(range(count), pa.int64()), "x": pa.array(x)})


def fitted(model: Any) -> Any:
    frame = to_frame(rows(), JOB)
    return model.fit(frame.fillna(0), (frame["x"] > 0.1).astype(int))


def test_boosted_trees_are_scored_by_bitsets() -> None:
    model = fitted(HistGradientBoostingClassifier(max_iter=40, early_stopping=False))
    choice = chosen_evaluator(model, rows(), JOB, Rule(decision_of(model, JOB)))
    assert (choice.evaluator, choice.evaluator_reason) == ("bitset", None)
    assert choice.evaluator_speedup is not None
    assert choice.evaluator_speedup > 1


def test_evaluator_that_differs_in_one_bit_of_one_row_is_refused() -> None:
    model = fitted(OtherTrees(max_iter=40, early_stopping=False))
    choice = chosen_evaluator(model, rows(), JOB, Rule(decision_of(model, JOB)))
    assert choice.evaluator == "scikit-learn"
    assert choice.evaluator_reason == "bitset refused: 1 of 500 rows differ"


def test_model_without_evaluator_is_scored_by_scikit_learn_with_the_reason() -> None:
    model = fitted(LogisticRegression())
    choice = chosen_evaluator(model, rows(), JOB, Rule(decision_of(model, JOB), 4_096))
    assert choice.evaluator == "scikit-learn"
    assert choice.evaluator_reason == "LogisticRegression has no evaluator of its own"


@pytest.mark.parametrize("model", [OtherTrees(max_iter=40, early_stopping=False), LogisticRegression()])
def test_loaded_version_whose_evaluator_differs_is_scored_by_scikit_learn(model: Any) -> None:
    facts = TrainingFacts(evaluator="bitset", evaluator_speedup=5, library_versions=library_versions())
    evaluator, words = proven_evaluator(fitted(model), rows(), facts, JOB)
    assert evaluator is None
    assert words.startswith("scikit-learn, not bitset: ")


def test_version_of_before_evaluators_is_scored_by_scikit_learn() -> None:
    model = fitted(HistGradientBoostingClassifier(max_iter=5))
    assert proven_evaluator(model, rows(), TrainingFacts(), JOB) == (None, "scikit-learn")


def test_other_libraries_than_at_training_are_proven_anew() -> None:
    facts = TrainingFacts(evaluator="bitset", library_versions={**library_versions(), "scikit-learn": "1.0"})
    golden = rows().filter(pa.array(np.arange(500) != 7))  # they do not show it: hostile rows do not either, but others
    evaluator, words = proven_evaluator(fitted(HistGradientBoostingClassifier(max_iter=5)), golden, facts, JOB)
    assert evaluator is not None
    assert words == "bitset"


def boosted(untrained: Toy, tmp_path: Path, **changes: Any) -> Toy:
    job = write_job(tmp_path, untrained.job.name, pipeline=BOOSTED, **changes)
    return replace(untrained, job=job)


def test_night_says_what_scored_it_and_the_switch_changes_no_bit(untrained: Toy, tmp_path: Path) -> None:
    toy = boosted(untrained, tmp_path)
    trained = train_champion(toy.work)
    facts = toy.stores.registry.facts(trained.ref)
    assert facts.evaluator == "bitset", facts.evaluator_reason
    by_bitset = ledger.get(toy.stores.warehouse, run(toy).run_id)
    rows = shown(toy)
    off = boosted(untrained, tmp_path, evaluator="scikit-learn")
    by_scikit_learn = ledger.get(toy.stores.warehouse, run(off).run_id)
    assert (by_bitset.evaluator, by_scikit_learn.evaluator) == ("bitset", "scikit-learn")
    assert by_bitset.predictions_hash == by_scikit_learn.predictions_hash
    assert rows == shown(off)


def test_evaluator_that_fails_in_the_night_leaves_the_rows_to_the_pipeline(untrained: Toy, tmp_path: Path) -> None:
    toy = boosted(untrained, tmp_path)
    train_champion(toy.work)
    model = Workspace(toy.stores, toy.job).registry.load(toy.stores.registry.versions(toy.job.name)[0], toy.job)
    batch = pa.RecordBatch.from_pydict(
        {"at": pa.array([None], pa.timestamp("us", "UTC")), "id": [1], "x": [0.5], "kind": ["a"]}
    )
    broken = replace(model, evaluator=_Broken())
    assert broken.predict(batch, toy.job).equals(replace(model, evaluator=None).predict(batch, toy.job))


class _Broken:
    name = "broken"
    stateless = True

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        raise MemoryError("no tables")
