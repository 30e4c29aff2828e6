"""What a new job makes of a table: roles, types, SQL and refusals. No database but a SQLite file is needed."""

from __future__ import annotations

import runpy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr
from sklearn.metrics import log_loss

from lifecycle.drafting import Draft, DraftRequest, draft_job
from scoring.errors import JobFileError, NightshiftError, SettingsError, SourceQueryError, TrainingDataError
from scoring.job import Job, find_job
from scoring.settings import Settings
from scoring.stores import open_stores
from tests.support.tables import CUSTOMER_DAYS, ORDERS, customer_days, customers, fill, orders

NOWHERE = SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nowhere")
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """An installation in a folder whose source is a SQLite file with a table of orders and one of customers."""
    path = tmp_path / "shop.db"
    fill(path, "orders", ORDERS, orders())
    fill(path, "customers", "day text, id integer, mail text, plan text, logins integer, churned integer", customers())
    return Settings(
        data_dir=tmp_path,
        jobs_dir=tmp_path / "jobs",
        sql_dir=tmp_path / "sql",
        sources={"shop": SecretStr(f"sqlite:///{path}")},
    )


def drafted(shop: Settings, **asked: Any) -> tuple[Draft, Job]:
    request = DraftRequest(**{"name": "late", "source": "shop", "table": "orders", "label": "Late?", **asked})
    draft = draft_job(shop, request, NOW)
    return draft, find_job(shop.jobs_dir, request.name)


def refused(shop: Settings, kind: type[NightshiftError], **asked: Any) -> str:
    with pytest.raises(kind) as caught:
        drafted(shop, **asked)
    assert not shop.jobs_dir.exists(), "nothing is written when something is wrong"
    return str(caught.value)


def reasons(draft: Draft) -> dict[str, str]:
    return {guess.name: f"{guess.role}: {guess.reason}" for guess in draft.guesses}


def test_columns_get_their_roles_with_a_reason(shop: Settings):
    draft, job = drafted(shop, keys=("order id",), time="created_at")
    assert job.key == {"created_at": "datetime", "Order ID": "string"}
    assert job.time_column == "created_at"
    why = reasons(draft)
    assert why["Customer Name"].startswith("left out: it names people, by its name")
    assert why["phone"].startswith("left out: it names people")
    assert why["note"].startswith("left out: names or free text")
    assert why["photo"].startswith("left out: type BLOB")
    assert why["delivered_at"].startswith("left out: a time always moves on")
    assert why["status"].startswith("left out: LEAK? known only when the outcome is")
    assert why["year"].startswith("left out: one value only")
    assert "nights by heart" in why["month_name"]
    assert set(job.features) == {
        *("Country", "price", "discount", "items", "weight", "weekday", "source_night", "created_at")
    }


def test_features_get_types_limits_and_levels(shop: Settings):
    _, job = drafted(shop, keys=("Order ID",), time="created_at")
    country, price, weight = (job.features[name] for name in ("Country", "price", "weight"))
    assert (country.type, country.allowed) == ("category", ["de", "fr", "it"])
    assert (price.type, price.nullable, price.min) == ("float", False, 0)
    assert price.max is not None
    assert price.max > 300
    assert (weight.type, weight.nullable) == ("float", True)
    assert (job.features["weekday"].drift, job.features["weekday"].max) == ("seasonal", 7)
    assert job.features["discount"].nullable


def test_sql_makes_plain_values_of_dirty_text(shop: Settings):
    drafted(shop, keys=("Order ID",), time="created_at")
    text = shop.sql_path("late", "features").read_text()
    assert """replace(price, ',', '.') as price""" in text
    assert 'lower(trim("Country")) as "Country"' in text
    assert "nullif(nullif(discount, ''), 'n/a')" in text or "nullif(nullif(discount, 'n/a'), '')" in text
    assert "night as source_night" in text
    labels = shop.sql_path("late", "labels").read_text()
    assert 'and lower(trim("Late?")) is not null' in labels


def test_label_says_task_positive_and_delay(shop: Settings):
    draft, job = drafted(shop, keys=("Order ID",), time="created_at")
    assert (str(job.task), job.label.positive, job.label.delay_days) == ("binary", "yes", 3)
    assert dict(draft.facts)["positive"] == "yes"
    assert "Late?" not in job.features


def test_days_come_from_the_table_and_old_tables_end(shop: Settings):
    draft, job = drafted(shop, keys=("Order ID",), time="created_at")
    assert (job.schedule.first_night, job.schedule.last_night) == (date(2024, 1, 1), date(2024, 2, 9))
    commands = [command for command, _ in draft.commands]
    assert "nightshift train late --until 2024-02-01" in commands
    assert "nightshift run late --night 2024-02-01" in commands
    assert commands[-1] == "nightshift drift performance late --night 2024-02-09"


def test_key_and_time_are_guessed_and_printed(shop: Settings):
    path = shop.data_dir / "more.db"
    rows = [(number, f"2024-01-{1 + number % 28:02d} 10:00:00", number % 7, number % 2) for number in range(200)]
    fill(path, "visits", "id integer primary key, visited_at text, pages integer, bought integer", rows)
    more = shop.model_copy(update={"sources": {"shop": SecretStr(f"sqlite:///{path}")}})
    draft, job = drafted(more, table="visits", label="bought")
    assert job.key == {"visited_at": "datetime", "id": "int"}
    assert "primary key" in reasons(draft)["id"]


def test_guessed_time_asks_when_several_may_be_meant(shop: Settings):
    path = shop.data_dir / "more.db"
    rows = [(number, "2024-01-01", "2024-01-02", number % 2) for number in range(10)]
    fill(path, "visits", "id integer, arrival text, departure text, bought integer", rows)
    more = shop.model_copy(update={"sources": {"shop": SecretStr(f"sqlite:///{path}")}})
    assert "several columns of times: arrival, departure" in refused(more, JobFileError, table="visits", label="bought")


def test_history_is_a_snapshot_by_night(shop: Settings):
    draft, job = drafted(shop, table="customers", label="churned", kind="snapshot", keys=("id",), time="day")
    assert (job.kind, job.key, job.time_column) == ("snapshot", {"id": "int"}, None)
    assert "where day = :night" in shop.sql_path("late", "features").read_text()
    assert reasons(draft)["mail"] == "left out: another name of the key"
    assert job.label.delay_days == 2


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_day_of_a_history_is_found_without_being_named(shop: Settings, keys: tuple[str, ...]):
    draft, job = drafted(shop, table="customers", label="churned", kind="snapshot", keys=keys)
    assert job.key == {"id": "int"}
    assert "where day = :night" in shop.sql_path("late", "features").read_text()
    assert "the same keys come on many of its days" in reasons(draft)["day"]


@pytest.fixture
def history(shop: Settings) -> Settings:
    """The shop with a history of customers whose columns stay the same over many nights."""
    fill(shop.data_dir / "shop.db", "customer_days", CUSTOMER_DAYS, customer_days())
    return shop


HISTORY: dict[str, Any] = {"table": "customer_days", "label": "churned", "kind": "snapshot", "keys": ("Customer ID",)}


def test_names_of_entities_are_no_features_of_a_history_also_with_nulls(history: Settings):
    draft, job = drafted(history, **HISTORY)
    assert reasons(draft)["E-Mail"] == "left out: another name of the key"
    assert reasons(draft)["Company"] == "left out: names or free text: 100 different values in 150 pairs with a key"
    assert set(job.features) == {"age", "income", "tenure", "logins"}


def test_people_whom_several_entities_share_are_no_features_of_a_history(history: Settings):
    fill(history.data_dir / "shop.db", "accounts", CUSTOMER_DAYS.replace("Company", "Contact Name"), customer_days())
    draft, _ = drafted(history, **{**HISTORY, "table": "accounts"})
    assert reasons(draft)["Contact Name"] == "left out: it names people, by its name"


def test_pipeline_of_a_history_does_not_learn_entities_by_heart(history: Settings):
    """Fitted on the first nights and judged on the last, it is not much worse than the rate of the outcome."""
    _, job = drafted(history, **HISTORY)
    path = history.jobs_dir / "late.py"
    assert "a key has about" in path.read_text()
    names = [column.rpartition(" ")[0].strip('"') for column in CUSTOMER_DAYS.split(", ")]
    rows = pd.DataFrame(customer_days(), columns=names)
    early, late = rows[rows["day"] < "2024-04-30"], rows[rows["day"] >= "2024-04-30"]
    features = list(job.features)
    model = runpy.run_path(str(path))["build_pipeline"]().fit(early[features], early["churned"])
    base = log_loss(late["churned"], np.full(len(late), early["churned"].mean()))
    assert log_loss(late["churned"], model.predict_proba(late[features])[:, 1]) <= 1.02 * base


def test_pipeline_of_events_is_as_it_was(shop: Settings):
    drafted(shop, keys=("Order ID",), time="created_at")
    text = (shop.jobs_dir / "late.py").read_text()
    assert "        max_iter=150,\n        max_leaf_nodes=8,\n        min_samples_leaf=20,\n" in text


def test_key_that_comes_again_without_days_is_refused(history: Settings):
    fill(history.data_dir / "shop.db", "dump", CUSTOMER_DAYS, [("x", *row[1:]) for row in customer_days()])
    with pytest.raises(JobFileError) as caught:
        drafted(history, **{**HISTORY, "table": "dump"})
    assert not history.jobs_dir.exists()
    message = str(caught.value)
    assert "--key: found Customer ID comes up to 80 times in the sample, and no column of days was found" in message
    assert "expected a column of days (--time), or a key that comes once" in message
    assert "read_csv('{root}/dumps/customers_' || :night || '.csv')" in message


def test_yes_and_no_about_a_phone_are_nothing_personal(shop: Settings, tmp_path: Path):
    rows = [(number, ("Yes", "No")[number % 2], f"+49 170 {number % 400:07}", number % 3 == 0) for number in range(600)]
    fill(tmp_path / "shop.db", "contracts", "id integer, PhoneService text, phone text, churned integer", rows)
    _, job = drafted(shop, table="contracts", label="churned", kind="snapshot", keys=("id",))
    assert not job.features["PhoneService"].sensitive


def test_table_of_one_state_says_what_that_means(shop: Settings):
    draft, _ = drafted(shop, table="orders", kind="snapshot", keys=("Order ID",))
    text = shop.sql_path("late", "features").read_text()
    assert "where cast(:night as date) is not null" in text
    assert "-- careful:    the table keeps one state of each row" in text
    assert any("one state of each row" in warning for warning in draft.warnings)
    assert any("--since 2024-05-30 --until 2024-05-31" in command for command, _ in draft.commands)


def test_as_of_moment_takes_the_rows_before_the_end_of_the_night(shop: Settings):
    drafted(shop, table="orders", kind="snapshot", keys=("Order ID",), time="created_at")
    text = shop.sql_path("late", "features").read_text()
    assert "where created_at < :interval_end\n  and cast(:night as date) is not null" in text


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        (SourceQueryError, {"table": "ordrs"}, "did you mean orders?"),
        (JobFileError, {"label": "late"}, "did you mean Late\\?"),
        (JobFileError, {"keys": ("nothing",)}, "which is no column of orders"),
        (JobFileError, {"keys": ("Late?",), "time": "created_at"}, "which is --label too"),
        (JobFileError, {"keys": ("weight",), "time": "created_at"}, "weight, a fraction"),
        (JobFileError, {"time": "price", "keys": ("Order ID",)}, "in this table created_at"),
        (JobFileError, {"timezone": "Mars/Base", "time": "created_at"}, "--timezone"),
        (SettingsError, {"source": "mars"}, "NIGHTSHIFT_SOURCES__MARS"),
        (TrainingDataError, {"label": "year", "time": "created_at"}, "the same outcome in all rows"),
        (TrainingDataError, {"label": "note", "time": "created_at"}, "different values; expected 3 to 30 classes"),
        (TrainingDataError, {"label": "photo", "time": "created_at"}, "type BLOB"),
        (TrainingDataError, {"task": "binary", "label": "items", "time": "created_at"}, "with --task binary"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    shop: Settings, kind: type[NightshiftError], asked: dict[str, Any], message: str
):
    import re

    assert re.search(message if "\\" in message else re.escape(message), refused(shop, kind, **asked))


def test_empty_table_is_refused(shop: Settings):
    fill(shop.data_dir / "shop.db", "empty", "id integer, at text, y integer", [])
    assert "found no rows" in refused(shop, TrainingDataError, table="empty", label="y")


def test_numbers_with_task_multiclass_have_classes(shop: Settings):
    _, job = drafted(shop, label="night", task="multiclass", keys=("Order ID",), time="created_at")
    assert job.label.classes == ["1", "2", "3"]


def test_copy_of_the_outcome_is_left_out(shop: Settings):
    path = shop.data_dir / "more.db"
    rows = [(n, f"2024-01-{1 + n % 28:02d} 10:00:00", n % 9, n % 2 * 5.0 + n / 1000, n % 2) for n in range(900)]
    fill(path, "visits", "id integer, at text, pages integer, twin real, bought integer", rows)
    more = shop.model_copy(update={"sources": {"shop": SecretStr(f"sqlite:///{path}")}})
    draft, job = drafted(more, table="visits", label="bought", keys=("id",))
    assert reasons(draft)["twin"].startswith("left out: LEAK? it gives the outcome away")
    assert any("twin" in warning for warning in draft.warnings)
    assert "twin" not in job.features


def test_wide_table_is_taken_whole(shop: Settings):
    path = shop.data_dir / "more.db"
    columns = ", ".join(f"c{number} real" for number in range(300))
    rows = [(n, f"2024-01-{1 + n % 28:02d}", n % 2, *((n * k % 17) / 3 for k in range(300))) for n in range(300)]
    fill(path, "wide", f"id integer, day text, y integer, {columns}", rows)
    more = shop.model_copy(update={"sources": {"shop": SecretStr(f"sqlite:///{path}")}})
    _, job = drafted(more, table="wide", label="y", keys=("id",), time="day")
    assert len(job.features) > 250
    assert job.key == {"day": "date", "id": "int"}


@pytest.mark.parametrize(
    ("values", "compared"),
    [
        (["2024-01-01T10:00:00Z", "2024-01-02 10:00:00"], "datetime(at) >= :interval_start"),
        (["1704103200", "1704189600"], "at >= :interval_start"),
        (["2024-01-01", "2024-01-02"], "at = :night"),
    ],
)
def test_times_are_compared_in_the_form_that_they_have(shop: Settings, values: list[str], compared: str):
    path = shop.data_dir / "more.db"
    kind = "integer" if values[0].isdigit() else "text"
    rows = [(n, values[n % 2], n % 5, (n // 2) % 2) for n in range(100)]
    fill(path, "visits", f"id integer, at {kind}, pages integer, bought integer", rows)
    more = shop.model_copy(update={"sources": {"shop": SecretStr(f"sqlite:///{path}")}})
    drafted(more, table="visits", label="bought", keys=("id",), time="at")
    assert compared in more.sql_path("late", "features").read_text()


def test_parquet_files_are_a_table_by_path_or_glob(shop: Settings):
    """Folders of months are no feature, lists are left out, and the SQL reads below the root."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    names = ["day", "id", "mail", "plan", "logins", "churned"]
    rows = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in customers(days=60)])
    months = pa.array([text[:7] for text in rows.column("day").to_pylist()])
    tags = pa.array([["a"]] * rows.num_rows)
    folder = shop.data_dir / "lake" / "customers"
    table = rows.append_column("tags", tags).append_column("part", months)
    ds.write_dataset(table, folder, format="parquet", partitioning=["part"], partitioning_flavor="hive")
    lake = shop.model_copy(update={"sources": {"shop": SecretStr(f"duckdb:///:memory:?root={folder.parent}")}})
    draft, job = drafted(lake, table="customers/*/*.parquet", label="churned", keys=("id",), time="day")
    assert job.key == {"day": "date", "id": "int"}
    why = reasons(draft)
    assert why["tags"].startswith("left out: type VARCHAR[]")
    assert why["part"].startswith("left out: each of its values stands for some nights on end")
    text = lake.sql_path("late", "features").read_text()
    assert "from read_parquet('{root}/customers/*/*.parquet')" in text
    assert 'where cast("day" as date) = :night' in text or "where cast(day as date) = :night" in text
    other = lake.model_copy(update={name: lake.data_dir / "other" / name for name in ("jobs_dir", "sql_dir")})
    assert "No files found" in refused(other, SourceQueryError, table="none/*.parquet")


def test_nan_of_a_file_is_null_and_a_currency_is_no_text(shop: Settings):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from scoring.interval import DataInterval
    from scoring.stores.source import stream

    count = 900
    days = [date(2024, 3, 1 + number % 30) for number in range(count)]
    scores = [float("nan") if number % 30 == 7 else float(number % 100) for number in range(count)]
    prices = [f"EUR {number % 77},90" if number % 10 == 0 else f"{number % 77},90 €" for number in range(count)]
    table = pa.table({"day": days, "id": list(range(count)), "score": scores, "price": prices})
    folder = shop.data_dir / "lake"
    folder.mkdir()
    pq.write_table(
        table.append_column("late", pa.array([number % 3 == 0 for number in range(count)])), folder / "a.parquet"
    )
    lake = shop.model_copy(update={"sources": {"shop": SecretStr(f"duckdb:///:memory:?root={folder}")}})
    draft, job = drafted(lake, table="a.parquet", label="late", keys=("id",), time="day")
    assert "NaN read as null" in reasons(draft)["score"]
    assert (job.features["score"].nullable, job.features["price"].type) == (True, "float")
    stores = open_stores(lake.model_copy(update={"warehouse_url": NOWHERE}), lambda: NOW)
    interval = DataInterval.of_night(date(2024, 3, 8), "UTC")
    with stream(stores.source_url(job), stores.features_query(job), interval, 100) as batches:
        rows = pa.Table.from_batches([next(batches)])
    assert (rows.num_rows, rows.column("score").null_count) == (30, 30)
