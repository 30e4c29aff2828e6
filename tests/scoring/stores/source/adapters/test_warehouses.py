"""Snowflake and BigQuery: what is passed to their ADBC drivers. The services themselves were not tried."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from scoring.errors import SettingsError
from scoring.interval import DataInterval
from scoring.stores.source import Query, stream
from scoring.stores.source.adapters.warehouses import _named, connection_options
from scoring.stores.source.arrow_batches import even
from scoring.stores.source.night_select import bound_values, in_key_order, with_marks
from scoring.stores.urls import database_url

NIGHT = DataInterval.of_night(date(2024, 2, 1), "UTC")


def options(url: str) -> dict[str, str]:
    return connection_options(database_url(url, "X"), "X")


def test_a_snowflake_url_gives_the_options_of_its_driver():
    assert options("snowflake://me:p%40ss@acme-eu/shop/public?warehouse=small&role=reader") == {
        "username": "me",
        "password": "p@ss",
        "adbc.snowflake.sql.account": "acme-eu",
        "adbc.snowflake.sql.db": "shop",
        "adbc.snowflake.sql.schema": "public",
        "adbc.snowflake.sql.warehouse": "small",
        "adbc.snowflake.sql.role": "reader",
    }


def test_a_bigquery_url_gives_the_options_of_its_driver():
    assert options("bigquery://acme/shop?credentials_path=/keys/reader.json&location=EU") == {
        "adbc.bigquery.sql.project_id": "acme",
        "adbc.bigquery.sql.dataset_id": "shop",
        "adbc.bigquery.sql.location": "EU",
        "adbc.bigquery.sql.auth_type": "adbc.bigquery.sql.auth_type.json_credential_file",
        "adbc.bigquery.sql.auth_credentials": "/keys/reader.json",
    }
    assert options("bigquery://acme") == {"adbc.bigquery.sql.project_id": "acme"}


@pytest.mark.parametrize("scheme", ["snowflake", "bigquery"])
def test_an_option_that_is_not_passed_on_is_refused(scheme):
    with pytest.raises(SettingsError, match=r"X: found options \['wharehouse'\]; expected some of"):
        options(f"{scheme}://h/d?wharehouse=small")


def test_the_statement_has_a_mark_for_each_place_of_a_parameter(tmp_path):
    path = Path(tmp_path / "features.sql")
    path.write_text(
        "select id, '100% ?' as x from t where at >= :interval_start and at < :interval_end or at = :interval_start"
    )
    query = Query(path, ("id",), ("id",))
    statement = query.statement("snowflake")
    text, bound = with_marks(in_key_order(query, statement, None, {}), bound_values(statement, NIGHT, query))
    assert "'100% ?' as x from t where at >= ? and at < ? or at = ?" in text
    assert text.endswith("ORDER BY night.id")
    assert bound == [
        datetime(2024, 2, 1, tzinfo=UTC),
        datetime(2024, 2, 2, tzinfo=UTC),
        datetime(2024, 2, 1, tzinfo=UTC),
    ]


def test_names_in_capitals_are_written_in_small_letters():
    schema = pa.schema([("ID", pa.int64()), ("Mixed", pa.int64()), ("low", pa.int64())])
    assert _named(schema).names == ["id", "Mixed", "low"]


@pytest.mark.parametrize("scheme", ["snowflake", "bigquery"])
def test_a_missing_driver_is_named_with_its_requirement_file(tmp_path, scheme):
    path = tmp_path / "features.sql"
    path.write_text("select id from t where day = :night")
    with (
        pytest.raises(SettingsError) as caught,
        stream(f"{scheme}://u:s3cret9@h/d", Query(path, ("id",), ("id",)), NIGHT, 9),
    ):
        pass
    assert f"-r requirements-{scheme}.txt" in str(caught.value)
    assert f"adbc-driver-{scheme}" in Path(f"requirements-{scheme}.txt").read_text()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("rows", [1, 3, 10])
def test_batches_are_even_whatever_the_driver_gives(size, rows):
    table = pa.table({"id": list(range(10))})
    batches = list(even(iter(table.to_batches(max_chunksize=size)), table.schema, rows))
    assert [batch.num_rows for batch in batches] == [rows] * (10 // rows) + [10 % rows] * (10 % rows > 0)
    assert pa.Table.from_batches(batches).equals(table)
    assert [batch.num_rows for batch in even(iter(table.to_batches()[:0]), table.schema, rows)] == [0]
