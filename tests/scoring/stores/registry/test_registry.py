"""Model versions on a real MLflow registry: what is stored, and what is refused when it is loaded."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from lifecycle.training.train import train
from lifecycle.training.version_folder import GOLDEN_ROWS
from scoring.errors import ArtifactMismatch, GoldenRowsMismatch, RegistryUnavailable, VersionMissing
from scoring.interval import Nights
from scoring.rows.prediction import predict, prediction_schema
from scoring.rows.profile import Profile, merged
from scoring.settings import Settings
from scoring.stores.registry import loading
from scoring.stores.registry.golden import largest_difference, library_versions
from scoring.stores.registry.registry import Registry
from scoring.stores.registry.version import ARTIFACT, VersionRef
from tests.conftest import Toy, secret
from tests.support.registry import Evil, folder_of, installation, record_anew
from tests.support.toy import FIRST, ROWS, TRAIN_NIGHTS, UNTIL, train_champion

SECRET = "s3cr3t-pa55"


def only_version(toy: Toy) -> VersionRef:
    (ref,) = toy.stores.registry.versions(toy.job.name)
    return ref


def content(ref: VersionRef, name: str) -> Any:
    return json.loads((folder_of(ref) / name).read_text())


@pytest.fixture(scope="module")
def kept(data_dir: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A toy job with a champion, for all tests that leave it as it is."""
    with installation(data_dir, template, tmp_path_factory.mktemp("registry_toy")) as toy:
        yield toy


@pytest.fixture
def copied(kept: Toy, tmp_path: Path) -> Iterator[VersionRef]:
    """The kept version with a copy of its files that a test may change."""
    shutil.copytree(folder_of(only_version(kept)), tmp_path / "version")
    yield replace(only_version(kept), uri=str(tmp_path / "version"))
    record_anew(kept.stores, only_version(kept))


# ---------------------------------------------------------------- what a version is


def test_version_has_its_files_and_the_sha256_of_its_artifact(kept: Toy) -> None:
    ref = only_version(kept)
    assert sorted(path.name for path in folder_of(ref).iterdir()) == [
        "facts.json",
        "golden.parquet",
        "golden_predictions.parquet",
        "holdout.parquet",
        ARTIFACT,
        "reference.parquet",
        "reference_nights.json",
        "reference_profile.json",
    ]
    assert ref.sha256 == hashlib.sha256((folder_of(ref) / ARTIFACT).read_bytes()).hexdigest()
    assert folder_of(ref).is_relative_to(kept.stores.settings.artifacts_root)


def test_facts_say_what_the_version_was_trained_on(kept: Toy) -> None:
    facts = kept.stores.registry.facts(only_version(kept))
    assert (facts.job, facts.since, facts.until) == (kept.job.name, FIRST, UNTIL)
    assert (facts.rows, facts.code_version) == (TRAIN_NIGHTS * ROWS, "test")
    assert facts.library_versions == library_versions()
    assert facts.features_sql_sha256 == kept.stores.features_query(kept.job).sha256
    assert facts.labels_sql_sha256 == kept.stores.labels_query(kept.job).sha256
    assert sorted(facts.metrics) == ["holdout_auc", "holdout_log_loss"]
    assert 0.6 < facts.metrics["holdout_auc"] < 1


def test_registry_holds_facts_and_metrics_where_mlflow_shows_them(kept: Toy) -> None:
    from mlflow.tracking import MlflowClient

    uri = secret(kept.stores.settings.registry_url)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = client.get_model_version(kept.job.name, "1")
    run = client.get_run(found.run_id)
    assert found.tags["sha256"] == only_version(kept).sha256
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"{kept.job.name} until {UNTIL}")
    assert (run.data.params["until"], run.data.params["rows"]) == (str(UNTIL), str(TRAIN_NIGHTS * ROWS))
    assert sorted(run.data.metrics) == ["holdout_auc", "holdout_log_loss"]


def test_reference_is_a_bounded_sample_of_the_training_rows_and_the_same_every_time(untrained: Toy) -> None:
    untrained.change(training={"holdout_nights": 2, "reference_rows": 150})
    first, second = (train_champion(untrained.work).ref for _ in range(2))
    tables = [pq.read_table(folder_of(ref) / "reference.parquet") for ref in (first, second)]
    assert tables[0].num_rows == 150
    assert tables[0].equals(tables[1])
    made = ["outcome", "prediction", "probability"]
    assert tables[0].schema.names == ["nightshift_night", *untrained.job.columns, *made]
    nights = {moment.date() for moment in tables[0].column("at").to_pylist()}
    assert len(nights) == TRAIN_NIGHTS  # a sample of all nights, not the first rows
    assert tables[0].column("nightshift_night").to_pylist() == [at.date() for at in tables[0].column("at").to_pylist()]


def test_reference_predictions_are_out_of_fold(untrained: Toy) -> None:
    """A tree that remembers its rows is right about all of them, but not about those of the nights it did not see."""
    untrained.change(pipeline="tests.support.pipelines:build_memory")
    ref = train_champion(untrained.work).ref
    table = pq.read_table(folder_of(ref) / "reference.parquet")
    version = untrained.stores.registry.load(ref, untrained.job)
    batch = table.select(untrained.job.columns).combine_chunks().to_batches()[0]
    known = predict(version.pipeline, batch, untrained.job).column("prediction").to_pylist()
    outcome, honest = table.column("outcome").to_pylist(), table.column("prediction").to_pylist()
    right = [sum(a == b for a, b in zip(outcome, given, strict=True)) / len(outcome) for given in (known, honest)]
    assert right[0] > 0.9 > 0.8 > right[1] > 0.5


def test_reference_is_all_rows_when_there_are_few(kept: Toy) -> None:
    assert pq.read_metadata(folder_of(only_version(kept)) / "reference.parquet").num_rows == TRAIN_NIGHTS * ROWS


def test_profile_describes_every_training_row(kept: Toy) -> None:
    reference = pq.read_table(folder_of(only_version(kept)) / "reference.parquet")  # here: all training rows
    x, chances = reference.column("x"), reference.column("probability").to_numpy()
    profile = content(only_version(kept), "reference_profile.json")
    assert profile["categories"] == {"kind": ["a", "b", "c"]}
    assert set(profile["weights"]) == {"x", "kind"}
    assert sum(profile["weights"].values()) == pytest.approx(1)
    assert profile["weights"]["x"] > 0.9  # the outcome depends on x alone
    nights = content(only_version(kept), "reference_nights.json")
    whole = merged(Profile.from_dict(night) for night in nights["nights"].values())
    assert (len(nights["nights"]), whole.rows) == (TRAIN_NIGHTS, TRAIN_NIGHTS * ROWS)
    assert whole.columns["x"].nulls == x.null_count
    assert sum(whole.columns["kind"].bins) == whole.rows
    assert whole.columns["x"].mean == pytest.approx(pc.mean(x).as_py())
    assert nights["quarantined"] == {"extracted": TRAIN_NIGHTS * ROWS, "reasons": {}}
    loaded = kept.stores.registry.load(only_version(kept), kept.job)
    assert (loaded.reference.rows, loaded.categories) == (len(x), {"kind": ["a", "b", "c"]})
    assert (loaded.reference.mean, loaded.reference.sd) == pytest.approx((chances.mean(), chances.std()))


def test_golden_rows_hold_a_null_and_an_unseen_category(kept: Toy) -> None:
    rows = pq.read_table(folder_of(only_version(kept)) / "golden.parquet")
    assert rows.num_rows == GOLDEN_ROWS + 1
    assert rows.schema.names == kept.job.columns
    assert rows.to_pylist()[-1]["x"] is None
    assert rows.to_pylist()[-1]["kind"] == "a level that training did not have"
    made = pq.read_table(folder_of(only_version(kept)) / "golden_predictions.parquet")
    assert made.schema.names == prediction_schema(kept.job).names
    assert made.num_rows == rows.num_rows


def test_load_gives_the_fitted_pipeline_once(kept: Toy) -> None:
    first, second = (kept.stores.registry.load(only_version(kept), kept.job) for _ in range(2))
    assert first is second
    assert list(first.pipeline.classes_) == [0, 1]
    assert "pipeline" not in repr(first)


# ---------------------------------------------------------------- numbers and aliases


def test_register_again_gives_the_next_number_and_keeps_the_first(toy: Toy) -> None:
    first = only_version(toy)
    second = train(toy.work, Nights(FIRST, UNTIL)).ref
    assert (first.version, second.version) == (1, 2)
    assert toy.stores.registry.versions(toy.job.name) == [first, second]
    assert second.sha256 == first.sha256
    assert second.uri != first.uri
    assert toy.stores.registry.resolve(toy.job.name, 1) == first
    assert toy.stores.registry.aliases(toy.job.name) == {"champion": 1}


def test_versions_are_counted_by_job(kept: Toy) -> None:
    ref, other = only_version(kept), f"{kept.job.name}_other"
    assert kept.stores.registry.versions(other) == []
    made = kept.stores.registry.register(other, folder_of(ref), kept.stores.registry.facts(ref), {})
    assert (made.version, made.sha256) == (1, ref.sha256)
    assert only_version(kept) == ref


def test_more_than_ten_versions_are_in_the_order_of_their_numbers(toy: Toy) -> None:
    first = only_version(toy)
    for _ in range(10):
        toy.stores.registry.register(toy.job.name, folder_of(first), toy.stores.registry.facts(first), {})
    assert [ref.version for ref in toy.stores.registry.versions(toy.job.name)] == list(range(1, 12))


def test_resolve_lists_the_versions_there_are(toy: Toy) -> None:
    train(toy.work, Nights(FIRST, UNTIL))
    with pytest.raises(VersionMissing, match=rf"model version 7 of {toy.job.name}: found versions \[1, 2\]"):
        toy.stores.registry.resolve(toy.job.name, 7)
    with pytest.raises(VersionMissing, match=r"found versions \[\].*nightshift models nothing"):
        toy.stores.registry.resolve("nothing", 1)


def test_aliases_move(toy: Toy) -> None:
    registry, name = toy.stores.registry, toy.job.name
    train(toy.work, Nights(FIRST, UNTIL))
    registry.set_alias(name, "challenger", 2)
    assert registry.aliases(name) == {"champion": 1, "challenger": 2}
    registry.set_alias(name, "champion", 2)
    assert registry.aliases(name) == {"champion": 2, "challenger": 2}
    assert registry.aliases("nothing") == {}


# ---------------------------------------------------------------- what is refused


def test_tampered_artifact_is_refused_and_not_unpickled(kept: Toy, copied: VersionRef, tmp_path: Path) -> None:
    made = tmp_path / "unpickled"
    payload = pickle.dumps(Evil(made))
    (folder_of(copied) / ARTIFACT).write_bytes(payload)
    with pytest.raises(ArtifactMismatch, match="was not unpickled") as caught:
        kept.stores.registry.load(copied, kept.job)
    for digest in (hashlib.sha256(payload).hexdigest(), copied.sha256):
        assert digest in str(caught.value)
    assert not made.exists()
    pickle.loads(payload)  # the payload does what the test says it would
    assert made.exists()


def test_artifact_with_one_more_byte_is_refused(kept: Toy, copied: VersionRef) -> None:
    path = folder_of(copied) / ARTIFACT
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ArtifactMismatch):
        kept.stores.registry.load(copied, kept.job)


@pytest.mark.parametrize("name", [ARTIFACT, "facts.json", "golden.parquet", "reference_profile.json"])
def test_missing_file_of_a_version_is_named(kept: Toy, copied: VersionRef, name: str) -> None:
    (folder_of(copied) / name).unlink()
    with pytest.raises(ArtifactMismatch, match=f"model version 1 of {kept.job.name}.*{name}"):
        kept.stores.registry.load(copied, kept.job)


def change_golden(ref: VersionRef, column: str, values: Any) -> None:
    path = folder_of(ref) / "golden_predictions.parquet"
    table = pq.read_table(path)
    index = table.schema.names.index(column)
    pq.write_table(table.set_column(index, table.schema.field(index), pa.array(values(table.column(index)))), path)


def test_golden_mismatch_names_the_difference_and_the_libraries_that_changed(kept: Toy, copied: VersionRef) -> None:
    change_golden(copied, "probability", lambda column: np.asarray(column) + 1e-6)
    facts = content(copied, "facts.json")
    facts["library_versions"] |= {"scikit-learn": "0.0.1", "numpy": "0.0.2"}
    (folder_of(copied) / "facts.json").write_text(json.dumps(facts))
    record_anew(kept.stores, copied)
    with pytest.raises(GoldenRowsMismatch) as caught:
        kept.stores.registry.load(copied, kept.job)
    now, message = library_versions(), str(caught.value)
    assert f"['scikit-learn 0.0.1 → {now['scikit-learn']}', 'numpy 0.0.2 → {now['numpy']}']" in message
    assert "up to 1e-06 away" in message
    assert "pandas" not in message


def test_golden_mismatch_says_so_when_no_library_changed(kept: Toy, copied: VersionRef) -> None:
    change_golden(copied, "prediction", lambda column: pc.invert(column).combine_chunks())
    record_anew(kept.stores, copied)
    with pytest.raises(GoldenRowsMismatch, match=r"up to inf away.*changed libraries: none"):
        kept.stores.registry.load(copied, kept.job)


def test_golden_difference_below_the_tolerance_passes(kept: Toy, copied: VersionRef) -> None:
    change_golden(copied, "probability", lambda column: np.asarray(column) + 1e-12)
    record_anew(kept.stores, copied)
    assert kept.stores.registry.load(copied, kept.job).pipeline is not None


def test_largest_difference_is_over_all_numbers_and_infinite_for_another_class(kept: Toy) -> None:
    rows = {"at": [None] * 2, "id": [1, 2], "prediction": [True, False], "probability": [0.75, 0.25]}
    schema = prediction_schema(kept.job)
    one = pa.RecordBatch.from_pydict(rows, schema)
    two = pa.RecordBatch.from_pydict({**rows, "probability": [0.75, 0.375]}, schema)
    other = pa.RecordBatch.from_pydict({**rows, "prediction": [True, True]}, schema)
    assert [largest_difference(one, found, kept.job) for found in (one, two, other)] == [0, 0.125, np.inf]


# ---------------------------------------------------------------- elsewhere, and away


def test_artifacts_lie_in_a_folder_with_blanks_too(kept: Toy, copied: VersionRef, tmp_path: Path) -> None:
    settings = kept.stores.settings.model_copy(update={"artifacts_url": str(tmp_path / "my models, 100%")})
    registry, name = Registry(settings), f"{kept.job.name}_with_blanks"
    ref = registry.register(name, folder_of(copied), kept.stores.registry.facts(copied), {})
    assert registry.facts(ref).as_json() == content(copied, "facts.json")
    assert registry.load(ref, kept.job).ref == ref
    assert (tmp_path / "my models, 100%" / name).is_dir()


def test_artifacts_elsewhere_are_downloaded_once_and_verified(toy: Toy, tmp_path: Path) -> None:
    ref, settings = only_version(toy), toy.stores.settings
    from mlflow.tracking import MlflowClient

    uri = secret(settings.registry_url)
    (made,) = MlflowClient(tracking_uri=uri, registry_uri=uri).search_model_versions(f"name = '{toy.job.name}'")
    remote = VersionRef(ref.job, ref.version, ref.sha256, f"runs:/{made.run_id}/version")
    registry = Registry(settings)
    first = registry.load(remote, toy.job)
    assert registry.facts(remote).as_json() == content(ref, "facts.json")
    shutil.rmtree(folder_of(ref))
    loading.loaded.clear()
    second = registry.load(remote, toy.job)
    assert np.array_equal(first.pipeline[-1].coef_, second.pipeline[-1].coef_)
    (cached,) = (settings.data_dir / "cache" / "models").rglob(ARTIFACT)
    cached.write_bytes(b"broken")
    loading.loaded.clear()
    with pytest.raises(ArtifactMismatch):
        registry.load(remote, toy.job)


def test_remove_takes_entry_and_files_and_no_other_version(toy: Toy) -> None:
    registry, first = toy.stores.registry, only_version(toy)
    second = registry.register(toy.job.name, folder_of(first), registry.facts(first), {})
    assert registry.size(second) == sum(path.stat().st_size for path in folder_of(second).iterdir()) > 1000
    registry.remove(second)
    assert registry.versions(toy.job.name) == [first]
    assert not folder_of(second).parents[1].exists()
    assert folder_of(first).exists()
    assert registry.load(first, toy.job).ref == first
    with pytest.raises(VersionMissing):
        registry.resolve(toy.job.name, second.version)
    third = registry.register(toy.job.name, folder_of(first), registry.facts(first), {})
    assert third.version > second.version, "a number is never given twice"


def test_remove_leaves_folders_alone_that_are_not_of_the_version(toy: Toy) -> None:
    registry, first = toy.stores.registry, only_version(toy)
    (folder_of(first) / "mine").mkdir()
    (folder_of(first) / "mine" / "note.txt").write_text("x")
    registry.remove(first)
    assert [path.name for path in folder_of(first).iterdir()] == ["mine"]


def test_remove_forgets_the_copy_of_files_that_are_elsewhere(toy: Toy) -> None:
    from mlflow.tracking import MlflowClient

    ref, settings = only_version(toy), toy.stores.settings
    uri = secret(settings.registry_url)
    (made,) = MlflowClient(tracking_uri=uri, registry_uri=uri).search_model_versions(f"name = '{toy.job.name}'")
    remote = replace(ref, uri=f"runs:/{made.run_id}/version")
    registry = Registry(settings)
    registry.load(remote, toy.job)
    assert registry.size(remote) == registry.size(ref)
    registry.remove(remote)
    assert registry.versions(toy.job.name) == []
    assert list((settings.data_dir / "cache" / "models").iterdir()) == []
    assert not folder_of(ref).exists() or list(folder_of(ref).iterdir()) == []


def test_registry_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mlflow.store.db import utils

    monkeypatch.setattr(utils, "MAX_RETRY_COUNT", 1)  # MLflow's own: ten tries, 101 seconds
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = SecretStr(f"postgresql+psycopg://registry:{SECRET}@127.0.0.1:{port}/registry")
    registry = Registry(Settings(data_dir=tmp_path, registry_url=url))
    for call in (lambda: registry.versions("shop"), lambda: registry.set_alias("shop", "champion", 1)):
        with pytest.raises(RegistryUnavailable, match="Connection refused") as caught:
            call()
        assert caught.value.retryable
        assert SECRET not in str(caught.value)
    assert SECRET not in repr(registry)
