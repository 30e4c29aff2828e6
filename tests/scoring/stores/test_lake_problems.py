"""A full disk, files that are no longer what they were, and lakes that are not there: each with its name and the way out."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from fsspec.registry import _registry

from scoring.errors import (
    ArtifactMismatch,
    LakeFileBroken,
    LakeFileMissing,
    LakeRefused,
    LakeUnavailable,
    NightshiftError,
    SettingsError,
)
from scoring.night.extract import extract
from scoring.night.publish import publish
from scoring.night.request import NightRequest
from scoring.night.score import score_chunk
from scoring.stores import embedded
from scoring.stores.installation import Stores
from scoring.stores.lake import Lake
from scoring.stores.lake_problems import named, remote
from scoring.stores.registry.registry import Registry
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.registry import record_anew
from tests.support.toy import NIGHT, ROWS

SCHEMA = pa.schema({"id": pa.int64()})
RUN = f"runs/churn/night={NIGHT}/r1"


def numbers(count: int) -> pa.RecordBatch:
    noise = pa.array(range(0, count * 7_919_345_678, 7_919_345_678), pa.int64())
    return pa.RecordBatch.from_arrays([noise], schema=SCHEMA)


# ---------------------------------------------------------------- writing


def test_full_disk_is_retryable_and_names_file_and_room(small: Path) -> None:
    lake = Lake(str(small))
    path = lake.below(f"{RUN}/features-00000.parquet")
    with pytest.raises(LakeUnavailable, match=rf"{path}: found No space left on device \(0\.00 GiB free\)"):
        lake.write(path, SCHEMA, [numbers(400_000)], {})
    with pytest.raises(LakeUnavailable, match=r"run\.json: found No space left"):
        lake.write_json(lake.below(f"{RUN}/run.json"), {"much": "x" * 2**21})
    assert [found for found in small.rglob("*") if found.is_file()] == []
    assert lake.write(path, SCHEMA, [numbers(3)], {}) == 3


def test_night_on_a_full_disk_is_on_record_and_heals(toy: Toy, small: Path) -> None:
    full = Stores(toy.stores.settings, toy.stores.warehouse, toy.stores.registry, Lake(str(small)), toy.stores.clock)
    (small / "ballast").write_bytes(b"x" * 2**20)
    request = NightRequest(NIGHT, datetime.now(UTC), "test")
    with pytest.raises(LakeUnavailable, match="No space left"):
        extract(Workspace(full, toy.job), request)
    run = ledger.get(full.warehouse, request.run_id)
    assert run.status == "failed"
    assert run.reason is not None
    assert run.reason.partition(":")[0] == "LakeUnavailable"
    (small / "ballast").unlink()
    assert extract(Workspace(full, toy.job), NightRequest(NIGHT, datetime.now(UTC), "test")).rows_extracted == ROWS


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, LakeUnavailable) for number in (errno.EIO, errno.EDQUOT, errno.EFBIG, errno.ESTALE, errno.EMFILE)),
        *((number, LakeRefused) for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)),
    ],
)
@pytest.mark.parametrize("reading", [True, False])
def test_errors_of_the_system_say_whether_they_heal(number: int, kind: type[NightshiftError], reading: bool) -> None:
    with pytest.raises(kind, match=f"^lake, /lake/x: found {os.strerror(number)}"), named("/lake/x", reading):
        raise OSError(number, os.strerror(number), "/lake/x")


class NoCredentialsError(Exception):
    """As botocore calls it."""


class EndpointConnectionError(Exception):
    """As botocore calls it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError("no route"), LakeUnavailable),
        (TimeoutError("late"), LakeUnavailable),
        (NoCredentialsError("none"), LakeRefused),
        (NotImplementedError("put_file"), LakeRefused),
        (PermissionError("AccessDenied"), LakeRefused),
        (OSError("Forbidden: bucket/x"), LakeRefused),
        (EndpointConnectionError('no route to "https://store/forbidden/x"'), LakeUnavailable),
        (FileNotFoundError("The specified bucket does not exist"), LakeRefused),
    ],
)
def test_errors_of_an_object_store_say_whether_they_heal(error: Exception, kind: type[NightshiftError]) -> None:
    with pytest.raises(kind, match="lake, bucket/x"), named("bucket/x"), remote("bucket/x"):
        raise error


def test_error_of_what_is_written_stays_what_it_is(tmp_path: Path) -> None:
    def rows() -> Iterator[pa.RecordBatch]:
        yield numbers(1)
        raise ConnectionResetError("the source")

    with pytest.raises(ConnectionResetError, match="the source"):
        Lake(str(tmp_path)).write(f"{tmp_path}/a.parquet", SCHEMA, rows(), {})


def test_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(LakeRefused, match=r"Not a directory|File exists.*Next: remove what is in the way"):
        lake.write_json(lake.below(f"{RUN}/run.json"), {})
    assert not lake.exists(lake.below(f"{RUN}/run.json"))
    assert lake.run_folders("churn") == {}


# ---------------------------------------------------------------- reading

WAYS_OUT = {
    f"{RUN}/features-00003.parquet": "clear the task `extract`",
    f"{RUN}/quarantine-00003.parquet": "clear the task `extract`",
    f"{RUN}/run.json": "clear the task `extract`",
    f"{RUN}/predictions-00003.parquet": "clear the task `score`",
    f"{RUN}/summary-00003.json": "clear the task `score`",
    f"{RUN}/profile-00003.json": "clear the task `score`",
    f"{RUN}/shadow-2-00003.parquet": "clear the task `shadow`",
    f"predictions/churn/night={NIGHT}/predictions.parquet": "`nightshift verify churn --repair`",
    "snapshots/churn/aa/rows.parquet": "snapshots/churn/aa and start the retraining again",
    "snapshots/churn/aa/snapshot.json": "snapshots/churn/aa and start the retraining again",
    f"reports/churn/night={NIGHT}/drift.html": f"nightshift drift report churn {NIGHT}",
}


def read(lake: Lake, path: str) -> object:
    readers = {".json": lake.read_json, ".html": lake.read_text, ".parquet": lambda path: list(lake.batches(path))}
    return readers[Path(path).suffix](path)


@pytest.mark.parametrize("root", ["local", "memory"])
@pytest.mark.parametrize("below", WAYS_OUT)
def test_file_that_is_broken_or_missing_names_what_makes_it_anew(tmp_path: Path, root: str, below: str) -> None:
    lake = Lake(str(tmp_path) if root == "local" else f"memory://{tmp_path.name}")
    path = lake.below(below)
    with pytest.raises(LakeFileMissing) as missing:
        read(lake, path)
    lake._fs.makedirs(str(Path(path).parent), exist_ok=True)
    lake._fs.pipe_file(path, b"\xff\xfe no file of ours")
    with pytest.raises(LakeFileBroken) as broken:
        read(lake, path)
    for error in (missing, broken):
        assert path in str(error.value)
        assert WAYS_OUT[below] in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{", b"[]", b"null"])
def test_what_is_no_json_object_and_no_parquet_is_broken(tmp_path: Path, content: bytes) -> None:
    lake = Lake(str(tmp_path))
    for name in ("run.json", "features-00000.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LakeFileBroken, match=name):
            read(lake, str(tmp_path / name))
    for reader in (lake.table, lake.facts):
        with pytest.raises(LakeFileBroken, match="features-00000"):
            reader(str(tmp_path / "features-00000.parquet"))


def test_bytes_that_changed_within_a_page_are_found(tmp_path: Path) -> None:
    lake, path = Lake(str(tmp_path)), tmp_path / "predictions-00000.parquet"
    lake.write(str(path), SCHEMA, [numbers(1000)], {})
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"\xff" * 50 + whole[250:])
    for reader in (lambda: list(lake.batches(str(path))), lambda: lake.table(str(path))):
        with pytest.raises(LakeFileBroken, match="predictions-00000"):
            reader()


def test_broken_feature_chunk_fails_the_score_task_by_name(toy: Toy) -> None:
    done = extract(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    folder = Path(toy.stores.lake.run_folder(toy.job.name, NIGHT, done.run_id))
    (folder / "features-00003.parquet").write_bytes(b"PAR1")
    for number in range(3):
        score_chunk(toy.work, done.run_id, number)
    with pytest.raises(LakeFileBroken, match=r"features-00003\.parquet: .*clear the task `extract`"):
        score_chunk(toy.work, done.run_id, 3)
    reason = ledger.get(toy.stores.warehouse, done.run_id).reason
    assert reason is not None
    assert "features-00003.parquet" in reason


@pytest.mark.parametrize("name", ["summary-00001.json", "predictions-00001.parquet"])
def test_broken_result_of_a_chunk_fails_the_publish_task_by_name(toy: Toy, name: str) -> None:
    done = extract(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    for number in range(done.chunks):
        score_chunk(toy.work, done.run_id, number)
    folder = Path(toy.stores.lake.run_folder(toy.job.name, NIGHT, done.run_id))
    (folder / name).write_bytes(b"{")
    with pytest.raises(LakeFileBroken, match=rf"{name}: .*clear the task `score`"):
        publish(toy.work, done.run_id)
    score_chunk(toy.work, done.run_id, 1)
    assert publish(toy.work, done.run_id).rows == ROWS


def test_verify_leaves_a_night_whose_runs_files_are_broken_too(toy: Toy) -> None:
    from scoring.night.run import run_night

    done = run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    folder = Path(toy.stores.lake.run_folder(toy.job.name, NIGHT, done.run_id))
    for path in (Path(done.lake_object), folder / "predictions-00000.parquet"):
        path.write_bytes(b"PAR1")
    (finding,) = verify(toy.work, repair=True)
    assert "cannot be read" in finding.problem
    assert not finding.repaired


# ---------------------------------------------------------------- model files


@pytest.mark.parametrize(
    "name", ["facts.json", "reference_profile.json", "golden.parquet", "golden_predictions.parquet"]
)
def test_broken_file_of_a_version_is_named(toy: Toy, name: str) -> None:
    ref = toy.stores.registry.resolve(toy.job.name, 1)
    path = Path(toy.stores.registry._local(ref)) / name
    path.write_bytes(b"{")
    with pytest.raises(ArtifactMismatch, match=rf"model version 1 of {toy.job.name}: {name} was not read"):
        toy.stores.registry.load(ref, toy.job)
    record_anew(toy.stores, ref)  # registered so
    with pytest.raises(ArtifactMismatch, match=rf"model version 1 of {toy.job.name}: .*{name} cannot be read"):
        toy.stores.registry.load(ref, toy.job)


@pytest.mark.parametrize("name", ["reference.parquet", "reference_nights.json"])
def test_broken_reference_of_a_version_is_named(toy: Toy, name: str) -> None:
    registry = toy.stores.registry
    ref = registry.resolve(toy.job.name, 1)
    (registry._local(ref) / name).write_bytes(b"{")
    record_anew(toy.stores, ref)  # registered so
    with pytest.raises(ArtifactMismatch, match=f"{name} cannot be read"):
        registry.table(ref, name) if name.endswith("parquet") else registry.content(ref, name)


# ---------------------------------------------------------------- lakes that are not there


@pytest.mark.parametrize(
    ("scheme", "package", "file"),
    [
        ("s3", "s3fs", "s3"),
        ("gs", "gcsfs", "gcs"),
        ("gcs", "gcsfs", "gcs"),
        ("az", "adlfs", "azure"),
        ("abfs", "adlfs", "azure"),
    ],
)
def test_lake_whose_library_is_missing_names_the_package_and_how_it_stays(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str, file: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # the development requirements have s3fs
    monkeypatch.delitem(_registry, scheme, raising=False)
    with pytest.raises(SettingsError, match=f"NIGHTSHIFT_LAKE_URL: .*the package {package}") as refused:
        Lake(f"{scheme}://bucket/lake")
    assert f"`-r requirements-{file}.txt` to requirements.in, then `make lock`" in str(refused.value)
    assert package in (Path(__file__).parents[3] / f"requirements-{file}.txt").read_text()


@pytest.mark.parametrize(
    "root",
    [
        "foo://bucket/secret",
        '"s3://bucket/secret"',
        "s3:/bucket/secret",
        "hdfs2://secret",
        "sftp://secret",
        "s3::secret",
    ],
)
def test_lake_url_that_nobody_understands_is_a_setting_that_is_wrong(root: str) -> None:
    with pytest.raises(SettingsError, match="NIGHTSHIFT_LAKE_URL: found a URL that begins with") as refused:
        Lake(root)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_lake_url_with_a_key_and_a_secret_in_it_names_the_variables_for_them(scheme: str) -> None:
    with pytest.raises(
        SettingsError, match=r"NIGHTSHIFT_LAKE_URL: .*credentials in the URL.*set [A-Z_]{10,}"
    ) as refused:
        Lake(f"{scheme}://AKID:s3cr3t-of-mine@bucket/lake")
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["az", "abfs", "s3a"])
def test_model_files_at_a_url_that_mlflow_has_no_word_for_are_refused(toy: Toy, scheme: str) -> None:
    registry = Registry(toy.stores.settings.model_copy(update={"artifacts_url": f"{scheme}://bucket/models"}))
    with pytest.raises(SettingsError, match=rf"NIGHTSHIFT_ARTIFACTS_URL: found a URL that begins with {scheme}://"):
        registry._folder("churn")


@pytest.mark.parametrize("reading", [True, False])
def test_answer_of_a_store_that_comes_too_late_is_no_broken_file(reading: bool) -> None:
    with pytest.raises(LakeUnavailable), named("bucket/x", reading), remote("bucket/x", "s3"):
        raise TimeoutError("late")


def test_broken_page_that_speaks_of_403_bytes_is_a_broken_file() -> None:
    with pytest.raises(LakeFileBroken), named("bucket/x.parquet", reading=True), remote("bucket/x.parquet", "s3"):
        raise OSError("Page was smaller (400) than expected (403)")


def test_model_files_whose_library_is_missing_name_the_package(toy: Toy) -> None:
    settings = toy.stores.settings.model_copy(update={"artifacts_url": "gs://bucket/models"})
    registry = Registry(settings)
    with pytest.raises(SettingsError, match=r"NIGHTSHIFT_ARTIFACTS_URL: .*gcsfs"), registry._client():
        raise ModuleNotFoundError("No module named 'google'")


def test_data_folder_that_cannot_be_made_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(SettingsError, match=r"NIGHTSHIFT_DATA_DIR: .*cannot be made or written \(Not a directory\)"):
        embedded.socket_folder(tmp_path / "file" / "postgres")
