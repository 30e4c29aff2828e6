"""Parquet files that several tasks read side by side: which statements allow it, and what becomes of a file that changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.errors import SourceQueryError, StageLost
from scoring.interval import DataInterval
from scoring.stores.source import FileStage, Query, part_of, read_stage, stage_from, stream
from scoring.stores.source.staging import slice_files

NIGHT = date(2024, 2, 1)
TONIGHT = DataInterval.of_night(NIGHT, "UTC")
ROWS, IN_FILE = 100, 1000
FILES = "read_parquet('{root}/*.parquet')"
TONIGHTS = "where stamp >= :interval_start and stamp < :interval_end"
PLAIN = f"select id, upper(word) as word from {FILES} as r {TONIGHTS}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with three files of 1,000 rows, every other of which is tonight's, in row groups of 100."""
    folder = tmp_path / "it's a lake"
    folder.mkdir()
    start = datetime.combine(NIGHT, datetime.min.time(), UTC)
    for number in range(3):
        ids = list(range(IN_FILE * number, IN_FILE * (number + 1)))
        times = [start + timedelta(hours=3) - timedelta(days=n % 2) for n in ids]
        table = pa.table({"id": ids, "word": [f"w{n}" for n in ids], "stamp": times, "file_row": ids})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=ROWS)
    return folder


@pytest.fixture
def query(tmp_path: Path) -> Callable[[str], Query]:
    def of(text: str) -> Query:
        path = tmp_path / "sql/shop/features.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Query(path, ("id", "word"), ("id",), variable="NIGHTSHIFT_SOURCES__SHOP")

    return of


def url(root: Path) -> str:
    return f"duckdb:///:memory:?root={root}"


def sliced(root: Path, query: Query) -> FileStage:
    stage = slice_files(url(root), query, TONIGHT, ROWS)
    assert stage is not None
    return stage


def read(root: Path, query: Query, stage: FileStage, parts: int) -> list[pa.RecordBatch]:
    places = [part_of(stage.blocks, number, parts) for number in range(parts)]
    with read_stage(url(root), query, TONIGHT, stage, places) as batches:
        return list(batches)


@pytest.mark.parametrize("parts", [1, 4, 30])
def test_parts_are_the_rows_of_the_whole(root, query, parts):
    stage = sliced(root, query(PLAIN))
    assert (stage.rows, stage.blocks, stage.repeated_keys) == (1500, 30, False)
    again = stage_from(stage.as_dict(), "run")
    assert again == stage
    batches = read(root, query(PLAIN), stage, parts)
    assert len(batches) == parts
    assert [batch.num_rows for batch in batches] == [1500 // parts] * parts if parts != 4 else [350, 400, 350, 400]
    with stream(url(root), query(PLAIN), TONIGHT, 10_000) as whole:
        assert pa.Table.from_batches(batches).sort_by("id").equals(pa.Table.from_batches(list(whole)))


@pytest.mark.parametrize(
    "text",
    [
        f"select id, max(word) as word from {FILES} {TONIGHTS} group by id",
        f"select id, word from {FILES} {TONIGHTS} order by id limit 7",
        f"select distinct id, word from {FILES} {TONIGHTS}",
        f"select id, word from {FILES} {TONIGHTS} qualify row_number() over (partition by word) = 1",
        f"select id, word from {FILES} {TONIGHTS} using sample 10 rows",
        f"select id, lag(word) over (order by id) as word from {FILES} {TONIGHTS}",
        f"select id, word from {FILES} {TONIGHTS} and id < (select max(id) from {FILES})",
        f"select id, random()::text as word from {FILES} {TONIGHTS}",
        f"select id, now()::text as word from {FILES} {TONIGHTS}",
        f"select unnest([id, id + 5000]) as id, word from {FILES} {TONIGHTS}",
        f"select id, a.word from {FILES} a join (select id from {FILES}) b using (id) {TONIGHTS}",
        f"with w as (select * from {FILES}) select id, word from w {TONIGHTS}",
        f"select id, word from {FILES} {TONIGHTS} union all select id, word from {FILES} {TONIGHTS}",
        f"select max(id) as id, max(word) as word from {FILES} {TONIGHTS}",
        f"select id, word from (select * from {FILES}) {TONIGHTS}",
        f"select id, word from {FILES} tablesample 10% {TONIGHTS}",
        "select id, word from (values (1, 'a')) as v(id, word) where now() >= :interval_start and now() < :interval_end",
    ],
)
def test_statement_that_takes_more_than_a_row_at_a_time_is_not_shared(root, query, text):
    assert slice_files(url(root), query(text), TONIGHT, ROWS) is None


def test_file_with_a_column_named_as_duckdbs_own_is_not_shared(root, query):
    table = pq.read_table(root / "part-0.parquet").rename_columns(["id", "word", "stamp", "filename"])
    for path in root.glob("*.parquet"):
        pq.write_table(table, path)
    assert slice_files(url(root), query(PLAIN), TONIGHT, ROWS) is None


def test_condition_with_or_stays_one_condition(root, query):
    text = f"select id, word from {FILES} where id = 3 or id = 2003 or id = 5 and not ({TONIGHTS[6:]})"
    stage = sliced(root, query(text))
    ids = [i for batch in read(root, query(text), stage, stage.blocks) for i in batch.column("id").to_pylist()]
    assert sorted(ids) == [3, 5, 2003]


def test_repeated_keys_are_seen(root, query):
    text = PLAIN.replace("select id,", "select id % 1400 as id,")
    stage = sliced(root, query(text))
    assert stage.repeated_keys


def test_night_without_rows_has_no_slices(root, query):
    stage = sliced(root, query(PLAIN.replace("stamp >=", "id < 0 and stamp >=")))
    assert (stage.rows, stage.blocks) == (0, 0)


def test_file_that_changes_before_it_is_read_is_refused(root, query):
    stage = sliced(root, query(PLAIN))
    table = pq.read_table(root / "part-1.parquet")
    pq.write_table(
        table.set_column(1, "word", pa.array(["x"] * len(table))), root / "part-1.parquet", row_group_size=ROWS
    )
    with pytest.raises(StageLost, match=r"part-1.parquet.* changed.*new name"):
        read(root, query(PLAIN), stage, 3)


def test_file_that_is_gone_is_refused_and_one_that_came_is_left(root, query):
    stage = sliced(root, query(PLAIN))
    (root / "part-9.parquet").write_bytes((root / "part-0.parquet").read_bytes())
    assert sum(batch.num_rows for batch in read(root, query(PLAIN), stage, 2)) == 1500
    (root / "part-0.parquet").unlink()
    with pytest.raises((StageLost, SourceQueryError)):
        read(root, query(PLAIN), stage, 2)


def test_a_part_reads_its_row_groups_alone(root, query):
    """What makes sharing worth it: DuckDB skips the others."""
    file = str(root / "part-1.parquet").replace("'", "''")
    where = f"filename = '{file}' and file_row_number >= 300 and file_row_number < 400"
    path = str(root / "*.parquet").replace("'", "''")
    plan = duckdb.connect().execute(f"explain analyze select * from read_parquet('{path}') where {where}").fetchall()
    assert "Row Groups Scanned: 2 / 10" in plan[0][1] or "Row Groups Scanned: 1 / 10" in plan[0][1]
