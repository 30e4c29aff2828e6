"""Jobs without a label, and jobs without a pipeline: scores and drift are watched, and nothing claims to know more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline

from drift.measure import measure
from lifecycle.nightly import follow
from lifecycle.registration import judged
from lifecycle.training import train
from scoring.errors import JobFileError
from scoring.interval import Nights
from scoring.stores.warehouse import Span, ledger, monitoring
from tests.conftest import Toy
from tests.support.elsewhere import fitted, registered, saved
from tests.support.runs import run, shown
from tests.support.toy import FIRST, UNTIL, events

WITHOUT: dict[str, Any] = {"label": {}, "pipeline": None, "retraining": {"enabled": False}}


def build_detector() -> Pipeline:
    """Return what says how unusual x is."""
    return make_pipeline(
        make_column_transformer((SimpleImputer(), ["x"])), IsolationForest(n_estimators=20, random_state=0)
    )


def build_embedding() -> Pipeline:
    """Return what gives one number for a row, and predicts nothing."""
    return make_pipeline(make_column_transformer((SimpleImputer(), ["x"])), PCA(1))


def without_labels(toy: Toy, **changes: Any) -> None:
    """Make it a job without a label, whose labels.sql is gone."""
    toy.change(**{**WITHOUT, **changes})
    toy.stores.settings.sql_path(toy.job.name, "labels").unlink()


def test_a_score_is_registered_scored_and_watched_without_any_label(untrained: Toy, tmp_path: Path) -> None:
    without_labels(untrained, task="score", features={"x": {"type": "float", "nullable": True}})
    model = fitted(build_detector(), ["x"])
    made = registered(untrained, saved(model, tmp_path / "model.joblib"))
    assert (made.facts.metrics, made.evidence) == ({}, None)
    assert judged(untrained.work, made, "tests").champion_from == UNTIL
    published = run(untrained)
    frame = events(UNTIL)
    said = dict(zip(frame.id, model.score_samples(frame[["x"]]), strict=True))
    assert {key: said[key] for key, _ in shown(untrained, "id, prediction")} == dict(shown(untrained, "id, prediction"))
    lived = follow(untrained.work, ledger.get(untrained.stores.warehouse, published.run_id))
    assert lived.problems == [] and lived.verdict == "ok"
    assert measure(untrained.work, UNTIL + timedelta(days=30)) == []


@pytest.mark.parametrize("factory", [build_embedding, pytest.param(build_detector, marks=pytest.mark.nightly)])
def test_a_pipeline_of_scores_is_trained_on_rows_without_outcome(untrained: Toy, factory: Any) -> None:
    path = f"{__name__}:{factory.__name__}"
    without_labels(untrained, task="score", pipeline=path, features={"x": {"type": "float", "nullable": True}})
    trained = train(untrained.work, Nights(FIRST, UNTIL))
    assert trained.rows == 1200 and trained.metrics == {} and trained.holdout is None
    sample = untrained.stores.registry.table(trained.ref, "reference.parquet")
    assert sample is not None and sample.column("outcome").null_count == sample.num_rows


def test_a_later_version_of_a_job_without_labels_is_refused_and_says_why(untrained: Toy, tmp_path: Path) -> None:
    without_labels(untrained)
    judged(untrained.work, registered(untrained, saved(fitted(), tmp_path / "a.joblib")), "tests")
    published = run(untrained)
    lived = follow(untrained.work, ledger.get(untrained.stores.warehouse, published.run_id))
    (decided,) = monitoring.decisions(untrained.stores.warehouse, Span(untrained.job.name, Nights.of(UNTIL)))
    assert lived.problems == [] and decided.decision == "none"
    other = registered(untrained, saved(fitted(until=UNTIL - timedelta(days=1)), tmp_path / "b.joblib"))
    row = judged(untrained.work, other, "tests").retraining
    assert row is not None and row.state == "refused"
    assert "no labels" in str(row.detail) and f"nightshift promote {untrained.job.name} 2" in str(row.detail)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": {}}, "label.column: found none with task binary and a pipeline"),
        ({"task": "score", "label": {"column": "y"}}, "with task score, which has no outcome"),
        ({"pipeline": None}, "pipeline: found none, so nothing here can train a version"),
        ({**WITHOUT, "label": {"delay_days": 3}}, "delay_days without column"),
        ({**WITHOUT, "promotion": {"floors": {"auc": 0.6}}}, "promotion.floors: found without a label"),
        ({**WITHOUT, "promotion": {"promote": "shadow"}}, "found shadow without a label"),
        ({"retraining": {"external": {"dag": "a"}}}, "retraining.external: found beside pipeline"),
        ({"pipeline": None, "retraining": {"external": {}}}, "expected one of the two"),
    ],
)
def test_a_job_file_says_what_cannot_be_left_out(untrained: Toy, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(JobFileError, match=said):
        untrained.change(**changes)
