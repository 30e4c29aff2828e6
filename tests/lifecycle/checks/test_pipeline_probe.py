"""What a job's pipeline does wrong, found on made-up rows before any real one is read, and what is let through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lifecycle.checks.pipeline_probe import Fault, Probe, attempt, reload
from scoring.errors import JobFileError, NightshiftError
from scoring.settings import HOME
from tests.support.jobs import FEATURES, job_of

pytestmark = pytest.mark.filterwarnings("ignore")  # as in the process that tries them


def said_of(folder: Path, pipeline: str, **changed: Any) -> str:
    """Return what is said of a faulty pipeline: found, expected and next step."""
    with pytest.raises((Fault, NightshiftError)) as caught:
        attempt(Probe(job_of(pipeline, **changed), folder, os.getpid()))
    facts = getattr(caught.value, "facts", {"message": str(caught.value)})
    return "; ".join(facts.values())


@pytest.mark.parametrize(
    ("pipeline", "parts"),
    [
        (
            "module_lambda",
            ["PicklingError", "<lambda>", "functiontransformer (FunctionTransformer)", "top of a module"],
        ),
        ("closure", ["PicklingError", "closure.<locals>.scaled", "functiontransformer (FunctionTransformer)"]),
        ("local_class", ["PicklingError", "local_class.<locals>.Local", "local (Local)"]),
        ("keeps_a_lock", ["TypeError", "lock", "locked (Locked)"]),
        ("no_probabilities", ["without predict_proba", "task is binary", "CalibratedClassifierCV"]),
        ("frame", ["returns a DataFrame", "an unfitted scikit-learn Pipeline"]),
        ("nothing", ["returns a NoneType", "return pipeline"]),
        ("a_class", ["the class LogisticRegression", "return LogisticRegression()"]),
        ("regressor", ["a regressor (Ridge)", "a classifier, for the task is binary"]),
        (
            "unencoded",
            [
                "could not convert string to float: 'level_",
                "logisticregression (LogisticRegression)",
                "encode ['kind']",
                "while fitting it on 300 made-up rows",
            ],
        ),
        ("dummies", ["while predicting one row", "OneHotEncoder", "pd.get_dummies"]),
        ("drops_rows", ["inconsistent numbers of samples", "logisticregression", "do not drop rows"]),
        ("drops_at_predict", ["shape (2", "expected shape (300, 2)", "one finite prediction per row"]),
        (
            "strict_encoder",
            [
                "Found unknown categories",
                "onehotencoder (OneHotEncoder)",
                "a row whose kind is a level that training did not have",
                "unknown: quarantine",
            ],
        ),
        ("no_nulls", ["Input X contains NaN", "logisticregression", "take `nullable` off ['x']"]),
        ("other_columns", ["'amount'", "columntransformer (ColumnTransformer)", "the columns ['x', 'kind']"]),
        (
            "raises_in_a_step",
            [
                "ValueError: amounts are in the wrong currency",
                "currency (FunctionTransformer)",
                "support/bad_pipelines.py line ",
            ],
        ),
        ("raises", ["RuntimeError: no licence (support/bad_pipelines.py line "]),
        ("needs_arguments", ["missing 1 required positional argument: 'depth'", "a function without arguments"]),
        ("exits", ["SystemExit: 3 (support/bad_pipelines.py line "]),
        ("shared", ["fitting a second pipeline changes what the first one predicts", "a new pipeline"]),
        ("shares_a_step", ["fitting a second pipeline changes", "['logisticregression']"]),
        ("search_of_failures", ["could not convert string to float"]),
        ("not_a_function", ["is a Pipeline, not a function", "def not_a_function():"]),
    ],
)
def test_fault_is_said_with_the_pipelines_own_error_and_step(tmp_path: Path, pipeline: str, parts: list[str]) -> None:
    message = said_of(tmp_path, pipeline)
    for part in parts:
        assert part in message
    assert "Traceback" not in message
    assert " at 0x" not in message


def test_classifier_in_a_regression_is_found(tmp_path: Path) -> None:
    assert "a classifier (LogisticRegression); a regressor" in said_of(tmp_path, "prints", task="regression")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "changed"),
    [
        ("prints", {}),
        ("target_encoder", {}),
        ("search", {}),
        ("needs_many_rows", {}),
        ("strict_encoder", {"features": {**FEATURES, "kind": {"type": "category", "allowed": ["a", "b"]}}}),
        ("strict_encoder", {"features": {**FEATURES, "kind": {"type": "category", "unknown": "quarantine"}}}),
        ("prints", {"training": {"calibration": "isotonic"}}),
        ("prints", {"task": "multiclass", "label": {"column": "y", "classes": [f"c{n}" for n in range(12)]}}),
        ("tests.support.pipelines:build_linear", {"task": "regression"}),
        ("tests.support.pipelines:build_spy", {"features": {"at": {"type": "datetime"}}}),
        (
            "tests.support.pipelines:build_of_every_type",
            {
                "features": {
                    "flag": {"type": "bool"},
                    "count": {"type": "int", "nullable": True, "min": -3, "max": 3},
                    "kind": {"type": "category", "nullable": True},
                    "seen_at": {"type": "datetime", "nullable": True},
                }
            },
        ),
    ],
)
def test_honest_pipeline_passes(tmp_path: Path, pipeline: str, changed: dict[str, Any]) -> None:
    probe = Probe(job_of(pipeline, **changed), tmp_path, os.getpid())
    attempt(probe)
    reload(probe)


@pytest.mark.parametrize("name", ["flight_delay", "flight_duration", "plane_grounded"])
def test_pipelines_of_the_demo_pass(tmp_path: Path, name: str) -> None:
    from scoring.job.files import load_job

    attempt(Probe(load_job(HOME / "jobs" / f"{name}.yaml"), tmp_path, os.getpid()))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def build(:\n", ["SyntaxError: invalid syntax", "line 1"]),
        ("x = 1\nraise ValueError('no data folder')\n", ["ValueError: no data folder", ".py line 2"]),
        ("import sys\nsys.exit('bye')\n", ["SystemExit: bye", "line 2"]),
        (
            "import cv2_of_nobody\n",
            ["No module named 'cv2_of_nobody'", "add cv2_of_nobody to requirements.in", "make lock"],
        ),
        ("from sklearn import nothing_such\n", ["ImportError", "nothing_such", "line 1"]),
        ("import no_such.sub\n", ["add no_such to requirements.in"]),
        ("x = None.attribute\n", ["AttributeError", "line 1"]),
    ],
)
def test_module_that_fails_is_named_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, parts: list[str]
) -> None:
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    job = job_of(f"{name}:build")
    with pytest.raises(JobFileError) as caught:
        job.pipeline_factory()
    for part in ("jobs/shop.yaml: pipeline", *parts):
        assert part in str(caught.value)


def test_key_that_is_a_feature_too_is_made_up_once(tmp_path: Path) -> None:
    changed = {"key": {"at": "datetime"}, "features": {"at": {"type": "datetime"}}}
    attempt(Probe(job_of("tests.support.pipelines:build_spy", **changed), tmp_path, os.getpid()))
