"""From a table to scored nights and their performance, with the commands that ``new-job`` prints, on several shapes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import sqlalchemy as sa

from scoring.settings import Settings, load_settings
from tests.conftest import secret
from tests.support.shell import Shell, done
from tests.support.tables import ORDERS, customers, fill, orders

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(settings: Settings, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite source with orders and a history of customers."""
    path = settings.data_dir / "shop.db"
    fill(path, "orders", ORDERS, orders())
    fill(path, "customers", "day text, id integer, mail text, plan text, logins integer, churned integer", customers())
    monkeypatch.setenv("NIGHTSHIFT_SOURCES__SHOP", f"sqlite:///{path}")
    load_settings.cache_clear()
    return path


def follow(shell: Shell, *arguments: object) -> str:
    """Run ``new-job`` and then every command that it prints, as a newcomer does. Return what they printed."""
    output = done(shell("new-job", *arguments))
    commands = re.findall(r"^  nightshift (.+?)\s+#", output, re.MULTILINE)
    assert [command.split()[0] for command in commands][:4] == ["check", "migrate", "train", "run"]
    return output + "".join(done(shell(*shlex.split(command))) for command in commands)


def test_events_of_a_sqlite_file(shop: Path, settings: Settings, shell: Shell):
    output = follow(
        shell,
        "late",
        *["--source", "shop", "--table", "orders", "--label", "Late?", "--time", "created_at", "--key"],
        "Order ID",
    )
    assert "is champion from night 2024-02-01 on" in output
    assert "late 2024-02-01: published, 40 rows" in output
    assert re.search(r"2024-02-01 │ .*│ 100.0%", output), "the first performance figure"
    assert done(shell("verify", "late")) == "late: 0 problems\n"


@pytest.mark.nightly
def test_snapshot_of_a_history(shop: Path, shell: Shell):
    named = ["--source", "shop", "--table", "customers", "--kind", "snapshot"]
    output = follow(shell, "churn", *named, "--label", "churned", "--key", "id", "--time", "day")
    assert "churn 2024-03-25: published, 40 rows" in output
    assert re.search(r"2024-03-25 │ .*│ 100.0%", output)


@pytest.mark.nightly
def test_view_of_the_demo_on_postgresql(
    settings: Settings, flights: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    """A view with capitals and a space in its name, times with zone, and columns that only flights that arrived have."""
    source = source_with_view(settings, flights)
    monkeypatch.setenv("NIGHTSHIFT_SOURCES__AIR", source)
    load_settings.cache_clear()
    keys = [word for name in ("carrier", "flight", "origin") for word in ("--key", name)]
    zone = ["--timezone", "America/New_York"]
    output = follow(
        shell,
        "late_air",
        "--source",
        "air",
        "--table",
        "late flights",
        "--label",
        "late",
        "--time",
        "time_hour",
        *keys,
        *zone,
    )
    for leak in ("dep_delay", "arr_time", "arr_delay", "air_time"):
        assert re.search(rf"│ {leak} +│ [\w ]+│ left out │ LEAK\?", output), leak
    assert "late_air 2013-03-25: published" in output


def source_with_view(settings: Settings, flights: str) -> str:
    """Return the URL of a copy of three months of the demo's flights with a view of them."""
    url = secret(settings.sources["toy"])
    rows = sa.create_engine(sa.make_url(url).set(database=flights))
    target = sa.create_engine(url)
    table = sa.Table("flights", sa.MetaData(), autoload_with=rows)
    chosen = sa.select(table).where(table.c.month <= 3)
    with rows.connect() as reading, target.begin() as writing:
        table.create(writing)
        writing.execute(table.insert(), [dict(row) for row in reading.execute(chosen).mappings()])
        writing.exec_driver_sql('create view "Late Flights" as select *, arr_delay > 15 as late from flights')
    rows.dispose()
    target.dispose()
    return url
