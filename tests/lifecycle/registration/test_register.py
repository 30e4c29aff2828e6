"""A model that was fitted elsewhere becomes a version: what is made for it, and what is refused."""

from __future__ import annotations

import os
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lifecycle.registration import (
    ModelFile,
    Opened,
    RegistrationRequest,
    judged,
    model_file,
    open_model,
    register,
)
from scoring.errors import ArtifactMismatch, Permanent
from scoring.stores.registry import FORMATS
from scoring.stores.warehouse import promotions, retrainings
from tests.conftest import Toy
from tests.support.elsewhere import (
    Centred,
    Ends,
    Missing,
    SelectX,
    Twice,
    fitted,
    numbers,
    registered,
    rows_before,
    saved,
)
from tests.support.runs import run, shown
from tests.support.toy import FIRST, UNTIL, events

DAY = timedelta(days=1)


def test_register_makes_a_champion_of_a_pickle_and_a_night_is_scored_with_it(untrained: Toy, tmp_path: Path) -> None:
    model = fitted()
    made = registered(untrained, saved(model, tmp_path / "model.joblib"))
    outcome = judged(untrained.work, made, "tests")
    assert outcome.champion_from == UNTIL
    assert made.evidence is not None and made.evidence.first == UNTIL and made.facts.metrics["holdout_auc"] > 0.7
    run(untrained)
    frame = events(UNTIL)
    said = dict(zip(frame.id, model.predict_proba(frame[["x", "kind"]])[:, 1], strict=True))
    published = shown(untrained, "id, probability")
    assert len(published) > 150 and {key: said[key] for key, _ in published} == dict(published)


def test_register_opens_no_pickle_that_nobody_trusts(untrained: Toy, tmp_path: Path) -> None:
    file = model_file(untrained.stores, str(saved(fitted(), tmp_path / "model.pkl")))
    with pytest.raises(ArtifactMismatch, match=f"sha256 {file.sha256}; .*--trust"):
        open_model(file, untrained.job)


def test_the_gate_judges_a_later_model_on_nights_that_neither_saw(untrained: Toy, tmp_path: Path) -> None:
    untrained.change(promotion={"min_nights": 2, "max_latency_ratio": 100, "max_size_ratio": 100})
    rows = rows_before()
    wrong = make_pipeline(SelectX(), LogisticRegression()).fit(rows[["x", "kind"]], 1 - rows.y.astype(int))
    first = registered(untrained, saved(wrong, tmp_path / "wrong.joblib"))
    assert "always saying the base rate" in str(judged(untrained.work, first, "tests").refused)
    assert judged(untrained.work, first, "tests", anyway=True).champion_from == UNTIL
    made = registered(untrained, saved(fitted(), tmp_path / "better.joblib"))
    row = judged(untrained.work, made, "tests").retraining
    assert row is not None and (row.state, row.champion_version) == ("promoted", 1)
    assert made.evidence is not None and made.evidence.first == UNTIL
    card = retrainings.card(untrained.stores.warehouse, untrained.job.name, made.ref.version)
    assert card is not None and card["evaluation"].get("refits") is None
    again = registered(untrained, tmp_path / "better.joblib")
    assert again.was_there and again.ref.version == 2
    assert judged(untrained.work, again, "tests").champion_from == row_of(untrained, 2)
    worse = registered(untrained, saved(fitted(until=FIRST + DAY), tmp_path / "worse.joblib"))
    row = judged(untrained.work, worse, "tests").retraining
    assert row is not None and row.state == "refused" and "gain in log loss" in str(row.detail)


def test_a_model_without_evidence_says_so(untrained: Toy, tmp_path: Path) -> None:
    made = registered(untrained, saved(fitted(), tmp_path / "model.joblib"), until=UNTIL + 3 * DAY)
    assert made.evidence is None and made.facts.metrics == {} and made.holdout is None


ONLY_X = {"x": {"type": "float"}}
NUMERIC = {**ONLY_X, "id": {"type": "int"}}


def row_of(toy: Toy, version: int) -> Any:
    """Return the first night of a version's reign."""
    history = promotions.history_of(toy.stores.warehouse, toy.job.name)
    return next(entry.effective_from for entry in history if entry.model_version == version)


def on_array() -> Any:
    """Return a model without names of columns."""
    return LogisticRegression().fit(numbers(), rows_before().y)


def of_x(model: Any, outcome: str) -> Any:
    """Return a pipeline of x that was fitted on some column as outcome."""
    return make_pipeline(SelectX(), model).fit(rows_before()[["x", "kind"]], rows_before()[outcome])


@pytest.mark.parametrize(
    ("make", "changes", "said", "words"),
    [
        (lambda: fitted(columns=["kind", "x"]), {"features": ONLY_X}, {}, r"does not have: \['kind'\].*add them"),
        (lambda: on_array(), {"features": NUMERIC}, {}, "array of 2.*--columns a,b"),
        (lambda: on_array(), {"features": NUMERIC}, {"columns": ("x",)}, "found 1 columns; expected 2"),
        (lambda: fitted(), {}, {"columns": ("kind", "x")}, "leave --columns out"),
        (lambda: of_x(LogisticRegression(), "kind"), {}, {}, r"classes \['a', 'b', 'c'\]; expected \[0, 1\]"),
        (lambda: of_x(LinearRegression(), "y"), {}, {}, "without predict_proba.*CalibratedClassifierCV"),
        (lambda: Twice(), {}, {}, "does not predict rows of features.sql: .*shape"),
        (lambda: Centred(), {}, {}, "whatever rows stand around it"),
    ],
)
def test_a_model_that_does_not_fit_the_job_is_refused_and_says_what_to_do(
    untrained: Toy, make: Any, changes: dict[str, Any], said: dict[str, Any], words: str
) -> None:
    if changes:
        untrained.change(**changes)
    model = Opened(ModelFile("m.joblib", FORMATS["joblib"], b""), make())
    with pytest.raises(Permanent, match=words):
        register(untrained.work, model, RegistrationRequest(UNTIL, **said), UNTIL)
    assert untrained.stores.registry.versions(untrained.job.name) == []


def test_columns_in_another_order_are_given_by_name(untrained: Toy, tmp_path: Path) -> None:
    model = make_pipeline(SelectX(), LogisticRegression())
    rows = rows_before()[["kind", "x"]]
    scaled = make_pipeline(FunctionTransformer(feature_names_out="one-to-one"), model)
    made = registered(untrained, saved(scaled.fit(rows, rows_before().y), tmp_path / "m.joblib"))
    assert made.ref.version == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"no pickle", "cannot be opened as joblib", marks=pytest.mark.nightly),
        (Ends, "ended with code 7"),
        pytest.param(Missing, "No module named 'nowhere'", marks=pytest.mark.nightly),
    ],
)
def test_a_file_that_breaks_is_opened_where_it_harms_nobody(
    untrained: Toy, tmp_path: Path, content: Any, words: str
) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content()))
    with pytest.raises(ArtifactMismatch, match=words):
        open_model(model_file(untrained.stores, str(path)), untrained.job, trusted=True)
    assert os.environ.get("NIGHTSHIFT_OPENED") is None


def test_skops_is_opened_when_its_types_are_allowed_and_not_once_it_was_changed(untrained: Toy, tmp_path: Path) -> None:
    import skops.io

    (tmp_path / "m.skops").write_bytes(skops.io.dumps(fitted()))
    file = model_file(untrained.stores, str(tmp_path / "m.skops"))
    with pytest.raises(ArtifactMismatch, match=r"--allow-type numpy\.dtype"):
        open_model(file, untrained.job)
    model = open_model(file, untrained.job, allowed=["numpy.dtype", "os.system"])
    assert model.allowed_types == ("numpy.dtype",)
    made = registered(untrained, tmp_path / "m.skops", allowed=("numpy.dtype",))
    path = Path(made.ref.uri) / "pipeline.skops"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ArtifactMismatch, match=r"pipeline\.skops was not unpickled"):
        untrained.stores.registry.load(made.ref, untrained.job)


@pytest.mark.parametrize(("source", "words"), [("model.h5", "the ending '.h5'"), ("nowhere.skops", "No such file")])
def test_a_file_that_is_none_is_refused(untrained: Toy, tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "model.h5").write_bytes(b"")
    with pytest.raises(Permanent, match=words):
        model_file(untrained.stores, str(tmp_path / source))
