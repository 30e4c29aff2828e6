"""The content hash: blind to order and batches, sensitive to everything else."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scoring.rows.digest import RowsDigest

MODEST = settings(deadline=None, max_examples=50, derandomize=True)
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "share": pa.float64(),
        "name": pa.string(),
        "other": pa.string(),
        "flag": pa.bool_(),
        "at": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
    }
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
    "share": st.none() | st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0]),
    "name": st.none() | st.text(max_size=3),
    "other": st.none() | st.text(max_size=3),
    "flag": st.none() | st.booleans(),
    "at": st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "day": st.none() | st.dates(),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=8)


def batch_of(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema)


def digest(*batches: pa.RecordBatch) -> str:
    adding = RowsDigest()
    for batch in batches:
        adding.add(batch)
    return adding.hexdigest()


def one(**columns: list[Any] | pa.Array) -> str:
    return digest(pa.RecordBatch.from_pydict(columns))


@MODEST
@given(rows=ROWS, data=st.data())
def test_digest_does_not_depend_on_order_or_batches(rows, data):
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(rows)))))
    parts = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    assert digest(*(batch_of(part) for part in parts)) == digest(batch_of(rows))


@MODEST
@given(rows=ROWS.filter(len), data=st.data())
def test_digest_changes_with_any_single_value(rows, data):
    row, name = data.draw(st.sampled_from(range(len(rows)))), data.draw(st.sampled_from(SCHEMA.names))
    value = data.draw(VALUES[name])
    assume(value != rows[row][name])
    changed = [{**content, name: value} if number == row else content for number, content in enumerate(rows)]
    assert digest(batch_of(changed)) != digest(batch_of(rows))


@MODEST
@given(rows=ROWS.filter(len), extra=st.fixed_dictionaries(VALUES))
def test_digest_changes_with_a_row_more_or_a_row_less(rows, extra):
    assert digest(batch_of([*rows, extra])) != digest(batch_of(rows))
    assert digest(batch_of(rows[1:])) != digest(batch_of(rows))


@MODEST
@given(one_row=st.fixed_dictionaries(VALUES), two_row=st.fixed_dictionaries(VALUES), name=st.sampled_from(SCHEMA.names))
def test_digest_changes_when_a_value_moves_to_another_row(one_row, two_row, name):
    rest = [{**row, name: None} for row in (one_row, two_row)]
    assume(one_row[name] != two_row[name] and rest[0] != rest[1])  # or else both rows only trade places
    swapped = [{**one_row, name: two_row[name]}, {**two_row, name: one_row[name]}]
    assert digest(batch_of(swapped)) != digest(batch_of([one_row, two_row]))


@MODEST
@given(row=st.fixed_dictionaries(VALUES))
def test_digest_changes_when_a_value_moves_to_another_column(row):
    assume(row["name"] != row["other"])
    moved = {**row, "name": row["other"], "other": row["name"]}
    assert digest(batch_of([moved])) != digest(batch_of([row]))


@pytest.mark.parametrize(
    "columns",
    [
        [pa.array([None], pa.int64()), pa.array([0], pa.int64()), pa.array([1], pa.int64())],
        [pa.array([None], pa.float64()), pa.array([0.0]), pa.array([float("nan")]), pa.array([5e-324])],
        [pa.array([None], pa.string()), pa.array([""]), pa.array([" "]), pa.array(["0"]), pa.array(["None"])],
        [pa.array([None], pa.bool_()), pa.array([False]), pa.array([True])],
        [pa.array([None], pa.timestamp("us", "UTC")), pa.array([datetime(1970, 1, 1, tzinfo=UTC)])],
        [pa.array([None], pa.date32()), pa.array([date(1970, 1, 1)])],
    ],
    ids=["int", "float", "string", "bool", "datetime", "date"],
)
def test_digest_tells_null_zero_and_empty_apart(columns):
    assert len({one(x=column) for column in columns}) == len(columns)


def test_digest_counts_how_often_a_row_comes():
    counts = [one(k=["a"] * times) for times in range(5)]
    assert len(set(counts)) == 5
    assert one(k=["a", "a", "b"]) != one(k=["a", "b", "b"])


def test_digest_depends_on_the_names_of_columns_and_their_order():
    assert len({one(a=[1], b=[2]), one(b=[2], a=[1]), one(a=[1], c=[2])}) == 3


def test_digest_is_known_for_good():
    # Hashes stand in ledgers: a change of this value makes every old run look different from its data.
    rows: list[dict[str, Any]] = [
        {
            "id": 1,
            "share": 0.5,
            "name": "a",
            "other": None,
            "flag": True,
            "at": datetime(2013, 4, 1, tzinfo=UTC),
            "day": date(2013, 4, 1),
        },
        {"id": None, "share": None, "name": "", "other": "é", "flag": None, "at": None, "day": None},
    ]
    assert digest(batch_of(rows)) == "2845aaabfcd7f069a2968fed2d5665d29d47f9009a04bfafcec683743906f5ec"


def test_digest_of_no_rows_is_the_same_whatever_the_batches():
    empty = batch_of([])
    assert digest(empty) == digest(empty, empty)
    assert digest(empty, batch_of([dict.fromkeys(SCHEMA.names)]), empty) == digest(
        batch_of([dict.fromkeys(SCHEMA.names)])
    )


def test_digest_takes_minus_zero_for_zero():
    assert one(x=[-0.0]) == one(x=[0.0])


def test_digest_ignores_what_lies_below_a_null():
    hidden = pa.Array.from_buffers(
        pa.int64(), 1, [pa.py_buffer(b"\x00"), pa.py_buffer((7).to_bytes(8, "little"))], null_count=1
    )
    assert one(x=hidden) == one(x=pa.array([None], pa.int64()))


@MODEST
@given(rows=ROWS.filter(len))
def test_digest_survives_a_parquet_file_and_slices(rows):
    batch = batch_of(rows)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), file, row_group_size=3)
    read = pq.ParquetFile(file).iter_batches(batch_size=2)
    assert digest(*read) == digest(batch)
    assert digest(batch.slice(1), batch.slice(0, 1)) == digest(batch)


def test_through_passes_batches_on_and_adds_each():
    batches = [batch_of([dict.fromkeys(SCHEMA.names)]), batch_of([])]
    adding = RowsDigest()
    assert list(adding.through(iter(batches))) == batches
    assert adding.hexdigest() == digest(*batches)
