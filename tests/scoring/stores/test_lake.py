"""Files that appear whole or not at all, on a local disk and through fsspec."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.stores.lake import Lake
from tests.support.s3 import BUCKET

NIGHT = date(2013, 4, 1)
SCHEMA = pa.schema({"id": pa.int64(), "name": pa.string()})


class Broken(Exception):
    """What goes wrong midway."""


def batch(*ids: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": list(ids), "name": [f"n{one}" for one in ids]}, SCHEMA)


def breaking(*batches: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield from batches
    raise Broken


@pytest.fixture(params=["local", "memory", "s3"])
def root(request, tmp_path, monkeypatch) -> Iterator[str]:
    """The root of an empty lake, on the disk, in fsspec's memory or on S3; temporary files go to a folder of the test."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    if request.param == "local":
        yield str(tmp_path / "lake")
        return
    if request.param == "s3":
        request.getfixturevalue("s3")
        yield f"s3://{BUCKET}/{tmp_path.name}/lake"
        return
    url = f"memory://{tmp_path.name}/lake"
    yield url
    fs, path = fsspec.core.url_to_fs(url)
    if fs.exists(path):
        fs.rm(path, recursive=True)


@pytest.fixture
def lake(root) -> Lake:
    return Lake(root)


def files_below(root: str) -> list[str]:
    fs, path = fsspec.core.url_to_fs(root)
    fs.invalidate_cache()
    return sorted(name.removeprefix(path) for name in fs.find(path)) if fs.exists(path) else []


def content(lake: Lake, path: str) -> list[int]:
    return [one for part in lake.batches(path) for one in part.column("id").to_pylist()]


def test_paths_say_job_night_and_run(lake, root):
    path = fsspec.core.url_to_fs(root)[1]
    folder = lake.run_folder("churn", NIGHT, "r1")
    assert folder == f"{path}/runs/churn/night=2013-04-01/r1"
    assert lake.current("churn", NIGHT) == f"{path}/predictions/churn/night=2013-04-01/predictions.parquet"


def test_write_gives_the_rows_back_in_order_and_counts_them(lake, tmp_path):
    path = lake.current("churn", NIGHT)
    assert lake.write(path, SCHEMA, iter([batch(3, 1), batch(), batch(2)]), {}) == 3
    assert content(lake, path) == [3, 1, 2]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_write_makes_a_file_of_no_rows_with_the_schema(lake):
    path = lake.current("churn", NIGHT)
    assert lake.write(path, SCHEMA, [], {}) == 0
    assert lake.facts(path) == {"rows": "0"}
    assert content(lake, path) == []


def test_write_leaves_nothing_when_it_breaks_midway(lake, root, tmp_path):
    path = lake.current("churn", NIGHT)
    with pytest.raises(Broken):
        lake.write(path, SCHEMA, breaking(batch(1), batch(2)), {})
    assert not lake.exists(path)
    assert files_below(root) == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_write_leaves_the_old_file_when_it_breaks_midway(lake, root, tmp_path):
    path = lake.current("churn", NIGHT)
    lake.write(path, SCHEMA, [batch(1, 2)], {"run": "old"})
    with pytest.raises(Broken):
        lake.write(path, SCHEMA, breaking(batch(3)), {"run": "new"})
    with pytest.raises(pa.ArrowException):  # the wrong columns
        lake.write(path, SCHEMA, [pa.RecordBatch.from_pydict({"id": ["x"], "name": ["y"]})], {"run": "new"})
    assert content(lake, path) == [1, 2]
    assert lake.facts(path) == {"run": "old", "rows": "2"}
    assert len(files_below(root)) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def test_write_shows_readers_the_old_file_until_the_new_one_is_whole(lake):
    path = lake.current("churn", NIGHT)
    lake.write(path, SCHEMA, [batch(1)], {})
    seen = []

    def watched() -> Iterator[pa.RecordBatch]:
        for one in (batch(2), batch(3)):
            yield one
            seen.append(content(lake, path))

    lake.write(path, SCHEMA, watched(), {})
    assert seen == [[1], [1]]
    assert content(lake, path) == [2, 3]


def test_write_lets_a_reader_of_the_old_file_finish(tmp_path):
    lake = Lake(str(tmp_path))
    path = lake.current("churn", NIGHT)
    lake.write(path, SCHEMA, [batch(1, 2, 3)], {})
    with Path(path).open("rb") as reading:
        old = reading.read()
        lake.write(path, SCHEMA, [batch(9)], {})
        reading.seek(0)
        assert reading.read() == old  # the new file took the name, the old one was not written over
    assert content(lake, path) == [9]


def test_write_gives_the_same_bytes_for_the_same_rows_and_facts(lake, root):
    one, two, other = (f"{lake.run_folder('churn', NIGHT, name)}/x.parquet" for name in ("a", "b", "c"))
    lake.write(one, SCHEMA, [batch(1, 2), batch(3)], {"run": "r", "model": "m"})
    lake.write(two, SCHEMA, [batch(1, 2), batch(3)], {"run": "r", "model": "m"})
    lake.write(other, SCHEMA, [batch(1, 2), batch(3)], {"run": "s", "model": "m"})
    fs = fsspec.core.url_to_fs(root)[0]
    assert fs.cat_file(one) == fs.cat_file(two)
    assert fs.cat_file(one) != fs.cat_file(other)


def test_write_makes_files_that_only_their_user_may_read(tmp_path):
    lake = Lake(str(tmp_path))
    lake.write(lake.current("churn", NIGHT), SCHEMA, [batch(1)], {})
    assert Path(lake.current("churn", NIGHT)).stat().st_mode & 0o777 == 0o600
    assert pq.read_table(lake.current("churn", NIGHT)).to_pylist() == [{"id": 1, "name": "n1"}]


def test_facts_come_back_with_the_row_count(lake):
    path = lake.current("churn", NIGHT)
    facts = {"run_id": "r1", "model_version": "7", "note": "Gruß, 'quoted' and \"so\""}
    lake.write(path, SCHEMA, [batch(1, 2)], facts)
    assert lake.facts(path) == {**facts, "rows": "2"}


def test_facts_are_none_when_there_is_no_file(lake):
    assert lake.facts(lake.current("churn", NIGHT)) is None


def test_batches_hold_at_most_the_rows_asked_for(lake):
    path = lake.current("churn", NIGHT)
    lake.write(path, SCHEMA, [batch(*range(10)), batch(*range(10, 25))], {})
    sizes = [one.num_rows for one in lake.batches(path, rows=4)]
    assert max(sizes) <= 4
    assert sum(sizes) == 25
    assert content(lake, path) == list(range(25))


def test_json_comes_back_and_is_replaced_whole(lake, root, tmp_path):
    path = f"{lake.run_folder('churn', NIGHT, 'r1')}/run.json"
    lake.write_json(path, {"b": 1, "a": [1.5, None, "Gruß"]})
    assert lake.read_json(path) == {"a": [1.5, None, "Gruß"], "b": 1}
    with pytest.raises(TypeError):
        lake.write_json(path, {"a": object()})
    assert lake.read_json(path) == {"a": [1.5, None, "Gruß"], "b": 1}
    assert len(files_below(root)) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


def test_nights_lists_the_published_nights_of_one_job(lake):
    assert lake.nights("churn") == []
    for job, night in (("churn", 3), ("churn", 1), ("churn_two", 2), ("other", 4)):
        lake.write(lake.current(job, date(2013, 4, night)), SCHEMA, [batch(1)], {})
    of_a_run = lake.run_folder("churn", date(2013, 4, 9), "r")
    lake.write(f"{of_a_run}/predictions-00000.parquet", SCHEMA, [batch(1)], {})
    assert lake.nights("churn") == [date(2013, 4, 1), date(2013, 4, 3)]


def test_remove_takes_a_file_or_a_folder_and_does_not_mind_its_absence(lake, root):
    folder = lake.run_folder("churn", NIGHT, "r1")
    for chunk in (0, 1):
        lake.write(f"{folder}/features-{chunk:05d}.parquet", SCHEMA, [batch(chunk)], {})
    lake.remove(f"{folder}/features-00000.parquet")
    assert not lake.exists(f"{folder}/features-00000.parquet")
    assert lake.exists(f"{folder}/features-00001.parquet")
    lake.remove(folder)
    lake.remove(folder)
    assert files_below(root) == []


def test_run_folders_lists_the_runs_of_one_job(lake, root):
    assert lake.run_folders("churn") == {}
    for job, run_id in (("churn", "r1"), ("churn", "r2"), ("churn_two", "r3")):
        lake.write_json(f"{lake.run_folder(job, NIGHT, run_id)}/run.json", {})
    found = lake.run_folders("churn")
    assert sorted(found) == ["r1", "r2"]
    lake.remove(found["r1"])
    assert sorted(lake.run_folders("churn")) == ["r2"]


def test_snapshots_are_those_that_say_what_they_are(lake):
    assert lake.snapshots("churn") == {}
    for path in ("churn/aa/snapshot.json", "churn/aa/rows.parquet", "churn/bb/rows.parquet", "other/cc/snapshot.json"):
        lake.write_text(lake.below(f"snapshots/{path}"), "{}")
    assert list(lake.snapshots("churn")) == ["aa"]
    assert lake.exists(f"{lake.snapshots('churn')['aa']}/rows.parquet")


def test_size_is_that_of_all_files_of_a_folder(lake):
    folder = lake.run_folder("churn", NIGHT, "r1")
    assert lake.size(folder) == 0
    lake.write_text(f"{folder}/a.json", "12345")
    lake.write_text(f"{folder}/deep/b.json", "123")
    assert lake.size(folder) == 8


def test_remove_folder_takes_all_of_it(lake, root):
    folder = lake.below("snapshots/churn/aa")
    for name in ("snapshot.json", "a.parquet", "z.parquet", "deep/snapshot.json"):
        lake.write_text(f"{folder}/{name}", "x")
    lake.write_text(lake.below("snapshots/churn/aab/snapshot.json"), "x")
    lake.remove_folder(folder, last="snapshot.json")
    assert len(files_below(root)) == 1
    assert not lake.exists(folder)


def test_lake_takes_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lake = Lake("data/lake")
    lake.write(lake.current("churn", NIGHT), SCHEMA, [batch(1)], {})
    assert lake.nights("churn") == [NIGHT]
    assert (tmp_path / "data" / "lake" / "predictions").is_dir()
