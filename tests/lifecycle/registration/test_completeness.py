"""A registered version has what a trained one has: reasons, intervals that are wide enough, today's declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from lifecycle.registration import judged
from scoring.errors import PredictionError
from scoring.stores.registry import BAND_FILE, REASONS_FILE
from tests.conftest import Toy
from tests.support.elsewhere import SelectX, fitted, registered, rows_before, saved
from tests.support.runs import run
from tests.support.toy import UNTIL, execute

NOT_TRAINED: dict[str, Any] = {"retraining": {"enabled": False}}
NUMBERS = "alter table events alter column y type double precision using coalesce(x, 0) + 3 * y::int"


def test_a_job_with_reasons_gets_a_version_with_their_means_or_none(untrained: Toy, tmp_path: Path) -> None:
    untrained.change(reasons={"top": 1})
    made = registered(untrained, saved(fitted(), tmp_path / "model.joblib"))
    means = untrained.stores.registry.content(made.ref, REASONS_FILE)
    assert set(means["by_feature"]) == {"x", "kind"}
    bayes = fitted(make_pipeline(SelectX(), GaussianNB()))
    with pytest.raises(PredictionError, match="found SelectX"):
        registered(untrained, saved(bayes, tmp_path / "bayes.joblib"))
    assert len(untrained.stores.registry.versions(untrained.job.name)) == 1


@pytest.mark.parametrize("named", [True, False])
def test_a_model_with_an_order_of_its_own_has_reasons(untrained: Toy, tmp_path: Path, named: bool) -> None:
    share = {"max_quarantine_share": 0.3}
    features = {"x": {"type": "float"}, "kind": {"type": "category"}, "id": {"type": "int"}}
    untrained.change(reasons={"top": 3}, features=features, gate=share, training=share, pipeline=None, **NOT_TRAINED)
    rows = rows_before()[["id", "x"]].fillna(0.0)
    model = LogisticRegression(max_iter=1000).fit(rows if named else rows.to_numpy(), rows_before().y.astype(int))
    columns = () if named else ("id", "x")
    made = registered(untrained, saved(model, tmp_path / "model.joblib"), columns=columns)
    judged(untrained.work, made, "tests", anyway=True)
    run(untrained)
    view = f"{untrained.job.name}_reasons"
    largest = untrained.work.warehouse.query(
        f"select feature, max(abs(contribution)) from {view} group by feature order by 2 desc"
    )[1]
    assert [feature for feature, _ in largest] == ["x", "id", "kind"]
    assert largest[2][1] == 0


@pytest.fixture
def learned(untrained: Toy, tmp_path: Path) -> Any:
    """A model that knows the outcomes of its own nights by heart, of a regression with noise."""
    execute(untrained.source, NUMBERS)
    untrained.change(task="regression", interval=0.9, features={"x": {"type": "float", "nullable": True}})
    rows = rows_before()
    outcome = rows.x.fillna(0.0) + 3 * rows.y
    model = make_pipeline(SelectX(), DecisionTreeRegressor(random_state=0)).fit(rows[["x"]], outcome)
    path = tmp_path / "tree.joblib"
    joblib.dump(model, path)
    return path


def test_intervals_are_made_of_nights_that_the_model_does_not_know(untrained: Toy, learned: Path) -> None:
    made = registered(untrained, learned)
    band = untrained.stores.registry.load(made.ref, untrained.job).band
    assert made.holdout is not None and band is not None and band.rows == made.holdout.num_rows
    lower, upper = band.limits(np.zeros(1), 0.1)
    assert upper[0] - lower[0] > 2


def test_without_such_nights_there_is_no_interval(untrained: Toy, learned: Path) -> None:
    made = registered(untrained, learned, until=UNTIL.replace(day=UNTIL.day + 3))
    assert made.holdout is None
    assert untrained.stores.registry.content(made.ref, BAND_FILE) == {}
    assert untrained.stores.registry.load(made.ref, untrained.job).band is None


def test_the_same_file_under_other_declarations_is_another_version(untrained: Toy, tmp_path: Path) -> None:
    path = saved(fitted(), tmp_path / "model.joblib")
    first = registered(untrained, path)
    assert registered(untrained, path).ref == first.ref
    untrained.change(
        features={"x": {"type": "float", "nullable": True}, "kind": {"type": "category"}}
    )  # no min any more
    again = registered(untrained, path)
    assert not again.was_there
    assert untrained.stores.registry.load(again.ref, untrained.job).ref.version == 2
