"""A version that the installed libraries no longer fit is scored in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lifecycle.promotion import promote
from lifecycle.registration import exported, judged
from scoring.errors import GoldenRowsMismatch, PipelineError, PredictionError, SettingsError
from scoring.interval import Nights
from scoring.night import NightRequest, rescore, run_night
from scoring.rows import to_frame
from scoring.settings import HOME
from scoring.stores import RunFolder, open_stores
from scoring.stores.registry import (
    ARTIFACT,
    GOLDEN_PREDICTIONS_FILE,
    Environments,
    Needed,
    TrainingFacts,
    VersionRef,
    packages_of,
)
from scoring.stores.registry.environments import MADE
from scoring.stores.registry.golden import golden_rows
from scoring.stores.registry.loading import loaded, unpickled
from scoring.stores.registry.opening import Artifact, proven_pipeline
from scoring.stores.registry.remote import WORKER, encoded
from scoring.stores.warehouse import Run, ledger
from tests.conftest import Toy
from tests.support.elsewhere import registered as registered_file
from tests.support.elsewhere import saved
from tests.support.pipelines import UpgradedArray, build_linear
from tests.support.toy import NIGHT, execute, train_champion

NOT_TRAINED: dict[str, Any] = {"retraining": {"enabled": False}}


@pytest.fixture
def numbers(untrained: Toy) -> Iterator[Toy]:
    """A regression job whose version says something else after an upgrade."""
    execute(untrained.source, "alter table events alter column y type double precision using coalesce(x, 0)")
    untrained.change(task="regression", pipeline="tests.support.pipelines:build_upgraded")
    yield untrained
    loaded.clear()


def scored(toy: Toy) -> Run:
    request = NightRequest(NIGHT, datetime.now(UTC), "test")
    run_night(toy.work, request)
    return ledger.get(toy.stores.warehouse, request.run_id)


def aged(toy: Toy, ref: VersionRef) -> TrainingFacts:
    """Make a version one of another release of joblib, as its facts say, and return them."""
    facts = toy.stores.registry.facts(ref)
    packages = {**facts.packages, "joblib": "0.0.1"}
    facts = replace(facts, packages=packages, library_versions={**facts.library_versions, "joblib": "0.0.1"})
    toy.stores.registry.replace(ref, {"facts.json": json.dumps(facts.as_json()).encode()}, "test")
    loaded.clear()
    return facts


def pretended(environments: Environments, needed: Needed) -> None:
    """Put an environment there whose Python is this one."""
    folder = environments.root / needed.digest
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o700)
    (folder / MADE).write_text("{}")


def elsewhere(toy: Toy, ref: VersionRef, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the version say something else here, and put its environment there."""
    needed = Needed.of(aged(toy, ref))
    assert needed is not None
    pretended(Environments.of(toy.stores.settings), needed)
    monkeypatch.setenv("NIGHTSHIFT_TOY_UPGRADE", "1")
    loaded.clear()


def test_upgrade_that_changes_predictions_needs_the_versions_own_environment(
    numbers: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = train_champion(numbers.work).ref
    before = scored(numbers)
    facts = aged(numbers, ref)
    assert scored(numbers).evaluator == before.evaluator  # the golden rows have their bits: it runs on
    monkeypatch.setenv("NIGHTSHIFT_TOY_UPGRADE", "1")
    loaded.clear()
    with pytest.raises(GoldenRowsMismatch, match=r"up to 1 away .*'joblib 0.0.1 → .*nightshift environment toy_\d+ 1"):
        scored(numbers)
    needed = Needed.of(facts)
    assert needed is not None
    pretended(Environments.of(numbers.stores.settings), needed)
    after = scored(numbers)
    assert after.predictions_hash == before.predictions_hash
    assert str(after.evaluator).startswith(f"environment {needed.digest}: Python 3.")
    (again,) = rescore(numbers.work, Nights.of(NIGHT), ref.version, "upgrade")
    assert again.difference is not None
    assert again.difference.rows_changed == 0


def test_golden_rows_are_checked_in_the_environment_too(numbers: Toy) -> None:
    ref = train_champion(numbers.work).ref
    needed = Needed.of(aged(numbers, ref))
    assert needed is not None
    pretended(Environments.of(numbers.stores.settings), needed)
    name = GOLDEN_PREDICTIONS_FILE
    table = numbers.stores.registry.table(ref, name)
    assert table is not None
    sink = pa.BufferOutputStream()
    moved = pa.array(table["prediction"].to_numpy() + 5)
    pq.write_table(table.set_column(table.schema.get_field_index("prediction"), "prediction", moved), sink)
    numbers.stores.registry.replace(ref, {name: bytes(sink.getvalue())}, "test")
    loaded.clear()
    with pytest.raises(GoldenRowsMismatch, match="up to 5 away"):
        numbers.stores.registry.load(ref, numbers.job)


def test_model_of_an_array_is_given_its_columns_by_place_there_too(
    numbers: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = {"max_quarantine_share": 0.3}
    features = {"x": {"type": "float"}, "id": {"type": "int"}}
    numbers.change(task="regression", pipeline=None, features=features, gate=share, training=share, **NOT_TRAINED)
    made = registered_file(numbers, saved(UpgradedArray(), tmp_path / "m.joblib"), columns=("id", "x"))
    judged(numbers.work, made, "tests", anyway=True)
    before = scored(numbers)
    elsewhere(numbers, made.ref, monkeypatch)
    after = scored(numbers)
    assert (after.predictions_hash, str(after.evaluator)[:11]) == (before.predictions_hash, "environment")


def test_reasons_and_exports_need_a_pipeline_that_is_opened_here(numbers: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = train_champion(numbers.work).ref
    elsewhere(numbers, ref, monkeypatch)
    with pytest.raises(PipelineError, match="only its own libraries open: environment"):
        exported(numbers.work, ref.version, "skops")
    numbers.change(task="regression", pipeline="tests.support.pipelines:build_upgraded", reasons={"top": 1})
    with pytest.raises(PredictionError, match=r"only its own libraries open: environment .*Next: train a new version"):
        scored(numbers)


def test_file_that_is_no_pickle_has_no_environment(numbers: Toy) -> None:
    ref = train_champion(numbers.work).ref
    facts = replace(aged(numbers, ref), format="skops")
    assert Needed.of(facts) is None
    golden = golden_rows(numbers.stores.registry.files(ref))
    artifact = Artifact(b"", False, lambda: unpickled(b""))
    environments = Environments.of(numbers.stores.settings)
    with pytest.raises(GoldenRowsMismatch, match="install the libraries that it was made with") as error:
        proven_pipeline(artifact, golden, facts, numbers.job, environments, "model version 1 of toy")
    assert "nightshift environment" not in str(error.value)


def test_version_records_what_its_pipeline_needs_and_all_that_requires() -> None:
    packages = packages_of(build_linear())
    assert {"scikit-learn", "numpy", "scipy", "joblib", "threadpoolctl", "pandas", "pyarrow", "tzdata"} <= set(packages)
    assert not {"mlflow", "apache-airflow", "lightgbm", "pytest"} & set(packages)
    from lightgbm import LGBMRegressor

    assert "lightgbm" in packages_of(LGBMRegressor())


def test_environment_that_cannot_be_had_is_an_error_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    environments = Environments(tmp_path / "environments", True, HOME)
    needed = Needed("3.11", (("scikit-learn", "1.7.2"),), True)
    left = environments.root / f"{needed.digest}.killed.part"
    environments.root.mkdir(mode=0o700)
    left.mkdir()
    with pytest.raises(
        SettingsError, match=r"uv could not install it: .*network.*`nightshift environment JOB VERSION`"
    ):
        environments.python(needed)
    assert [path.name for path in environments.root.iterdir()] == [f"{needed.digest}.lock"]
    assert environments.root.stat().st_mode & 0o777 == 0o700


OLD = {"python": "3.11.9", "scikit-learn": "1.7.2", "numpy": "2.3.5", "scipy": "1.16.3", "joblib": "1.5.3"}
OLD |= {"pandas": "2.3.3", "pyarrow": "22.0.0"}
FITS = """
import runpy, sys, joblib
from pathlib import Path
frame_of = runpy.run_path(sys.argv[3])["frame_of"]
from tests.support import pipelines
folder = Path(sys.argv[2])
rows, truth = frame_of((folder / "training.arrow").read_bytes()), joblib.load(folder / "truth.joblib")
pipeline = getattr(pipelines, sys.argv[1])().fit(rows, truth)
joblib.dump(pipeline, folder / "pipeline.joblib")
for name in ("golden", "night"):
    joblib.dump(pipeline.predict_proba(frame_of((folder / f"{name}.arrow").read_bytes()))[:, 1], folder / f"{name}.joblib")
"""
"""Fits in an older environment, without anything of Nightshift, and says what it predicts there."""


@pytest.mark.nightly
@pytest.mark.parametrize("build", ["build_boosted", "build_imputed"])
def test_version_of_an_older_scikit_learn_backfills_in_its_own_libraries(
    untrained: Toy, build: str, tmp_path: Path
) -> None:
    """The version is fitted by scikit-learn 1.7.2, which this one cannot open, and registered as of then."""
    untrained.change(pipeline=f"tests.support.pipelines:{build}")
    trained = train_champion(untrained.work).ref
    night = scored(untrained)
    settings = untrained.stores.settings
    environments = Environments(tmp_path / "of_then", True, HOME)
    needed = Needed.of(TrainingFacts(library_versions=OLD))
    assert needed is not None
    files = untrained.stores.registry.files(trained)
    features = RunFolder(untrained.stores.lake, night)
    rows = pa.concat_tables(
        untrained.stores.lake.table(features.part("features", number)) for number in features.chunks
    )
    reference = files.table("reference.parquet")
    for name, table in (("training", reference), ("golden", files.table("golden.parquet")), ("night", rows)):
        (tmp_path / f"{name}.arrow").write_bytes(encoded(to_frame(table, untrained.job)))
    joblib.dump(np.array(reference["outcome"].to_pylist(), dtype=int), tmp_path / "truth.joblib")
    fits = [str(environments.python(needed)), "-c", FITS, build, str(tmp_path), str(WORKER)]
    subprocess.run(fits, check=True, env=environments.variables())
    old = registered(untrained, files.folder, tmp_path)
    promote(untrained.work, old.version, "as of then", "test", effective_from=NIGHT)
    with pytest.raises(GoldenRowsMismatch, match=r"scikit-learn 1.7.2 → .*`nightshift environment"):
        untrained.stores.registry.load(old, untrained.job)
    untrained.stores = open_stores(
        settings.model_copy(update={"version_environments": "allowed"}), untrained.stores.clock
    )
    try:
        after = scored(untrained)
        assert after.model_version == old.version
        assert after.evaluator == f"{needed.words}"
        folder = RunFolder(untrained.stores.lake, after)
        chances = pa.concat_batches(list(folder.predictions()))["probability"].to_numpy()
        assert chances.tobytes() == joblib.load(tmp_path / "night.joblib").tobytes()
        assert scored(untrained).predictions_hash == after.predictions_hash
    finally:
        loaded.clear()
        untrained.stores.warehouse.engine.dispose()


def registered(toy: Toy, folder: Path, fitted: Path) -> VersionRef:
    """Register the files of a version with the pipeline that was fitted elsewhere, and what its golden rows got there."""
    made = fitted / "version"
    shutil.copytree(folder, made)
    shutil.copy(fitted / "pipeline.joblib", made / ARTIFACT)
    golden, chances = pq.read_table(made / GOLDEN_PREDICTIONS_FILE), joblib.load(fitted / "golden.joblib")
    for name, values in (("prediction", chances >= 0.5), ("probability", chances)):
        golden = golden.set_column(golden.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(golden, made / GOLDEN_PREDICTIONS_FILE)
    content = json.loads((made / "facts.json").read_text())
    content |= {"library_versions": OLD, "packages": {}, "evaluator": None, "evaluator_speedup": None}
    (made / "facts.json").write_text(json.dumps(content))
    return toy.stores.registry.register(toy.job.name, made, TrainingFacts.from_json(content), {})
