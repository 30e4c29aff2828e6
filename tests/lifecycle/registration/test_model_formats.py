"""Every format of a model from elsewhere: opened, registered, and a night published that equals what the model says itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lifecycle.registration import exported, judged
from tests.conftest import Toy
from tests.support.elsewhere import fitted, numbers, registered, rows_before, saved
from tests.support.runs import run, shown
from tests.support.toy import UNTIL, events

NUMBERS = {"x": {"type": "float", "nullable": True}, "kind": {"type": "category"}}
ONLY_X = {"x": {"type": "float", "nullable": True}}


def published(toy: Toy) -> dict[int, float]:
    """Score the first night that the model did not see, and return each probability by its key."""
    run(toy)
    return dict(shown(toy, "id, probability"))


def skops_file(folder: Path) -> tuple[Path, Callable[[Any], np.ndarray], dict[str, Any]]:
    import skops.io

    model = fitted()
    (folder / "m.skops").write_bytes(skops.io.dumps(model))
    return (
        folder / "m.skops",
        lambda frame: model.predict_proba(frame)[:, 1],
        {"format": "skops", "allowed": ("numpy.dtype",)},
    )


def onnx_file(folder: Path) -> tuple[Path, Callable[[Any], np.ndarray], dict[str, Any]]:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    model = fitted()
    types = [("x", FloatTensorType([None, 1])), ("kind", StringTensorType([None, 1]))]
    (folder / "m.onnx").write_bytes(convert_sklearn(model, initial_types=types).SerializeToString())
    return folder / "m.onnx", lambda frame: model.predict_proba(frame)[:, 1], {"format": "onnx", "within": 1e-5}


def lightgbm_file(folder: Path) -> tuple[Path, Callable[[Any], np.ndarray], dict[str, Any]]:
    import lightgbm

    rows = rows_before()
    data = lightgbm.Dataset(rows[["x"]], rows.y.astype(int))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, num_boost_round=10)
    booster.save_model(folder / "m.txt")
    return folder / "m.txt", lambda frame: booster.predict(frame[["x"]], num_threads=1), {"format": "lightgbm"}


def xgboost_file(folder: Path) -> tuple[Path, Callable[[Any], np.ndarray], dict[str, Any]]:
    import xgboost

    rows = rows_before()
    model = xgboost.XGBClassifier(n_estimators=10, n_jobs=1).fit(rows[["x"]], rows.y.astype(int))
    model.save_model(folder / "m.ubj")
    return folder / "m.ubj", lambda frame: model.predict_proba(frame[["x"]])[:, 1], {"format": "xgboost"}


def array_file(folder: Path) -> tuple[Path, Callable[[Any], np.ndarray], dict[str, Any]]:
    model = make_pipeline(LogisticRegression()).fit(numbers()[:, :1], rows_before().y.astype(int))
    said = {"format": "joblib", "columns": ("x",), "features": {"x": {"type": "float"}}}
    return saved(model, folder / "m.joblib"), lambda frame: model.predict_proba(frame[["x"]].to_numpy())[:, 1], said


SLOW = [pytest.param(make, marks=pytest.mark.nightly) for make in (skops_file, lightgbm_file, xgboost_file, array_file)]


@pytest.mark.parametrize("make", [onnx_file, *SLOW])
def test_a_night_of_a_registered_model_is_what_the_model_says_itself(
    untrained: Toy, tmp_path: Path, make: Callable[[Path], tuple[Path, Callable[[Any], np.ndarray], dict[str, Any]]]
) -> None:
    path, says, said = make(tmp_path)
    features = said.pop("features", None) or (NUMBERS if said["format"] in ("skops", "onnx") else ONLY_X)
    untrained.change(features=features, gate={"max_quarantine_share": 0.3}, training={"max_quarantine_share": 0.3})
    form, within = said.pop("format"), said.pop("within", 0.0)
    made = registered(untrained, path, **said)
    assert (
        made.facts.format == form and made.facts.registered is not None and made.facts.registered["source"] == str(path)
    )
    assert judged(untrained.work, made, "tests").champion_from == UNTIL
    rows, frame = published(untrained), events(UNTIL)
    frame = frame if untrained.job.features["x"].nullable else frame.dropna()
    expected = dict(zip(frame.id, says(frame[["x", "kind"]]), strict=True))
    assert len(rows) > 150
    assert max(abs(expected[key] - chance) for key, chance in rows.items()) <= within


@pytest.mark.parametrize("kind", [pytest.param("skops", marks=pytest.mark.nightly), "onnx"])
def test_export_gives_the_version_in_another_format_and_says_how_far_it_lies(toy: Toy, kind: str) -> None:
    made = exported(toy.work, 1, kind)
    assert made.rows == 1200 and made.content
    assert made.largest == 0.0 if kind == "skops" else 0 < made.largest < 1e-5
    assert made.decided_otherwise == 0
