"""The records of the warehouse have a field for each column of their tables: in order, of its type, null where it may be."""

from __future__ import annotations

from datetime import date, datetime
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from scoring.stores.warehouse import (
    ColumnVerdict,
    Decided,
    Measured,
    NightVerdict,
    Promotion,
    Retraining,
    Run,
    Shadow,
    ShadowNight,
    Warehouse,
    open_warehouse,
)

TABLES = {
    "scoring_runs": Run,
    "retrainings": Retraining,
    "shadows": Shadow,
    "shadow_nights": ShadowNight,
    "drift_results": NightVerdict,
    "drift_columns": ColumnVerdict,
    "performance_results": Measured,
    "retraining_decisions": Decided,
}
KINDS = {
    "text": str,
    "integer": int,
    "bigint": int,
    "double precision": float,
    "boolean": bool,
    "date": date,
    "timestamp with time zone": datetime,
}


@pytest.fixture
def warehouse(settings: Any) -> Warehouse:
    """A migrated warehouse."""
    return open_warehouse(settings)


def columns(warehouse: Warehouse, table: str) -> dict[str, tuple[str, bool]]:
    """Return type and nullability of a table's columns, in order."""
    listed = "select column_name, data_type, is_nullable = 'YES' from information_schema.columns"
    with warehouse.transaction() as connection:
        rows = connection.exec_driver_sql(f"{listed} where table_name = '{table}' order by ordinal_position").all()
    warehouse.engine.dispose()
    return {name: (kind, nullable) for name, kind, nullable in rows}


def fields_of(record: type) -> dict[str, tuple[set[Any], bool]]:
    """Return the types of a record's fields but None, and whether None is one of them."""
    found = {}
    for name, hint in get_type_hints(record).items():
        parts = get_args(hint) if NoneType in get_args(hint) else (hint,)
        found[name] = ({get_origin(part) or part for part in parts} - {NoneType}, NoneType in parts)
    return found


@pytest.mark.parametrize("table", TABLES)
def test_a_record_has_the_columns_of_its_migrated_table(warehouse: Warehouse, table: str) -> None:
    migrated, fields = columns(warehouse, table), fields_of(TABLES[table])
    assert list(fields) == list(migrated)
    assert {name: nullable for name, (_, nullable) in fields.items()} == {
        name: nullable for name, (_, nullable) in migrated.items()
    }
    for name, (kind, _) in migrated.items():
        allowed = ({dict}, {list}) if kind in ("json", "jsonb") else ({KINDS[kind]},)
        assert fields[name][0] in allowed, name


def test_a_promotion_has_the_columns_of_its_migrated_table_but_the_number(warehouse: Warehouse) -> None:
    migrated, fields = columns(warehouse, "model_promotions"), fields_of(Promotion)
    assert migrated.keys() == {"promotion_id", *fields}
    for name, (kind, optional) in fields.items():
        assert (kind, optional) == ({KINDS[migrated[name][0]]}, migrated[name][1]), name
