"""Pipelines of another process: the bits of this one, errors by name, no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator

from scoring.errors import PredictionError, RegistryUnavailable
from scoring.rows.decision import uncalibrated
from scoring.settings import HOME, child_environment
from scoring.stores.registry.remote import WORKER, RemotePipeline
from tests.support.pipelines import build_boosted, build_linear

ROWS = 500
ENVIRONMENT = child_environment({"PYTHONPATH": str(HOME), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"})


def frame(rows: int = ROWS) -> pd.DataFrame:
    random = np.random.default_rng(0)
    x = np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows))
    kind = np.where(random.random(rows) < 0.1, np.nan, random.choice(np.array(["a", "b"], dtype=object), rows))
    at = pd.to_datetime(random.integers(0, 10**15, rows), unit="us", utc=True).as_unit("us")
    return pd.DataFrame({"x": x, "kind": kind.astype(object), "at": pd.Series(at).where(random.random(rows) > 0.1)})


def content_of(pipeline: Any) -> bytes:
    file = BytesIO()
    joblib.dump(pipeline, file)
    return file.getvalue()


def remote(pipeline: Any) -> RemotePipeline:
    return RemotePipeline(Path(sys.executable), content_of(pipeline), ENVIRONMENT, "a test")


@pytest.fixture(scope="module")
def boosted() -> Any:
    return build_boosted().fit(frame()[["x", "kind"]], frame()["x"].fillna(0) > 0)


@pytest.fixture(scope="module")
def elsewhere(boosted: Any) -> Iterator[RemotePipeline]:
    yield remote(boosted)


def test_predictions_have_the_bits_of_this_process(boosted: Any, elsewhere: RemotePipeline) -> None:
    given = frame()[["x", "kind"]]
    assert elsewhere.predict_proba(given).tobytes() == boosted.predict_proba(given).tobytes()
    assert (elsewhere.predict(given) == boosted.predict(given)).all()
    assert list(elsewhere.classes_) == [False, True]
    assert elsewhere.predict_proba(given[:1]).shape == (1, 2)


def test_methods_of_scores_are_those_that_the_pipeline_has() -> None:
    numbers = frame()[["x"]].fillna(0)
    detector = IsolationForest(n_estimators=5, random_state=0).fit(numbers)
    other = remote(detector)
    assert other.score_samples(numbers).tobytes() == detector.score_samples(numbers).tobytes()
    assert not hasattr(other, "transform")


def test_frame_arrives_as_it_was() -> None:
    from scoring.stores.registry.remote import encoded
    from scoring.stores.registry.worker import frame_of

    pd.testing.assert_frame_equal(frame_of(encoded(frame())), frame())


def test_error_of_the_pipeline_is_named_and_the_worker_goes_on(boosted: Any, elsewhere: RemotePipeline) -> None:
    with pytest.raises(PredictionError, match="pipeline in a test: found ValueError"):
        elsewhere.predict(frame()[["x"]])
    assert len(elsewhere.predict(frame()[["x", "kind"]])) == ROWS
    with pytest.raises(PredictionError, match=r"pipeline in a test: found .*Error"):
        RemotePipeline(Path(sys.executable), b"no pickle", ENVIRONMENT, "a test")


def test_killed_worker_is_an_error_that_heals(boosted: Any, elsewhere: RemotePipeline) -> None:
    given = frame()[["x", "kind"]]
    assert elsewhere._child is not None
    elsewhere._child.send_signal(signal.SIGSTOP)
    pid = elsewhere._child.pid
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({pid}, 9)"])
    with pytest.raises(RegistryUnavailable, match="ended with -9"):
        elsewhere.predict(given)
    killer.wait()
    assert elsewhere.predict_proba(given).tobytes() == boosted.predict_proba(given).tobytes()


def test_worker_ends_when_its_parent_is_killed_or_forgets_it() -> None:
    pipeline = remote(build_linear().fit(frame()[["x", "kind"]], frame()["x"].fillna(0)))
    assert pipeline._child is not None
    child = pipeline._child
    del pipeline
    assert child.wait(10) == 0
    program = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, {str(WORKER)!r}], stdin=int(sys.argv[1]), start_new_session=True)\n"
        "print(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    reads, writes = os.pipe()  # this process holds the other end of the worker's input, which therefore does not end
    command = [sys.executable, "-c", program, str(reads)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, pass_fds=[reads])
    os.close(reads)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(1)
    assert _runs(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.1)
    os.close(writes)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_pipeline_inside_a_calibration_is_asked_by_itself(boosted: Any) -> None:
    given, truth = frame()[["x", "kind"]], frame()["x"].fillna(0) > 0
    calibrated = CalibratedClassifierCV(FrozenEstimator(boosted), method="isotonic").fit(given, truth)
    there = remote(calibrated)
    assert (uncalibrated(there).predict(given) == boosted.predict(given)).all()
    assert uncalibrated(boosted) is boosted
