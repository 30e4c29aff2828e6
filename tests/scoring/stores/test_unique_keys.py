"""Keys are unique as they will be stored, in the whole night: every copy is quarantined, wherever it stands."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from lifecycle.training.rows import read_rows
from scoring.interval import DataInterval, Nights
from scoring.job.definition import Job
from scoring.night.extract import extract
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.contract import Contract
from scoring.rows.digest import row_hashes
from scoring.rows.duplicates import repeated
from scoring.stores import unique_keys
from scoring.stores.installation import Stores
from scoring.stores.reading import feature_batches
from scoring.stores.run_folder import RunFolder
from scoring.stores.unique_keys import RepeatedKeys, anywhere, beside, once
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from tests.conftest import Toy, new_database
from tests.support.toy import FIRST, NIGHT, UNTIL, execute, write_job

MODEST = settings(deadline=None, max_examples=60, derandomize=True)


def same(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def cut(values: list[Any], size: int) -> list[pa.RecordBatch]:
    """Return the values as batches of a size."""
    parts = [values[start : start + size] for start in range(0, len(values), size)] or [[]]
    return [pa.RecordBatch.from_pydict({"k": pa.array(part, pa.int64())}) for part in parts]


def marks(found: Any) -> list[bool]:
    return [bool(mark) for _, masks in found for mark in masks]


@MODEST
@given(values=st.lists(st.integers(0, 12) | st.none(), max_size=20), size=st.integers(1, 7))
def test_anywhere_marks_every_copy_in_any_order(values, size):
    found = list(anywhere(iter(cut(values, size)), same))
    assert marks(found) == [values.count(value) > 1 for value in values]
    assert [value for batch, _ in found for value in batch.column("k").to_pylist()] == values


@MODEST
@given(values=st.lists(st.integers(0, 12), max_size=20).map(sorted), size=st.integers(1, 7))
def test_beside_marks_every_copy_in_key_order(values, size):
    assert marks(beside(iter(cut(values, size)), same)) == [values.count(value) > 1 for value in values]


def test_anywhere_tells_keys_with_equal_hashes_apart(monkeypatch):
    monkeypatch.setattr(unique_keys, "row_hashes", lambda keys: np.zeros(keys.num_rows, dtype=np.uint64))
    assert marks(anywhere(iter(cut([1, 2, 3, 2, 4], 2)), same)) == [False, True, False, True, False]


@MODEST
@given(values=st.lists(st.integers(0, 40), max_size=20), size=st.integers(1, 7))
def test_repeated_keys_are_reported_when_the_night_is_read_to_its_end(plain_job, values, size):
    def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
        moments = pa.array([NOON] * batch.num_rows, pa.timestamp("us", "UTC"))
        numbers, kinds = pa.nulls(batch.num_rows, pa.float64()), pa.array(["a"] * batch.num_rows, pa.string())
        return pa.RecordBatch.from_arrays([moments, batch.column("k"), numbers, kinds], ["at", "id", "x", "kind"])

    contract = Contract(plain_job, DataInterval.of_night(NOON.date(), "UTC"))
    rows = 0
    with pytest.raises(RepeatedKeys) if len(set(values)) < len(values) else nullcontext():
        for _, part in once(map(whole, cut(values, size)), contract):
            rows += part.accepted.num_rows
    assert rows == len(values)


@MODEST
@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=9), max_size=4))
def test_repeated_hashes_are_found_in_every_range(parts):
    values = [value for part in parts for value in part]
    expected = sorted({value for value in values if values.count(value) > 1})
    assert repeated([np.array(part, dtype=np.uint64) for part in parts]).tolist() == expected


def test_row_hashes_are_of_the_whole_key():
    keys = {"a": [1, 1, 2, 2, None], "b": ["x", "y", "x", "x", ""], "c": [NOON, NOON, NOON, NOON, None]}
    hashes = row_hashes(pa.RecordBatch.from_pydict(keys)).tolist()
    assert hashes[2] == hashes[3]
    assert len(set(hashes)) == 4


DAY = timedelta(days=1)
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
CASES: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    # key types, rows as SQL values, keys of the rows that are accepted
    "leading zeros": ({"k": "int"}, ["'7'", "'70'", "'8'", "'007'", "' 7 '", "'9.0'", "'9'", "'+6'"], ["6", "8", "70"]),
    "days of times": (
        {"k": "date"},
        ["'2024-01-01 01:00:00'", "'2024-01-01 02:00:00'", "'2024-01-02'"],
        ["2024-01-02"],
    ),
    "days, then more": (
        {"k": "date", "n": "int"},
        ["'2024-01-01 01:00:00', 1", "'2024-01-01 02:00:00', 2", "'2024-01-01 03:00:00', 1"],
        ["2024-01-01 2"],
    ),
    "notations of a time": (
        {"k": "datetime"},
        ["'2024-01-01 12:00:00'", "'2024-01-01 13:00:00'", "'2024-01-01T12:00:00Z'", "'2024-01-01 17:30:00+05:30'"],
        ["2024-01-01 13:00:00+00:00"],
    ),
    "19 digits": (
        {"k": "int"},
        ["'9007199254740993'", "'9007199254740992'", "'9223372036854775807'", "'09223372036854775807'"],
        ["9007199254740992", "9007199254740993"],
    ),
    "text and not": ({"k": "string"}, ["'a'", "'a '", "'A'", "'b'", "'b'"], ["A", "a", "a "]),
    "unreadable": ({"k": "int"}, ["'x'", "'y'", "'x'", "'1'", "null", "null"], ["1"]),
}


@pytest.fixture
def source_of(stores: Stores, data_dir: Path, tmp_path: Path) -> Callable[..., Stores]:
    """Give stores whose source has a table of keys, in PostgreSQL (as text) or SQLite."""

    def make(kind: str, names: list[str], rows: list[str]) -> Stores:
        columns = ", ".join(f"{name} {'text' if name == 'k' else 'int'}" for name in names)
        statements = [f"create table copies ({columns}, x int)"]
        statements += [f"insert into copies values ({row}, 1)" for row in rows]
        if kind == "postgresql":
            url = new_database(data_dir)
            for statement in statements:
                execute(url, statement)
        else:
            url = f"sqlite:///{tmp_path / 'copies.db'}"
            with closing(sqlite3.connect(tmp_path / "copies.db", isolation_level=None)) as connection:
                for statement in statements:
                    connection.execute(statement)
        sources = {"toy": SecretStr(url)}
        return replace(stores, settings=stores.settings.model_copy(update={"sources": sources}))

    return make


def keyed_job(folder: Path, keys: dict[str, str], rows: int) -> Job:
    job = write_job(folder, "copies", key=keys, time_column=None, features={"x": {"type": "int"}}, chunk_rows=rows)
    text = f"select {', '.join(keys)}, x from copies where :interval_start < :interval_end"
    (folder / "sql" / "copies" / "features.sql").write_text(text)
    return job


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
@pytest.mark.parametrize("case", CASES)
def test_keys_that_are_stored_alike_are_quarantined_with_all_copies(source_of, tmp_path, kind, case):
    keys, rows, expected = CASES[case]
    opened = source_of(kind, list(keys), rows)
    for size in (1, 2, 100):
        job = keyed_job(tmp_path, keys, size)
        with feature_batches(Workspace(opened, job), DataInterval.of_night(FIRST, "UTC")) as batches:
            parts = [part for _, part in batches]
        accepted = [row for part in parts for row in part.accepted.select(list(keys)).to_pylist()]
        assert sorted(" ".join(map(str, row.values())) for row in accepted) == sorted(expected)
        copies = sum(part.reasons.get("duplicate_key", 0) for part in parts)
        assert copies == len(rows) - len(expected) - (case == "unreadable")  # 'y' is one of its kind


def test_a_night_after_one_with_copies_is_read_once_in_key_order(toy: Toy, monkeypatch) -> None:
    """The first of them is read twice, since nobody could know."""
    readings: list[bool] = []
    module = sys.modules[extract.__module__]
    read = module.feature_batches

    def counted(*arguments: Any, in_key_order: bool, **more: Any) -> Any:
        readings.append(in_key_order)
        return read(*arguments, in_key_order=in_key_order, **more)

    monkeypatch.setattr(module, "feature_batches", counted)
    execute(toy.source, f"insert into events select * from events where id = 7 and at::date = '{NIGHT}'")
    execute(toy.source, f"insert into events values ('{NIGHT} 10:00+00', null, 1, 'a', null)")
    quarantined = []
    for night, chunk_rows in ((NIGHT, 50), (NIGHT, 50), (NIGHT + DAY, 50), (NIGHT + DAY, 50)):
        work = Workspace(toy.stores, toy.change(chunk_rows=chunk_rows))
        done = run_night(work, NightRequest(night, datetime.now(UTC), "test"))
        quarantined.append(ledger.get(toy.stores.warehouse, done.run_id).quarantine_reasons)
    assert readings == [False, True, True, True, False]
    assert quarantined == [{"duplicate_key": 2, "id:null": 1}] * 2 + [{}] * 2


def test_a_second_reading_leaves_nothing_of_the_first(toy: Toy) -> None:
    """The bad row stands in the first chunk of the first reading, and in the last of the second."""
    execute(toy.source, "create table copies as select * from events order by at::date, id desc")
    execute(toy.source, "drop table events; alter table copies rename to events")
    execute(toy.source, f"insert into events select * from events where id = 7 and at::date = '{NIGHT}'")
    execute(toy.source, f"update events set x = 1e9 where id = 199 and at::date = '{NIGHT}'")
    job = toy.change(
        features={
            **toy.job.model_dump(mode="json")["features"],
            "x": {"type": "float", "nullable": True, "min": -50, "max": 100},
        }
    )
    done = run_night(Workspace(toy.stores, job), NightRequest(NIGHT, datetime.now(UTC), "test"))
    run = ledger.get(toy.stores.warehouse, done.run_id)
    assert run.quarantine_reasons == {"duplicate_key": 2, "x:above_max": 1}
    rows = [row for batch in RunFolder(toy.stores.lake, run).quarantine() for row in batch.to_pylist()]
    assert sorted(row["id"] for row in rows) == ["199", "7", "7"]


def test_a_night_with_a_copy_in_an_earlier_chunk_is_published_without_both(toy: Toy) -> None:
    """The ids are text: '7' stands in the chunk of '6…' and '7…', '007' in the first one."""
    execute(toy.source, "alter table events alter id type text using id::text")
    execute(toy.source, f"insert into events values ('{NIGHT} 10:00+00', '007', 1, 'a', null)")
    moved = f"at >= '{NIGHT} 00:00+00' and at < '{NIGHT + DAY} 00:00+00' and id in ('7', '33')"
    execute(toy.source, f"update events set at = '{NIGHT} 10:00+00' where {moved}")
    execute(toy.source, f"insert into events values ('{NIGHT} 12:00+02', '33.0', 1, 'a', null)")
    done = run_night(Workspace(toy.stores, toy.change(chunk_rows=7)), NightRequest(NIGHT, datetime.now(UTC), "test"))
    run = ledger.get(toy.stores.warehouse, done.run_id)
    assert run.quarantine_reasons == {"duplicate_key": 4}
    assert (run.rows_extracted, run.rows_scored) == (202, 198)
    read = read_rows(toy.work, Nights(NIGHT, NIGHT + DAY))
    assert read.reasons == {"duplicate_key": 4}  # training leaves the same rows out


@pytest.mark.parametrize(
    ("found", "zone", "in_order"),
    [
        ({"at": pa.timestamp("us", "UTC"), "id": pa.int64()}, "UTC", True),
        ({"at": pa.timestamp("us", "UTC"), "id": pa.int16()}, "America/New_York", True),
        ({"at": pa.timestamp("us"), "id": pa.int32()}, "UTC", True),
        ({"at": pa.timestamp("us"), "id": pa.int32()}, "America/New_York", False),  # an hour that is left out
        ({"at": pa.date32(), "id": pa.int64()}, "UTC", False),
        ({"at": pa.timestamp("us", "UTC"), "id": pa.string()}, "UTC", False),
        ({"at": pa.timestamp("us", "UTC"), "id": pa.float64()}, "UTC", False),
    ],
)
def test_contract_knows_when_equal_keys_stand_beside_each_other(tmp_path, found, zone, in_order):
    for name in ("jobs", "sql"):
        (tmp_path / name).mkdir()
    job = write_job(tmp_path, "typed", source_timezone=zone)
    contract = Contract(job, Nights(FIRST, UNTIL).interval("UTC"))
    assert contract.keeps_order(pa.schema(list(found.items()))) is in_order
