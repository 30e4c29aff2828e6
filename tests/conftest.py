"""One embedded PostgreSQL cluster per test run, a fresh warehouse and source per test."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from scoring import embedded
from scoring.settings import HOME, Settings, quiet_telemetry
from scoring.stores import Stores, open_stores
from scoring.warehouse import open_warehouse
from scoring.warehouse.schema import migrate

quiet_telemetry()
_numbers = itertools.count()


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A data folder with a running cluster, for the whole test run."""
    with tempfile.TemporaryDirectory(prefix="nightshift-tests-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        embedded.url(folder / "postgres", "warehouse")
        yield folder
        embedded.stop(folder / "postgres")


@pytest.fixture(scope="session")
def template(data_dir: Path) -> str:
    """The name of a migrated warehouse, to be copied."""
    settings = Settings(data_dir=data_dir, sources={})
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    warehouse.engine.dispose()
    return "warehouse"


@pytest.fixture(scope="session")
def flights(data_dir: Path) -> str:
    """The name of a seeded source database, to be copied or read."""
    from demo.seed import seed

    seed(embedded.url(data_dir / "postgres", "source"), lambda table: None)
    return "source"


def new_database(data_dir: Path, template: str | None = None) -> str:
    """Return the SQLAlchemy URL of a fresh database, a copy of ``template`` if given."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(
        f"postgresql://postgres@/postgres?host={embedded.socket_folder(data_dir / 'postgres')}", autocommit=True
    ) as connection:
        copied = sql.SQL(" template {}").format(sql.Identifier(template)) if template else sql.SQL("")
        connection.execute(sql.SQL("create database {}{}").format(sql.Identifier(name), copied))
    return embedded.url(data_dir / "postgres", name)


@pytest.fixture
def settings(data_dir: Path, template: str, tmp_path: Path) -> Settings:
    """Settings of an installation of its own: fresh warehouse, registry, lake, jobs and SQL folders."""
    jobs, sql_dir = tmp_path / "jobs", tmp_path / "sql"
    jobs.mkdir()
    sql_dir.mkdir()
    return Settings(
        data_dir=tmp_path,
        jobs_dir=jobs,
        sql_dir=sql_dir,
        warehouse_url=SecretStr(new_database(data_dir, template)),
        registry_url=SecretStr(embedded.url(data_dir / "postgres", "registry")),
        code_version="test",
    )


@pytest.fixture
def stores(settings: Settings) -> Iterator[Stores]:
    """The stores of ``settings``, closed afterwards."""
    opened = open_stores(settings, lambda: datetime.now(UTC))
    yield opened
    opened.warehouse.engine.dispose()


@pytest.fixture
def home() -> Path:
    """The project's folder."""
    return HOME
