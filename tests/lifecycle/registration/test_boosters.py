"""Pipelines of LightGBM, XGBoost and CatBoost: trained and registered, and the published night has the model's own bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lifecycle.registration import judged
from scoring.interval import DataInterval
from scoring.rows import to_frame
from scoring.stores.reading import feature_batches
from tests.conftest import Toy
from tests.support import elsewhere
from tests.support.elsewhere import registered
from tests.support.runs import run, shown
from tests.support.toy import NIGHT, UNTIL, train_champion

LIBRARIES = ["lightgbm", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("xgboost", "catboost"))]


def said_by(toy: Toy, model: Any) -> dict[int, float]:
    """Return what a model says of the night's rows that pass the contract, in one call."""
    with feature_batches(toy.work, DataInterval.of_night(NIGHT, "UTC")) as batches:
        parts = [part.accepted for _, part in batches]
    frames = [(part.column("id").to_pylist(), to_frame(part, toy.job)) for part in parts]
    return {
        key: float(p) for ids, frame in frames for key, p in zip(ids, model.predict_proba(frame)[:, 1], strict=True)
    }


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_booster_is_trained_proven_and_publishes_its_own_bits(untrained: Toy, library: str) -> None:
    untrained.change(pipeline=f"tests.support.elsewhere:build_{library}")
    trained = train_champion(untrained.work)
    run(untrained)
    pipeline = untrained.stores.registry.load(trained.ref, untrained.job).pipeline
    published = dict(shown(untrained, "id, probability"))
    assert len(published) > 150 and published == said_by(untrained, pipeline)
    assert trained.metrics["holdout_auc"] > 0.7


@pytest.mark.nightly
@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_a_booster_from_elsewhere_publishes_its_own_bits(untrained: Toy, tmp_path: Path, library: str) -> None:
    model = elsewhere.fitted(getattr(elsewhere, f"build_{library}")())
    made = registered(untrained, elsewhere.saved(model, tmp_path / "m.joblib"))
    assert judged(untrained.work, made, "tests").champion_from == UNTIL
    run(untrained)
    published = dict(shown(untrained, "id, probability"))
    assert len(published) > 150 and published == said_by(untrained, model)
