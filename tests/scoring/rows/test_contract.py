"""Every rule of the contract, and that no row is ever lost: checked against a plain oracle, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.errors import ContractError
from scoring.interval import DataInterval
from scoring.job.definition import Job
from scoring.rows.contract import Contract, Split, quarantine_schema, require_columns
from scoring.rows.duplicates import key_at, mark_duplicates

MODEST = settings(deadline=None, max_examples=50, derandomize=True)
NIGHT = DataInterval.of_night(date(2013, 4, 1), "UTC")
NOON = datetime(2013, 4, 1, 12, tzinfo=UTC)
UNREADABLE = object()
KEY = {"id": "int", "at": "datetime", "code": "string", "day": "date"}
FEATURES: dict[str, dict[str, Any]] = {
    "code": {"type": "category"},
    "amount": {"type": "float", "min": 0, "max": 100},
    "count": {"type": "int", "nullable": True, "min": -5, "max": 1e6},
    "flag": {"type": "bool", "nullable": True},
    "colour": {"type": "category", "nullable": True, "allowed": ["red", "green"]},
    "brand": {"type": "category", "nullable": True, "unknown": "quarantine"},
    "shop": {"type": "category"},
    "seen": {"type": "datetime", "nullable": True},
}
KNOWN = {"brand": ["acme", "bolt"], "shop": ["north", "south"]}
GOOD: dict[str, Any] = {
    "id": 1,
    "at": NOON,
    "code": "A",
    "day": date(2013, 4, 1),
    "amount": 5.0,
    "count": 3,
    "flag": True,
    "colour": "red",
    "brand": "acme",
    "shop": "north",
    "seen": datetime(2012, 1, 1, tzinfo=UTC),
}
TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "category": pa.string(),
    "datetime": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
KINDS = {**KEY, **{name: feature["type"] for name, feature in FEATURES.items()}}


def make_job(key: dict[str, str] | None = None, features: dict[str, dict[str, Any]] | None = None) -> Job:
    key = KEY if key is None else key
    return Job.model_validate(
        {
            "name": "shop",
            "description": "x",
            "owner": "x",
            "source": "x",
            "task": "regression",
            "schedule": {"timezone": "UTC", "first_night": date(2013, 1, 1)},
            "label": {"column": "y"},
            "pipeline": "a:b",
            "key": key,
            "features": FEATURES if features is None else features,
            "time_column": "at" if key.get("at") == "datetime" else None,
        }
    )


def contract(known: dict[str, list[str]] | None = None) -> Contract:
    return Contract(make_job(), NIGHT, KNOWN if known is None else known)


def batch_of(*rows: dict[str, Any], **columns: pa.Array) -> pa.RecordBatch:
    """Return good rows with some values changed; whole columns may be given as arrays."""
    filled = [{**GOOD, "id": number, **row} for number, row in enumerate(rows)]
    arrays = {name: pa.array([row[name] for row in filled], TYPES[kind]) for name, kind in KINDS.items()}
    return pa.RecordBatch.from_pydict({**arrays, **columns})


def reasons_of(split: Split) -> list[list[str]]:
    return split.quarantined.column("reasons").to_pylist()


def read_one(values: pa.Array, kind: str, nullable: bool = True) -> tuple[list[Any], list[int]]:
    """Return the accepted values of one column of the kind, and which rows were quarantined for their type."""
    job = make_job({"row": "int"}, {"x": {"type": kind, "nullable": nullable}})
    rows = pa.array(range(len(values)), pa.int64())
    split = Contract(job, NIGHT).split(pa.RecordBatch.from_arrays([rows, values], ["row", "x"]))
    assert split.accepted.num_rows + split.quarantined.num_rows == len(values)
    assert set(split.reasons) <= {"x:type"}
    assert split.accepted.schema.field("x").type == TYPES[kind]
    return split.accepted.column("x").to_pylist(), [int(row) for row in split.quarantined.column("row").to_pylist()]


# ---------------------------------------------------------------- every reason


def test_split_accepts_good_rows_in_the_declared_types_and_order():
    given_batch = batch_of({}, {"count": None, "flag": None, "colour": None, "brand": None, "seen": None})
    split = contract().split(given_batch)
    assert split.accepted.schema == contract().schema == pa.schema([(n, TYPES[k]) for n, k in KINDS.items()])
    assert split.accepted.to_pylist() == given_batch.to_pylist()
    assert split.quarantined.num_rows == 0
    assert (split.reasons, split.unknown) == ({}, {})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "id:null"),
        ({"at": None}, "at:null"),
        ({"day": None}, "day:null"),
        ({"code": None}, "code:null"),
        ({"amount": None}, "amount:null"),
        ({"shop": None}, "shop:null"),
        ({"amount": float("nan")}, "amount:not_finite"),
        ({"amount": -0.001}, "amount:below_min"),
        ({"amount": 100.001}, "amount:above_max"),
        ({"count": -6}, "count:below_min"),
        ({"count": 1_000_001}, "count:above_max"),
        ({"count": 2**62}, "count:above_max"),
        ({"colour": "blue"}, "colour:not_allowed"),
        ({"colour": "Red"}, "colour:not_allowed"),
        ({"colour": ""}, "colour:not_allowed"),
        ({"brand": "cogs"}, "brand:unknown_category"),
        ({"at": NIGHT.start - timedelta(microseconds=1)}, "at:outside_interval"),
        ({"at": NIGHT.end}, "at:outside_interval"),
        ({"seen": datetime.max.replace(tzinfo=UTC)}, None),
        ({"at": NIGHT.start}, None),
        ({"at": NIGHT.end - timedelta(microseconds=1)}, None),
        ({"amount": 0.0}, None),
        ({"amount": 100.0}, None),
        ({"count": -5}, None),
    ],
)
def test_split_quarantines_only_the_row_that_breaks_a_rule(change, reason):
    split = contract().split(batch_of({}, change, {}))
    expected = [reason] if reason else []
    assert reasons_of(split) == ([expected] if reason else [])
    assert split.reasons == dict.fromkeys(expected, 1)
    assert split.accepted.column("id").to_pylist() == ([0, 2] if reason else [0, 1, 2])


@pytest.mark.parametrize(("value", "also"), [(float("inf"), "amount:above_max"), (float("-inf"), "amount:below_min")])
def test_split_calls_infinity_not_finite_as_well_as_out_of_limits(value, also):
    split = contract().split(batch_of({"amount": value}))
    assert sorted(reasons_of(split)[0]) == sorted(["amount:not_finite", also])


def test_split_gives_a_row_every_reason_it_broke():
    bad = {"at": NIGHT.end, "amount": 101.0, "count": -9, "colour": "blue", "brand": "cogs", "shop": None}
    batch = batch_of(bad, {}, {"amount": -1.0}, code=pa.array(["A", "A", None]))
    split = contract().split(batch, np.array([True, True, False]))
    assert [sorted(one) for one in reasons_of(split)] == [
        [
            "amount:above_max",
            "at:outside_interval",
            "brand:unknown_category",
            "colour:not_allowed",
            "count:below_min",
            "duplicate_key",
            "shop:null",
        ],
        ["duplicate_key"],
        ["amount:below_min", "code:null"],
    ]
    assert split.reasons == Counter(reason for row in reasons_of(split) for reason in row)
    assert split.accepted.num_rows == 0
    assert split.accepted.schema == contract().schema


def test_split_never_calls_an_unreadable_value_null():
    split = contract().split(batch_of({}, {}, amount=pa.array(["five", None])))
    assert reasons_of(split) == [["amount:type"], ["amount:null"]]


def test_split_counts_unknown_categories_without_quarantining_them_by_default():
    batch = batch_of({"shop": "east"}, {"shop": "west"}, {"shop": "north"}, {"shop": "east", "amount": -1.0})
    split = contract().split(batch)
    assert split.unknown == {"shop": 2}  # the fourth row is not accepted, for its amount
    assert split.reasons == {"amount:below_min": 1}
    assert split.accepted.num_rows == 3


def test_split_checks_no_categories_when_none_are_known():
    split = contract({}).split(batch_of({"brand": "cogs", "shop": "east"}))
    assert (split.reasons, split.unknown, split.accepted.num_rows) == ({}, {}, 1)


def test_split_keeps_quarantined_rows_as_found_as_text():
    batch = batch_of(
        {"amount": -1.5},
        {"amount": 1.0},
        count=pa.array(["x", "1"]),
        extra=pa.array([b"\xff", b"a"]),
        nested=pa.array([[1, 2], None]),
    )
    split = contract().split(batch)
    assert split.quarantined.schema == quarantine_schema(batch.schema.names)
    assert split.quarantined.num_rows == 1
    row = split.quarantined.to_pylist()[0]
    assert (row["id"], row["amount"], row["count"], row["flag"]) == ("0", "-1.5", "x", "true")
    assert (row["extra"], row["nested"]) == ("b'\\xff'", "[1, 2]")
    assert row["at"].startswith("2013-04-01 12:00:00")
    assert sorted(row["reasons"]) == ["amount:below_min", "count:type"]
    assert split.accepted.schema == contract().schema  # columns that no one declared are not passed on


def test_split_gives_nothing_for_an_empty_batch():
    for empty in (batch_of(), pa.RecordBatch.from_arrays([pa.nulls(0) for _ in KINDS], list(KINDS))):
        split = contract().split(empty, mark_duplicates(empty, list(KEY), (None, None)))
        assert (split.accepted.num_rows, split.quarantined.num_rows) == (0, 0)
        assert split.accepted.schema == contract().schema
        assert split.quarantined.schema == quarantine_schema(empty.schema.names)


# ---------------------------------------------------------------- types


def test_split_reads_an_all_null_column_as_nulls_of_the_declared_type():
    optional = [name for name, feature in FEATURES.items() if feature.get("nullable")]
    split = contract().split(batch_of({}, {}, **{name: pa.nulls(2) for name in optional}))
    assert split.accepted.schema == contract().schema
    assert split.accepted.select(optional).to_pylist() == [dict.fromkeys(optional)] * 2
    required = [name for name in KINDS if name not in optional]
    split = contract().split(batch_of({}, {}, **{name: pa.nulls(2) for name in required}))
    assert [set(row) for row in reasons_of(split)] == [{f"{name}:null" for name in required}] * 2


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("float", "1", 1.0),
        ("float", "1.50", 1.5),
        ("float", "-2.5e3", -2500.0),
        ("float", "+3", 3.0),
        ("float", " .5 ", 0.5),
        ("float", "7.", 7.0),
        ("float", "1E-2", 0.01),
        ("float", "-.5", -0.5),
        ("float", "", UNREADABLE),
        ("float", "abc", UNREADABLE),
        ("float", "1,5", UNREADABLE),
        ("float", "1e", UNREADABLE),
        ("float", "1_000", UNREADABLE),
        ("float", "0x10", UNREADABLE),
        ("float", "1 2", UNREADABLE),
        ("float", "--1", UNREADABLE),
        ("float", ".", UNREADABLE),
        ("int", "12", 12),
        ("int", "-12", -12),
        ("int", "+12", 12),
        ("int", " 7\t", 7),
        ("int", "007", 7),
        ("int", "5.00", 5),
        ("int", "-5.", -5),
        ("int", "999999999999999999", 999999999999999999),
        ("int", "5.01", UNREADABLE),
        ("int", "1e3", UNREADABLE),
        ("int", "", UNREADABLE),
        ("int", "+", UNREADABLE),
        ("int", "+-1", UNREADABLE),
        ("int", "99999999999999999999", UNREADABLE),
        ("int", ".0", UNREADABLE),
        ("bool", "true", True),
        ("bool", "T", True),
        ("bool", "1", True),
        ("bool", "FALSE", False),
        ("bool", "f", False),
        ("bool", "0", False),
        ("bool", "", UNREADABLE),
        ("bool", "yes?", UNREADABLE),
        ("bool", "2", UNREADABLE),
        ("category", "", ""),
        ("category", " a ", " a "),
        ("category", "O'Hara; --", "O'Hara; --"),
        ("datetime", "2013-04-01", datetime(2013, 4, 1, tzinfo=UTC)),
        ("datetime", "2013-04-01 05:06", datetime(2013, 4, 1, 5, 6, tzinfo=UTC)),
        ("datetime", "2013-04-01T05:06:07", datetime(2013, 4, 1, 5, 6, 7, tzinfo=UTC)),
        ("datetime", "2013-04-01 05:06:07.250001", datetime(2013, 4, 1, 5, 6, 7, 250001, tzinfo=UTC)),
        ("datetime", "2013-04-01T05:06:07Z", datetime(2013, 4, 1, 5, 6, 7, tzinfo=UTC)),
        ("datetime", "2013-04-01 05:06:07+00", datetime(2013, 4, 1, 5, 6, 7, tzinfo=UTC)),
        ("datetime", "2013-04-01 05:06:07-0400", datetime(2013, 4, 1, 9, 6, 7, tzinfo=UTC)),
        ("datetime", "2013-04-01T05:06:07.5+05:30", datetime(2013, 3, 31, 23, 36, 7, 500000, tzinfo=UTC)),
        ("datetime", "2012-02-29", datetime(2012, 2, 29, tzinfo=UTC)),
        ("datetime", "2013-02-29", UNREADABLE),
        ("datetime", "2013-02-30", UNREADABLE),
        ("datetime", "2013-13-01", UNREADABLE),
        ("datetime", "2013-00-10", UNREADABLE),
        ("datetime", "2013-02-30T10:00:00Z", UNREADABLE),
        ("datetime", "2013-04-01 24:00:00", UNREADABLE),
        ("datetime", "2013-04-01 05:60", UNREADABLE),
        ("datetime", "2013-04-01 05:06:60", UNREADABLE),
        ("datetime", "2013-04-01 05:06+05:99", UNREADABLE),
        ("datetime", "2013-04-01 05:06+25", UNREADABLE),
        ("datetime", "0000-01-01", UNREADABLE),
        ("datetime", "9999-12-31 23:59:59-01:00", UNREADABLE),
        ("datetime", "0001-01-01 00:00+01:00", UNREADABLE),
        ("datetime", "1.4.2013", UNREADABLE),
        ("datetime", "now", UNREADABLE),
        ("datetime", "", UNREADABLE),
        ("datetime", "1364774400", UNREADABLE),
        ("datetime", "2013-04-01 05:06:07 Europe/Berlin", UNREADABLE),
    ],
)
@pytest.mark.parametrize("around", [[], ["2013-02-30", "x"]], ids=["alone", "among unreadable"])
@pytest.mark.parametrize("arrow", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_split_reads_text(kind, text, value, around, arrow):
    if kind == "category":
        around = []
    values = pa.array([None, text, *around]).cast(arrow)
    accepted, unreadable = read_one(values, kind)
    assert accepted == ([None] if value is UNREADABLE else [None, value])
    assert unreadable == [row for row in range(1, len(values)) if row > 1 or value is UNREADABLE]


@pytest.mark.parametrize(
    ("kind", "found", "expected", "unreadable"),
    [
        # int from float: whole numbers only, and only where a float can tell neighbours apart
        (
            "int",
            pa.array([1.0, -2.0, 2.5, None, float("nan"), float("inf"), 2.0**53 - 1, 2.0**53]),
            [1, -2, None, 2**53 - 1],
            [2, 4, 5, 7],
        ),
        ("int", pa.array([3.0, 3.5], pa.float32()), [3], [1]),
        ("int", pa.array([3, None], pa.int16()), [3, None], []),
        ("int", pa.array([2**62, -(2**62)]), [2**62, -(2**62)], []),
        ("int", pa.array([True, False, None]), [1, 0, None], []),
        ("int", pa.array([Decimal("4.00"), Decimal("4.50"), None, Decimal("99999999999999999999")]), [4, None], [1, 3]),
        ("int", pa.array([1.0, 1.5, None]).dictionary_encode(), [1, None], [1]),
        (
            "float",
            pa.array([Decimal("4.25"), Decimal("12345678901234567890"), None]),
            [4.25, 12345678901234567890.0, None],
            [],
        ),
        ("float", pa.array([1, 2**53 + 1, None]), [1.0, 2.0**53, None], []),
        ("float", pa.array([1, None], pa.int16()), [1.0, None], []),
        ("float", pa.array([0.5, None], pa.float32()), [0.5, None], []),
        ("bool", pa.array([0, 1, 2, -1, None]), [False, True, None], [2, 3]),
        ("bool", pa.array([0, 1, 2], pa.int16()), [False, True], [2]),
        ("category", pa.array([1, None]), ["1", None], []),
        ("category", pa.array([True, None]), ["true", None], []),
        ("category", pa.array([Decimal("1.50")]), ["1.50"], []),
        ("category", pa.array([date(2013, 4, 1)]), ["2013-04-01"], []),
        ("category", pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"], []),
        (
            "category",
            pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", None])),
            ["a", None, None],
            [],
        ),
        ("datetime", pa.array([NOON.replace(tzinfo=None), None]), [NOON, None], []),
        ("datetime", pa.array([NOON.replace(tzinfo=None)], pa.timestamp("s")), [NOON], []),
        ("datetime", pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), [NOON], []),
        ("datetime", pa.array([NOON], pa.timestamp("us", "America/New_York")), [NOON], []),
        ("datetime", pa.array([date(2013, 4, 1)]), [datetime(2013, 4, 1, tzinfo=UTC)], []),
        # what PostgreSQL's infinity and years before Christ arrive as
        (
            "datetime",
            pa.array([-(2**63) + 2**50, 2**62, -(10**17), 0]).cast(TYPES["datetime"]),
            [datetime(1970, 1, 1, tzinfo=UTC)],
            [0, 1, 2],
        ),
    ],
)
def test_split_reads_other_types(kind, found, expected, unreadable):
    assert read_one(found, kind) == (expected, unreadable)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("float", pa.array([[1.0]])),
        ("float", pa.array([{"a": 1}])),
        ("float", pa.array([b"x"])),
        ("float", pa.array([NOON])),
        ("int", pa.array([date(2013, 4, 1)])),
        ("bool", pa.array([NOON])),
        ("bool", pa.array([0.5])),
        ("bool", pa.array([Decimal("1")])),
        ("category", pa.array([["a"]])),
        ("float", pa.array([timedelta(1)])),
        # a number could be seconds, milliseconds, microseconds: never guessed
        ("datetime", pa.array([1364774400])),
        ("datetime", pa.array([1364774400.0])),
        ("datetime", pa.array([True])),
        ("datetime", pa.array([Decimal("1364774400")])),
    ],
)
def test_split_raises_when_a_whole_column_has_a_type_that_cannot_be_read(kind, found):
    with pytest.raises(ContractError) as caught:
        read_one(found, kind)
    for part in ("column 'x': wrong type", f"found {found.type}", f"expected {TYPES[kind]}", "cast x in the SQL"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pa.array(["2013-04-01", "2013-04-01 13:00", "2013-02-30", None]), [date(2013, 4, 1), date(2013, 4, 1)]),
        (pa.array([NOON, None]), [date(2013, 4, 1)]),
        (pa.array([15796, 2**31 - 1, -(2**31), None], pa.int32()).cast(pa.date32()), [date(2013, 4, 1)]),
    ],
)
def test_split_reads_dates(found, expected):
    job = make_job({"row": "int", "day": "date"}, {"x": {"type": "int"}})
    rows = pa.array(range(len(found)), pa.int64())
    split = Contract(job, NIGHT).split(pa.RecordBatch.from_arrays([rows, found, rows], ["row", "day", "x"]))
    assert split.accepted.column("day").to_pylist() == expected
    assert split.accepted.schema.field("day").type == pa.date32()
    assert split.accepted.num_rows + split.quarantined.num_rows == len(found)


@MODEST
@given(
    values=st.lists(st.text() | st.from_regex(r"[ +-]{0,2}[0-9.]{1,20}([eE][+-]?[0-9]{1,3})?[ ]?", fullmatch=True)),
    kind=st.sampled_from(["float", "int", "bool", "datetime", "category"]),
)
def test_split_loses_no_row_whatever_the_text(values, kind):
    job = make_job({"row": "int"}, {"x": {"type": kind, "nullable": True}})
    rows = pa.array(range(len(values)), pa.int64())
    split = Contract(job, NIGHT).split(pa.RecordBatch.from_arrays([rows, pa.array(values, pa.string())], ["row", "x"]))
    accepted, quarantined = split.accepted.column("row").to_pylist(), split.quarantined.to_pylist()
    assert sorted([*accepted, *(int(row["row"]) for row in quarantined)]) == list(range(len(values)))
    assert [row["x"] for row in quarantined] == [values[int(row["row"])] for row in quarantined]
    if kind == "category":
        assert split.accepted.column("x").to_pylist() == values
    if kind == "float":
        for row, value in zip(accepted, split.accepted.column("x").to_pylist(), strict=True):
            assert value == float(values[row])
    if kind == "int":
        for row, value in zip(accepted, split.accepted.column("x").to_pylist(), strict=True):
            assert value == Decimal(values[row].strip())


# ---------------------------------------------------------------- columns


def test_split_lists_missing_and_present_columns():
    with pytest.raises(ContractError) as caught:
        contract().split(batch_of({}).drop_columns(["at", "amount"]))
    message = str(caught.value)
    assert "missing columns ['at', 'amount']" in message
    assert "found ['id', 'code', 'day', 'count'" in message


def test_require_columns_passes_when_there_are_more():
    require_columns("sql/x/features.sql", ["b"], ["a", "b"])


def test_require_columns_refuses_a_column_that_comes_twice():
    with pytest.raises(ContractError, match=r"sql/x/features\.sql: columns \['b'\] come more than once"):
        require_columns("sql/x/features.sql", ["a", "b"], ["a", "b", "b", "c", "c"])


# ---------------------------------------------------------------- duplicate keys


@pytest.mark.parametrize(
    ("values", "around", "expected"),
    [
        ([1, 2, 3], (None, None), [False, False, False]),
        ([1, 1, 2, 3, 3, 3], (None, None), [True, True, False, True, True, True]),
        ([1, 2], (("1",), None), [True, False]),
        ([1, 2], (None, ("2",)), [False, True]),
        ([1], (("1",), ("1",)), [True]),
        ([1], (("2",), ("0",)), [False]),
        ([None, None, 1], (None, None), [True, True, False]),
        ([1, None], (None, (None,)), [False, True]),
        (["None"], (None, (None,)), [False]),
        (["a", "A", "a "], (None, None), [False, False, False]),
        ([], (("1",), ("1",)), []),
    ],
)
def test_mark_duplicates_marks_every_copy_also_across_batches(values, around, expected):
    batch = pa.RecordBatch.from_pydict({"k": pa.array(values)})
    assert mark_duplicates(batch, ["k"], around).tolist() == expected


def test_mark_duplicates_compares_all_keys():
    batch = pa.RecordBatch.from_pydict({"a": [1, 1, 1], "b": ["x", "y", "y"], "c": [0, 1, 2]})
    assert mark_duplicates(batch, ["a", "b"], (None, ("1", "y"))).tolist() == [False, True, True]
    assert mark_duplicates(batch, ["a", "b", "c"], (None, None)).tolist() == [False, False, False]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**62, 2**62, 0]).cast(TYPES["datetime"]),
        pa.array([2**31 - 1, 2**31 - 1, 0], pa.int32()).cast(pa.date32()),
        pa.array(["x", "x", "y"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["x", "x", "y"])),
        pa.array([[1], [1], [2]]),
        pa.array([b"x", b"x", b"y"]),
        pa.array([Decimal("1.0"), Decimal("1.0"), Decimal("2.0")]),
        pa.array([1.0, 1.0, 2.0]),
    ],
    ids=lambda column: str(column.type),
)
def test_mark_duplicates_compares_keys_of_any_type(column):
    batch = pa.RecordBatch.from_arrays([column], ["k"])
    last = key_at(batch, ["k"], 2)
    assert mark_duplicates(batch, ["k"], (None, None)).tolist() == [True, True, False]
    assert mark_duplicates(batch, ["k"], (key_at(batch, ["k"], 0), last)).tolist() == [True, True, True]
    assert mark_duplicates(batch.slice(2), ["k"], (key_at(batch, ["k"], 1), None)).tolist() == [False]


# ---------------------------------------------------------------- the oracle: one row at a time, in plain Python


@dataclass(frozen=True)
class Column:
    """One column as a source may give it: the values found, and what each of them means."""

    found: pa.Array
    meaning: list[Any]


def as_is(arrow: pa.DataType, values: st.SearchStrategy[Any], meaning: Callable[[Any], Any] = lambda v: v) -> Any:
    """Return a strategy: a number of rows → a column of this Arrow type, with what its values mean."""
    return lambda rows: st.lists(st.none() | values, min_size=rows, max_size=rows).map(
        lambda drawn: Column(pa.array(drawn, arrow), [None if v is None else meaning(v) for v in drawn])
    )


def as_text(table: dict[str, Any], encode: bool = False) -> Any:
    """Return a strategy for a text column; ``table`` says what each text means."""

    def column(drawn: list[str | None]) -> Column:
        found = pa.array(drawn, pa.string())
        return Column(found.dictionary_encode() if encode else found, [None if v is None else table[v] for v in drawn])

    return lambda rows: st.lists(st.none() | st.sampled_from(sorted(table)), min_size=rows, max_size=rows).map(column)


def all_null(rows: int) -> Any:
    return st.just(Column(pa.nulls(rows), [None] * rows))


def whole(value: float) -> Any:
    return int(value) if value.is_integer() and abs(value) < 2**53 else UNREADABLE


FLOATS = {
    "1": 1.0,
    " 99.5": 99.5,
    "+3": 3.0,
    "1e2": 100.0,
    "1e3": 1000.0,
    "-1": -1.0,
    "nan": float("nan"),
    "-inf": float("-inf"),
    "x": UNREADABLE,
    "": UNREADABLE,
    "1,5": UNREADABLE,
}
INTS = {"1": 1, "+2": 2, "-6": -6, "3.00": 3, "4.5": UNREADABLE, "x": UNREADABLE, "": UNREADABLE, "1000001": 1000001}
BOOLS = {"t": True, "FALSE": False, "1": True, "maybe": UNREADABLE, "": UNREADABLE}
TIMES = {
    "2013-04-01 11:00:00": datetime(2013, 4, 1, 11, tzinfo=UTC),
    "2013-04-01": NIGHT.start,
    "2013-04-01T23:30:00-01:00": datetime(2013, 4, 2, 0, 30, tzinfo=UTC),
    "2013-03-31T23:30:00Z": datetime(2013, 3, 31, 23, 30, tzinfo=UTC),
    "2013-02-30": UNREADABLE,
    "2013-04-01 25:00": UNREADABLE,
    "0000-01-01": UNREADABLE,
    "2013-04-01 11:00+05:99": UNREADABLE,
    "soon": UNREADABLE,
    "": UNREADABLE,
}
DAYS = {"2013-04-01": date(2013, 4, 1), "2013-02-30": UNREADABLE, "x": UNREADABLE}
WORDS = ["red", "green", "blue", "acme", "bolt", "cogs", "north", "south", "east", "", "O'Hara"]
MOMENTS = st.sampled_from(
    [NIGHT.start, NIGHT.end, NOON, NIGHT.start - timedelta(microseconds=1), NIGHT.end - timedelta(microseconds=1)]
)
NAIVE = MOMENTS.map(lambda moment: moment.replace(tzinfo=None))
words = as_is(pa.string(), st.sampled_from(WORDS))
coded = as_text({word: word for word in WORDS}, encode=True)
FORMS: dict[str, list[Any]] = {
    "int": [
        as_is(pa.int64(), st.integers(-7, 7) | st.sampled_from([2**62, -(2**63)])),
        as_is(pa.int16(), st.integers(-7, 7)),
        as_is(pa.float64(), st.integers(-7, 7).map(float) | st.floats(), whole),
        as_is(pa.decimal128(12, 2), st.decimals(-7, 7, places=2), lambda v: whole(float(v))),
        as_text(INTS),
        as_text(INTS, encode=True),
    ],
    "float": [
        as_is(pa.float64(), st.floats(-5, 105) | st.floats()),
        as_is(pa.int64(), st.integers(-5, 105) | st.just(2**60), float),
        as_is(pa.decimal128(12, 2), st.decimals(-5, 105, places=2), float),
        as_text(FLOATS),
        as_text(FLOATS, encode=True),
    ],
    "bool": [
        as_is(pa.bool_(), st.booleans()),
        as_text(BOOLS),
        as_is(pa.int64(), st.integers(-1, 2), lambda v: {0: False, 1: True}.get(v, UNREADABLE)),
    ],
    "string": [words, coded],
    "category": [words, coded],
    "datetime": [
        as_is(TYPES["datetime"], MOMENTS),
        as_is(pa.timestamp("us", "America/New_York"), MOMENTS),
        as_is(pa.timestamp("us"), NAIVE, lambda v: v.replace(tzinfo=UTC)),
        as_is(pa.date32(), st.just(date(2013, 4, 1)), lambda v: NIGHT.start),
        as_text(TIMES),
        as_text(TIMES, encode=True),
    ],
    "date": [as_is(pa.date32(), st.dates(date(2013, 3, 30), date(2013, 4, 3))), as_text(DAYS)],
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.RecordBatch, list[dict[str, Any]]]:
    """Draw a batch of rows, most columns good, some rows with the key of the row before, and what its values mean."""
    rows = draw(st.integers(1, 12))
    dirty = draw(st.sets(st.sampled_from(sorted(KINDS)), max_size=4))
    columns = {
        name: Column(pa.array([GOOD[name]] * rows, TYPES[kind]), [GOOD[name]] * rows) for name, kind in KINDS.items()
    }
    columns["id"] = Column(pa.array(range(rows), pa.int64()), list(range(rows)))
    columns |= {name: draw(draw(st.sampled_from([*FORMS[KINDS[name]], all_null]))(rows)) for name in sorted(dirty)}
    take = [0]
    for row in range(1, rows):
        take.append(take[-1] if draw(st.integers(0, 3)) == 0 else row)
    batch = pa.RecordBatch.from_pydict({name: column.found.take(pa.array(take)) for name, column in columns.items()})
    return batch, [{name: column.meaning[row] for name, column in columns.items()} for row in take]


def oracle_column(name: str, value: Any) -> set[str]:
    """Return the rules that one value breaks."""
    feature, broken = FEATURES.get(name, {}), set()
    if value is UNREADABLE:
        return {"type"}
    if value is None:
        return set() if feature.get("nullable") and name not in KEY else {"null"}
    if isinstance(value, float) and value - value != 0:
        broken.add("not_finite")
    if "min" in feature and value < feature["min"]:
        broken.add("below_min")
    if "max" in feature and value > feature["max"]:
        broken.add("above_max")
    if "allowed" in feature and value not in feature["allowed"]:
        broken.add("not_allowed")
    if feature.get("unknown") == "quarantine" and value not in KNOWN[name]:
        broken.add("unknown_category")
    if name == "at" and not NIGHT.start <= value < NIGHT.end:
        broken.add("outside_interval")
    return broken


def oracle(meaning: list[dict[str, Any]], keys: list[tuple[Any, ...]]) -> list[set[str]]:
    """Return the reasons of every row."""
    reasons = [{f"{name}:{rule}" for name in row for rule in oracle_column(name, row[name])} for row in meaning]
    for row in range(1, len(keys)):
        if keys[row] == keys[row - 1]:
            reasons[row].add("duplicate_key")
            reasons[row - 1].add("duplicate_key")
    return reasons


def split_in(batch: pa.RecordBatch, cuts: list[int]) -> list[Split]:
    """Return the splits of a batch that came in parts, cut before these rows."""
    ends = [*cuts, batch.num_rows]
    parts = [batch.slice(start, end - start) for start, end in zip([0, *cuts], ends, strict=True)]
    keys = list(KEY)
    splits = []
    for number, part in enumerate(parts):
        before = key_at(parts[number - 1], keys, parts[number - 1].num_rows - 1) if number else None
        after = key_at(parts[number + 1], keys, 0) if number + 1 < len(parts) else None
        splits.append(contract().split(part, mark_duplicates(part, keys, (before, after))))
    return splits


@MODEST
@given(table=tables())
def test_split_agrees_with_the_oracle_row_by_row(table):
    batch, meaning = table
    expected = oracle(meaning, [tuple(str(batch.column(name)[row]) for name in KEY) for row in range(batch.num_rows)])
    (split,) = split_in(batch, [])
    assert split.accepted.num_rows + split.quarantined.num_rows == batch.num_rows
    assert split.accepted.schema == contract().schema
    assert split.accepted.to_pylist() == [row for row, why in zip(meaning, expected, strict=True) if not why]
    assert [set(why) for why in reasons_of(split)] == [why for why in expected if why]
    assert split.reasons == Counter(reason for why in expected for reason in why)
    accepted = split.accepted.to_pylist()
    assert split.unknown == Counter(
        name for row in accepted for name in KNOWN if row[name] is not None and row[name] not in KNOWN[name]
    )
    found = [batch.slice(row, 1).to_pylist()[0] for row, why in enumerate(expected) if why]
    for row, original in zip(split.quarantined.to_pylist(), found, strict=True):
        for name, value in original.items():
            assert (row[name] is None) == (value is None)
            if isinstance(value, str):
                assert row[name] == value


@MODEST
@given(table=tables(), data=st.data())
def test_split_of_parts_equals_the_split_of_the_whole(table, data):
    batch, _ = table
    cuts = sorted(data.draw(st.sets(st.integers(1, batch.num_rows - 1)))) if batch.num_rows > 1 else []
    (whole_split,) = split_in(batch, [])
    parts = split_in(batch, cuts)
    accepted = pa.Table.from_batches([part.accepted for part in parts])
    quarantined = pa.Table.from_batches([part.quarantined for part in parts])
    assert accepted.to_pylist() == whole_split.accepted.to_pylist()
    assert quarantined.to_pylist() == whole_split.quarantined.to_pylist()
    assert sum((Counter(part.reasons) for part in parts), Counter()) == whole_split.reasons
    assert sum((Counter(part.unknown) for part in parts), Counter()) == whole_split.unknown


def test_split_leaves_a_sliced_batch_alone():
    batch = batch_of(*({"amount": float(n) - 1} for n in range(6)))
    split = contract().split(batch.slice(0, 3).slice(1))
    assert split.accepted.column("id").to_pylist() == [1, 2]
    split = contract().split(batch.slice(0, 2))
    assert (split.accepted.column("id").to_pylist(), split.quarantined.column("id").to_pylist()) == ([1], ["0"])
