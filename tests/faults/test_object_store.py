"""Lake and model files on an S3 server that fails, is slow, forgets to list, or refuses: nothing half, nothing twice."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from drift.watch import watch
from pages.content import night as night_content
from pages.content.places import Places
from pages.rendering.report_files import whole_report
from scoring.errors import LakeRefused, LakeUnavailable, NightshiftError, RegistryUnavailable, SettingsError
from scoring.job.files import find_job
from scoring.night.extract import extract
from scoring.night.run import run_night
from scoring.settings import RetentionPolicy
from scoring.stores.file_system import PART
from scoring.stores.lake import Lake
from scoring.stores.registry import loading
from scoring.stores.run_folder import RunFolder
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.crashes import POINTS, die_at
from tests.support.retention import at
from tests.support.runs import request, run, shown
from tests.support.s3 import KEYS, Proxy
from tests.support.toy import NIGHT, ROWS, execute

SCHEMA = pa.schema({"id": pa.int64()})
FAULTS = ("500", "503", "truncate", "lost", "slow", "hide")
"""What heals when it happens to some requests."""


@pytest.fixture(autouse=True, scope="module")
def _evidently() -> None:
    """Evidently imports what warns; its own warnings are none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently.presets  # noqa: F401


def files(toy: Toy, below: str) -> list[str]:
    """Return the files on the lake below a folder, as they are now."""
    lake = toy.stores.lake
    return sorted(str(path).removeprefix(f"{lake._root}/") for path in lake._fs.find(lake.below(below)))


def hash_of(toy: Toy, run_id: str) -> str:
    """Return the hash of the predictions that a run published."""
    found = ledger.get(toy.stores.warehouse, run_id).predictions_hash
    assert found is not None
    return found


def on_disk(toy: Toy, folder: Path) -> Workspace:
    """Return the job with a lake on the disk, and the same model files."""
    return Workspace(replace(toy.stores, lake=Lake(str(folder))), toy.job)


def retained(toy: Toy) -> list[str]:
    """Carry out what retention plans long after, until it plans nothing, and return the kinds of what went."""
    work, policy = Workspace(at(toy), toy.job), RetentionPolicy(versions_kept=1)
    gone: list[str] = []
    while planned := plan(work, policy):
        gone += [removal.kind for removal in apply(work, planned)]
    return gone


def require_once(toy: Toy, expected: str) -> None:
    """Assert that a night is there exactly once, the same on the lake, and that retention leaves nothing else of it."""
    done = run(toy)
    assert hash_of(toy, done.run_id) == expected
    assert len(shown(toy)) == ROWS
    assert verify(toy.work) == []
    retained(toy)
    assert {path.split("/")[3] for path in files(toy, f"runs/{toy.job.name}")} == {done.run_id}
    assert files(toy, "predictions") == [f"predictions/{toy.job.name}/night={NIGHT}/predictions.parquet"]


# ---------------------------------------------------------------- what works


def test_job_lives_with_lake_and_models_on_s3_as_on_a_disk(distant: Toy, tmp_path: Path) -> None:
    first = run(distant)
    assert first.lake_object.startswith("s3://night/")
    local = run_night(on_disk(distant, tmp_path / "disk"), request())
    again = run(distant)
    assert len({hash_of(distant, done.run_id) for done in (first, local, again)}) == 1
    assert verify(distant.work) == []

    lake, current = distant.stores.lake, distant.stores.lake.current(distant.job.name, NIGHT)
    for spoil in (lambda: lake._fs.pipe_file(current, b"PAR1"), lambda: lake.remove(current)):
        spoil()
        assert [finding.repaired for finding in verify(distant.work, repair=True)] == [True]
        assert verify(distant.work) == []

    from drift.report.night_report import write_report

    watched = watch(distant.work, again.run_id, write_report)
    assert watched.report is not None
    assert (watched.report, watched.report_error) == (f"reports/{distant.job.name}/night={NIGHT}/drift.html", None)
    read = Places(distant.stores.warehouse, lake, lambda name: find_job(distant.stores.settings.jobs_dir, name))
    view = night_content.night_page(read, distant.job.name, NIGHT, None)
    assert view is not None
    assert view["report"] == f"{distant.job.name}/night={NIGHT}/drift.html"
    page = whole_report(
        lake.read_text(lake.below(watched.report)), lambda path: lake.read_text(lake.below(f"reports/{path}"))
    )
    assert "<script>" in page
    assert "../../assets" not in page

    assert len(files(distant, "snapshots")) == 2
    assert "run" in retained(distant)
    assert {path.split("/")[3] for path in files(distant, f"runs/{distant.job.name}")} == {again.run_id}
    assert files(distant, "snapshots") != [], "the version that stays names it"


def test_version_on_s3_is_verified_before_it_is_unpickled(distant: Toy) -> None:
    registry = distant.stores.registry
    (ref,) = registry.versions(distant.job.name)
    assert ref.uri.startswith("s3://night/")
    lake = distant.stores.lake
    lake._fs.pipe_file(f"{ref.uri}/pipeline.joblib", b"other bytes")
    for copy in (distant.stores.settings.data_dir / "cache" / "models").iterdir():
        for file in copy.iterdir():
            file.unlink()
        copy.rmdir()
    loading.loaded.clear()
    with pytest.raises(NightshiftError, match=r"pipeline\.joblib was not unpickled"):
        registry.load(ref, distant.job)
    assert registry.size(ref) > 1000
    registry.remove(ref)
    assert lake._fs.find(ref.uri) == []


def test_large_file_is_sent_and_read_in_parts_and_never_copied(s3: Proxy, tmp_path: Path) -> None:
    lake = Lake(f"s3://night/{tmp_path.name}")
    path = lake.below("large.parquet")

    def batches() -> Iterator[pa.RecordBatch]:
        random = np.random.default_rng(0)
        for _ in range(24):
            yield pa.RecordBatch.from_arrays([pa.array(random.integers(0, 2**62, 100_000))], schema=SCHEMA)

    lake.write(path, SCHEMA, batches(), {})
    sent = [size for method, target, size in s3.log if method == "PUT" and "large" in target]
    assert len(sent) > 1
    assert max(sent) <= PART
    s3.log.clear()
    reading = lake.batches(path)
    first = next(reading)
    assert sum(size for _, _, size in s3.log) < sum(sent) * 0.6, "all of it is read before a row is given"
    assert pa.Table.from_batches([first, *reading]) == pa.Table.from_batches(batches())
    assert max(size for _, _, size in s3.log) <= 2 * PART
    assert sum(size for _, _, size in s3.log) < sum(sent) * 1.1
    assert [target for method, target, _ in s3.log if method not in ("GET", "HEAD")] == []


# ---------------------------------------------------------------- what fails


@pytest.mark.parametrize("kind", ["500", "503", "truncate", "lost"])
def test_put_that_fails_some_times_is_sent_again(s3: Proxy, tmp_path: Path, kind: str) -> None:
    lake = Lake(f"s3://night/{tmp_path.name}")
    with s3.spoiling(kind, method="PUT", times=1) as fault:
        lake.write_json(lake.below("a.json"), {"written": True})
    assert fault.met == 1
    assert lake.read_json(lake.below("a.json")) == {"written": True}


@pytest.mark.parametrize("kind", ["500", "truncate"])
def test_put_that_keeps_failing_leaves_the_old_file_and_may_heal(
    s3: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lake = Lake(f"s3://night/{tmp_path.name}")
    lake.write_json(lake.below("a.json"), {"old": True})
    with (
        s3.spoiling(kind, method="PUT"),
        pytest.raises(LakeUnavailable, match=r"a\.json: found .*Next: try again once"),
    ):
        lake.write_json(lake.below("a.json"), {"new": True})
    assert lake.read_json(lake.below("a.json")) == {"old": True}
    with s3.spoiling(kind, method="PUT"), pytest.raises(LakeUnavailable):
        lake.write_json(lake.below("b.json"), {"new": True})
    assert not lake.exists(lake.below("b.json"))


def test_part_that_keeps_failing_leaves_nothing_of_the_upload(
    s3: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lake = Lake(f"s3://night/{tmp_path.name}")
    noise = pa.array(np.random.default_rng(0).integers(0, 2**62, 200_000))
    batch = pa.RecordBatch.from_arrays([noise], schema=SCHEMA)
    with s3.spoiling("500", part="partNumber=2"), pytest.raises(LakeUnavailable):
        lake.write(lake.below("a.parquet"), SCHEMA, [batch] * 15, {})
    assert not lake.exists(lake.below("a.parquet"))
    assert [upload for upload in lake._fs.list_multipart_uploads("night") if tmp_path.name in upload["Key"]] == []


def test_upload_that_was_begun_and_never_ended_goes_with_the_next_one_and_with_its_folder(
    s3: Proxy, tmp_path: Path
) -> None:
    lake = Lake(f"s3://night/{tmp_path.name}")
    ours, night = (
        lake.below("runs/churn/night=2024-01-01/r1"),
        lake.below("predictions/churn/night=2024-01-01/p.parquet"),
    )

    def begin(path: str) -> None:
        bucket, key, _ = lake._fs.split_path(path)
        lake._fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)

    def begun() -> list[str]:
        keys = [upload["Key"] for upload in lake._fs.list_multipart_uploads("night")]
        return sorted(key.rpartition("/")[2] for key in keys if tmp_path.name in key)

    for path in (f"{ours}/a.parquet", f"{ours}0/b.parquet", night):
        begin(path)
    lake.remove(ours)
    assert begun() == ["b.parquet", "p.parquet"], "another run's stays"
    noise = pa.array(np.random.default_rng(0).integers(0, 2**62, 200_000))
    lake.write(night, SCHEMA, [pa.RecordBatch.from_arrays([noise], schema=SCHEMA)] * 15, {})
    assert begun() == ["b.parquet"]


def test_expired_credentials_are_named_and_no_secret_is_shown(distant: Toy, s3: Proxy) -> None:
    lake = distant.stores.lake
    path = lake.current(distant.job.name, NIGHT)
    calls = {
        "read": lambda: list(lake.batches(path)),
        "write": lambda: lake.write_text(path, "x"),
        "list": lambda: lake.nights(distant.job.name),
        "look": lambda: lake.exists(path),
        "size": lambda: lake.size(lake.below("snapshots")),
        "remove": lambda: lake.remove(lake.below("snapshots")),
    }
    run(distant)
    with s3.spoiling("expired"):
        for name, call in calls.items():
            with pytest.raises(LakeRefused, match=r"AWS_ACCESS_KEY_ID.*AWS_SESSION_TOKEN") as refused:
                call()
            assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(refused.value), name
        loading.loaded.clear()
        (ref,) = distant.stores.registry.versions(distant.job.name)
        with pytest.raises(SettingsError, match=r"NIGHTSHIFT_ARTIFACTS_URL.*AWS_ACCESS_KEY_ID"):
            distant.stores.registry.size(ref)


def test_model_files_that_do_not_come_are_a_registry_that_does_not_answer(distant: Toy, s3: Proxy) -> None:
    (ref,) = distant.stores.registry.versions(distant.job.name)
    with s3.spoiling("500"), pytest.raises(RegistryUnavailable):
        distant.stores.registry.size(ref)


def test_night_needs_no_listing(distant: Toy, s3: Proxy, tmp_path: Path) -> None:
    expected = hash_of(distant, run_night(on_disk(distant, tmp_path / "disk"), request()).run_id)
    with s3.spoiling("hide") as fault:
        done = run(distant)
        assert hash_of(distant, done.run_id) == expected
    assert fault.met > 0
    assert verify(distant.work) == []  # which reads the model's files by MLflow, from a listing
    require_once(distant, expected)


def test_what_a_listing_still_shows_is_not_taken_for_there(distant: Toy, s3: Proxy) -> None:
    lake, name = distant.stores.lake, distant.job.name
    run(distant)
    before = lake.snapshots(name)
    assert (len(before), lake.nights(name)) == (1, [NIGHT])
    assert len(lake.run_folders(name)) == 1
    with s3.spoiling("stale"):
        lake.remove_folder(next(iter(before.values())), "snapshot.json", "rows.parquet")
        assert lake.snapshots(name) == {}
        from scoring.night.publish import unpublish

        unpublish(distant.work, NIGHT, "test")
        assert lake.nights(name) == [NIGHT], "the listing is stale"
        assert verify(distant.work) == []
        plan(Workspace(at(distant), distant.job), RetentionPolicy())


def test_reading_in_key_order_forgets_the_first_reading_though_nothing_is_listed(distant: Toy, s3: Proxy) -> None:
    execute(
        distant.source,
        f"insert into events select at, id, x, 'broken'||kind, y from events where at >= '{NIGHT}' limit 1",
    )
    execute(distant.source, f"update events set x = -99 where at >= '{NIGHT}' and id < 3")
    with s3.spoiling("hide"):
        done = extract(distant.work, request())
        folder = RunFolder(distant.stores.lake, ledger.get(distant.stores.warehouse, done.run_id))
        assert sum(batch.num_rows for batch in folder.quarantine()) == done.rows_quarantined


@pytest.mark.parametrize("point", ["load, rows sent and not committed"])
def test_night_killed_with_a_lake_on_s3_is_repeated(distant: Toy, commands: Path, tmp_path: Path, point: str) -> None:
    _killed(distant, commands, tmp_path, point)


@pytest.mark.nightly
@pytest.mark.parametrize("point", POINTS)
def test_night_killed_anywhere_with_a_lake_on_s3_is_repeated(
    distant: Toy, commands: Path, tmp_path: Path, point: str
) -> None:
    _killed(distant, commands, tmp_path, point)


def _killed(toy: Toy, commands: Path, folder: Path, point: str) -> None:
    expected = hash_of(toy, run_night(on_disk(toy, folder / "disk"), request()).run_id)
    die_at(commands, toy, point)
    assert len(shown(toy)) == ROWS
    for night in toy.stores.lake.nights(toy.job.name):
        batches = list(toy.stores.lake.batches(toy.stores.lake.current(toy.job.name, night)))
        assert sum(batch.num_rows for batch in batches) == ROWS
    require_once(toy, expected)


@pytest.mark.nightly
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
@pytest.mark.parametrize("kind", FAULTS)
def test_night_on_a_store_that_fails_now_and_then(
    distant: Toy, s3: Proxy, tmp_path: Path, kind: str, method: str
) -> None:
    expected = hash_of(distant, run_night(on_disk(distant, tmp_path / "disk"), request()).run_id)
    for after in range(0, 12, 3):
        with s3.spoiling(kind, method=method, after=after, times=2):
            assert hash_of(distant, run(distant).run_id) == expected
    require_once(distant, expected)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["500", "503", "truncate", "expired"])
@pytest.mark.parametrize("part", ["features", "predictions-0", "summary", "profile", "run.json", "predictions.parquet"])
def test_night_on_a_store_that_keeps_failing_at_a_file(
    distant: Toy, s3: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, part: str
) -> None:
    expected = hash_of(distant, run_night(on_disk(distant, tmp_path / "disk"), request()).run_id)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    distant.stores = replace(distant.stores, lake=Lake(str(distant.stores.settings.lake_url)))
    with s3.spoiling(kind, method="PUT", part=part), pytest.raises((LakeUnavailable, LakeRefused)):
        run(distant)
    assert len(shown(distant)) == ROWS
    require_once(distant, expected)
