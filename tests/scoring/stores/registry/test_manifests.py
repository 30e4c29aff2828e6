"""Every file of a version is held against the sha256 that the warehouse recorded before anything is read from it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from lifecycle.training.train import train
from scoring.errors import ArtifactMismatch, RegistryUnavailable, WarehouseUnavailable
from scoring.interval import Nights
from scoring.stores.registry import loading
from scoring.stores.registry.stored_files import StoredFiles, manifest_of
from scoring.stores.registry.version import ARTIFACT, VersionRef
from scoring.stores.warehouse import manifests
from scoring.upkeep.verify import verify
from tests.conftest import Toy, secret
from tests.support.registry import Evil, folder_of, installation
from tests.support.toy import FIRST, UNTIL, execute

LOADED = (
    ARTIFACT,
    "facts.json",
    "reference_profile.json",
    "reference_nights.json",
    "golden.parquet",
    "golden_predictions.parquet",
)
TABLES = ("reference.parquet", "holdout.parquet")


@pytest.fixture(scope="module")
def pair(data_dir: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Toy, VersionRef]]:
    """A toy job with two versions, the second trained on fewer nights, and the first of them."""
    with installation(data_dir, template, tmp_path_factory.mktemp("manifests_toy")) as toy:
        train(toy.work, Nights(FIRST, UNTIL.replace(day=UNTIL.day - 1)))
        yield toy, toy.stores.registry.resolve(toy.job.name, 1)


@pytest.fixture
def damaged(pair: tuple[Toy, VersionRef], tmp_path: Path) -> tuple[Toy, VersionRef]:
    """The first version with files of its own to be damaged, and nothing loaded."""
    toy, ref = pair
    shutil.copytree(folder_of(ref), tmp_path / "version")
    loading.loaded.clear()
    return toy, replace(ref, uri=str(tmp_path / "version"))


def read(toy: Toy, ref: VersionRef, name: str) -> None:
    """Read a file as the program does: with the version, or by itself."""
    if name in TABLES:
        toy.stores.registry.table(ref, name)
    else:
        toy.stores.registry.load(ref, toy.job)


@pytest.mark.parametrize("name", [*LOADED, *TABLES])
def test_file_that_is_not_the_recorded_one_is_refused_by_name(damaged: tuple[Toy, VersionRef], name: str) -> None:
    toy, ref = damaged
    path = folder_of(ref) / name
    right = path.read_bytes()
    other = (folder_of(toy.stores.registry.resolve(toy.job.name, 2)) / name).read_bytes()
    half = len(right) // 2
    flipped = right[:half] + bytes([right[half] ^ 1]) + right[half + 1 :]
    for content in (flipped, b"", other, right + b"\0"):
        path.write_bytes(content)
        with pytest.raises(ArtifactMismatch, match=f"model version 1 of {toy.job.name}: {name} was not ") as caught:
            read(toy, ref, name)
        assert f"found {len(content):,} bytes with sha256 " in str(caught.value)
        assert "Next: restore the file" in str(caught.value)
    path.unlink()
    with pytest.raises(ArtifactMismatch, match=name):
        read(toy, ref, name)
    path.write_bytes(right)
    read(toy, ref, name)


def test_file_that_was_added_to_a_version_is_not_read(damaged: tuple[Toy, VersionRef]) -> None:
    toy, ref = damaged
    shutil.copy(folder_of(ref) / "holdout.parquet", folder_of(ref) / "more.parquet")
    assert toy.stores.registry.table(ref, "more.parquet") is None


def mlflow_url(toy: Toy) -> str:
    return secret(toy.stores.settings.registry_url)


def test_version_by_number_takes_its_sha256_from_the_warehouse(toy: Toy, tmp_path: Path) -> None:
    """Whoever may write files and registry, and not the warehouse, gets nothing unpickled."""
    ref, payload = toy.stores.registry.resolve(toy.job.name, 1), pickle.dumps(Evil(tmp_path / "unpickled"))
    (folder_of(ref) / ARTIFACT).write_bytes(payload)
    digest = manifest_of(folder_of(ref)).files[ARTIFACT].sha256
    statement = f"update model_version_tags set value = '{digest}' where name = '{toy.job.name}' and key = 'sha256'"
    execute(mlflow_url(toy), statement)
    again = toy.stores.registry.resolve(toy.job.name, 1)
    assert again == ref
    with pytest.raises(ArtifactMismatch, match="was not unpickled"):
        toy.stores.registry.load(again, toy.job)
    assert not (tmp_path / "unpickled").exists()


def test_version_that_the_warehouse_does_not_know_is_refused(toy: Toy) -> None:
    """A version that somebody added to the registry has a sha256 from nowhere else."""
    made = toy.stores.registry.register(
        toy.job.name,
        folder_of(toy.stores.registry.resolve(toy.job.name, 1)),
        toy.stores.registry.facts(ref_of(toy)),
        {},
    )
    forget_records(toy, made.version)
    with pytest.raises(ArtifactMismatch, match=r"no record in the warehouse.*every version from 1 on"):
        toy.stores.registry.load(made, toy.job)


def ref_of(toy: Toy) -> VersionRef:
    return toy.stores.registry.resolve(toy.job.name, 1)


def forget_records(toy: Toy, version: int) -> None:
    with toy.stores.warehouse.transaction() as connection:
        table = sa.table("model_manifests", sa.column("job"), sa.column("model_version"))
        these = sa.and_(table.c.job == toy.job.name, table.c.model_version == version)
        connection.execute(sa.delete(table).where(these))


def test_version_of_before_is_held_against_the_sha256_of_its_pipeline_only(toy: Toy, shell) -> None:
    ref = ref_of(toy)
    forget_records(toy, 1)
    assert not toy.stores.registry.recorded(ref)
    assert toy.stores.registry.load(ref_of(toy), toy.job).ref == ref
    assert "versions [1]: only the pipeline is held against a sha256" in shell("models", toy.job.name).out
    (folder_of(ref) / "golden.parquet").write_bytes((folder_of(ref) / "golden_predictions.parquet").read_bytes())
    empty_table(folder_of(ref) / "golden_predictions.parquet")
    loading.loaded.clear()
    with pytest.raises(ArtifactMismatch, match=r"golden_predictions.parquet: found no rows"):
        toy.stores.registry.load(ref, toy.job)
    (folder_of(ref) / ARTIFACT).write_bytes(b"x")
    with pytest.raises(ArtifactMismatch, match="was not unpickled"):
        toy.stores.registry.load(ref, toy.job)


def empty_table(path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(path).slice(0, 0), path)


def test_profile_that_is_no_object_is_named(toy: Toy) -> None:
    ref = ref_of(toy)
    forget_records(toy, 1)
    (folder_of(ref) / "reference_profile.json").write_text("[]")
    with pytest.raises(ArtifactMismatch, match=r"reference_profile.json cannot be read: found JSON that is a list"):
        toy.stores.registry.load(ref, toy.job)


def test_version_whose_number_was_not_recorded_is_found_by_its_place(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies between the registry's answer and the warehouse's."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StoredFiles, "give_number", dies)
    first = ref_of(toy)
    with pytest.raises(KeyboardInterrupt):
        toy.stores.registry.register(toy.job.name, folder_of(first), toy.stores.registry.facts(first), {})
    second = toy.stores.registry.resolve(toy.job.name, 2)
    assert toy.stores.registry.load(second, toy.job).ref == second
    (folder_of(second) / "facts.json").write_bytes(b"{}")
    with pytest.raises(ArtifactMismatch, match=r"facts.json was not read"):
        toy.stores.registry.facts(second)


def test_attached_card_is_on_record_too(toy: Toy) -> None:
    ref = ref_of(toy)
    for text in ("a card", "another card"):
        toy.stores.registry.attach(ref, "model_card.json", text)
        assert toy.stores.registry.files(ref).content("model_card.json") == text.encode()
    (folder_of(ref) / "model_card.json").write_text("a lie")
    (finding,) = verify(toy.work)
    assert (finding.night, finding.repaired) == (None, False)
    assert "model_card.json was not read" in finding.problem


def test_replacement_that_was_killed_leaves_a_version_that_loads(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the file is written, and after: the version is loaded all the same, and a repeat settles it."""
    from scoring.stores.registry import files, stored_files

    registry, ref = toy.stores.registry, ref_of(toy)
    before = registry.files(ref).content("reference_nights.json")
    put = files.put
    for kill_before in (True, False):

        def killed(uri: str, tracking: str, name: str, content: bytes, kill_before: bool = kill_before) -> None:
            if not kill_before:
                put(uri, tracking, name, content)
            raise KeyboardInterrupt

        monkeypatch.setattr(stored_files, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.replace(ref, {"reference_nights.json": before + b" "}, "a test")
        assert registry.load(ref, toy.job).nights
    monkeypatch.setattr(stored_files, "put", put)
    assert registry.files(ref).content("reference_nights.json") == before + b" "
    registry.settle(ref, "a test")
    manifest = registry.files(ref).manifest
    assert manifest is not None
    assert not any(record.was for record in manifest.files.values())
    assert verify(toy.work) == []


def test_history_of_a_versions_files_stays(toy: Toy) -> None:
    registry, ref = toy.stores.registry, ref_of(toy)
    before = manifests.newest(toy.stores.warehouse, ref.job, ref.version, ref.uri)
    registry.replace(ref, {"reference_nights.json": b"{}"}, "a test")
    query = "select reason, files -> 'reference_nights.json' ->> 'sha256' as sha256 from model_manifests where job = %s"
    with toy.stores.warehouse.transaction() as connection:
        rows = connection.exec_driver_sql(f"{query} order by manifest_id", (ref.job,)).all()
    assert before is not None
    assert rows[0] == ("registered", before.files["reference_nights.json"].sha256)
    assert rows[-1][0] == "a test"
    assert rows[-1][1] != rows[0][1]


def test_version_is_not_registered_while_the_warehouse_is_away(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, first = toy.stores.registry, ref_of(toy)
    facts = registry.facts(first)

    def away(*_: object, **__: object) -> None:
        raise WarehouseUnavailable("warehouse", found="no answer")

    with monkeypatch.context() as outage:
        outage.setattr(manifests, "record", away)
        with pytest.raises(WarehouseUnavailable):
            registry.register(toy.job.name, folder_of(first), facts, {})
    assert registry.versions(toy.job.name) == [first]
    made = registry.register(toy.job.name, folder_of(first), facts, {})
    assert registry.load(made, toy.job).ref == made
    assert manifests.newest(toy.stores.warehouse, made.job, made.version, made.uri) == manifest_of(folder_of(made))


def elsewhere(toy: Toy) -> VersionRef:
    """The version by an address whose files have to be downloaded."""
    from mlflow.tracking import MlflowClient

    uri = mlflow_url(toy)
    (made,) = MlflowClient(tracking_uri=uri, registry_uri=uri).search_model_versions(f"name = '{toy.job.name}'")
    return replace(ref_of(toy), uri=f"runs:/{made.run_id}/version")


def test_check_of_a_version_leaves_the_copy_that_tasks_read(toy: Toy) -> None:
    registry, ref = toy.stores.registry, elsewhere(toy)
    files = registry.files(ref)
    assert registry.problems(ref) == []
    assert files.content(ARTIFACT)
    (folder_of(ref_of(toy)) / ARTIFACT).write_bytes(b"broken")
    assert len(registry.problems(ref)) == 1, "it is read where it is"
    assert files.content(ARTIFACT)


def test_copy_that_is_gone_is_no_broken_version(toy: Toy) -> None:
    registry, ref = toy.stores.registry, elsewhere(toy)
    files = registry.files(ref)
    shutil.rmtree(files.folder)
    for read_it in (lambda: files.content(ARTIFACT), lambda: files.missing([ARTIFACT])):
        with pytest.raises(RegistryUnavailable, match="dropped meanwhile") as caught:
            read_it()
        assert caught.value.retryable
    assert registry.files(ref).content(ARTIFACT)


def test_copy_that_is_not_what_was_recorded_is_downloaded_anew(toy: Toy) -> None:
    registry, ref = toy.stores.registry, elsewhere(toy)
    (registry.files(ref).folder / ARTIFACT).write_bytes(b"broken")
    with pytest.raises(ArtifactMismatch):
        registry.files(ref).content(ARTIFACT)
    assert registry.files(ref).content(ARTIFACT)
    assert [path.name for path in registry.files(ref).folder.parent.iterdir()] == [registry.files(ref).folder.name]


def test_card_of_files_elsewhere_can_be_attached_twice(toy: Toy) -> None:
    registry, ref = toy.stores.registry, elsewhere(toy)
    for card in ("{}", '{"a": 1}'):
        registry.replace(ref, {"model_card.json": card.encode()}, "a test")
        assert registry.content(ref, "model_card.json") == json.loads(card)
