"""One embedded PostgreSQL cluster per test run, a fresh warehouse and source per test."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from psycopg import sql
from pydantic import SecretStr

from scoring.job.definition import Job
from scoring.secrets import SECRETS
from scoring.settings import Settings, quiet_telemetry
from scoring.stores import embedded
from scoring.stores.installation import Stores, open_stores
from scoring.stores.warehouse import open_warehouse
from scoring.stores.warehouse.schema import migrate
from scoring.stores.workspace import Workspace

pytest.register_assert_rewrite("tests.support")  # a failed assert shows its values there as in a test
from tests.support.s3 import Proxy  # noqa: E402
from tests.support.toy import FIRST, Training, copy_champion, create_source, events, training_of, write_job  # noqa: E402

quiet_telemetry()
if "AIRFLOW_HOME" not in os.environ:  # else it is made in $HOME; processes of the same test run share it
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="nightshift-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
_numbers = itertools.count()
AIRFLOW = "tests/orchestration/"
"""Where the tests of Airflow are."""
ROOM = 2 * 2**30
"""Bytes that a folder in memory must have free: a database has 8 MB, and most are dropped after their test."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n`` and ``--dist loadfile`` a file stays in one process, and so do all files that share the one Airflow."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return AIRFLOW if nodeid.startswith(AIRFLOW) else str(super()._split_scope(nodeid))

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a cluster, and refuse a test of Airflow in another folder: two processes would start one each.

    The tests of Airflow come first: they take half of the time in one process, while the others are left for the rest.
    """
    items.sort(key=lambda item: AIRFLOW not in item.nodeid)
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
    elsewhere = [item.nodeid for item in items if item.get_closest_marker("airflow") and AIRFLOW not in item.nodeid]
    if elsewhere:
        raise pytest.UsageError(f"tests marked airflow outside of {AIRFLOW}: {elsewhere}")


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """What a test uses as a password is an ordinary word to the others."""
    known, pattern = set(SECRETS._forms), SECRETS._pattern
    yield
    SECRETS._forms, SECRETS._pattern = known, pattern


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A data folder with a running cluster, for the whole test run; in memory where the machine has a folder there."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and shutil.disk_usage(memory).free > ROOM else None
    with tempfile.TemporaryDirectory(prefix="nightshift-tests-", dir=where, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with administration(folder) as connection:  # a test run survives no power cut
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
            connection.execute("select pg_reload_conf()")
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


def administration(data_dir: Path) -> psycopg.Connection:
    """Return a connection to the cluster of the test run, to be closed by the caller."""
    folder = embedded.socket_folder(data_dir / "postgres")
    return psycopg.connect(f"postgresql://postgres@/postgres?host={folder}", autocommit=True)


def new_database(data_dir: Path, template: str | None = None) -> str:
    """Return the SQLAlchemy URL of a fresh database, a copy of ``template`` if given."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with administration(data_dir) as connection:
        create = sql.SQL("create database {} template {} strategy file_copy")  # half the time of wal_log, without fsync
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template or "template1")))
    return embedded.url(data_dir / "postgres", name)


def drop_database(data_dir: Path, url: SecretStr | str | None) -> None:
    """Remove a database that ``new_database`` made; who is still connected is disconnected."""
    name = sa.make_url(url if isinstance(url, str) else secret(url)).database
    with administration(data_dir) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(str(name))))


@dataclass
class Toy:
    """A small job with its source, trained, ready to score ``toy.NIGHT``."""

    stores: Stores
    job: Job
    source: str
    folder: Path

    @property
    def work(self) -> Workspace:
        """The job in its installation."""
        return Workspace(self.stores, self.job)

    def change(self, **changes: Any) -> Job:
        """Return the job with other settings, its file written anew."""
        self.job = write_job(self.folder, self.job.name, **changes)
        return self.job


def installed(data_dir: Path, template: str, folder: Path, source: str | None = None) -> Settings:
    """Return the settings of an installation in ``folder``: fresh source, warehouse, lake, jobs, SQL; a shared registry.

    ``source`` names a database to be copied; without it the source is empty.
    """
    for name in ("jobs", "sql"):
        (folder / name).mkdir()
    return Settings(
        data_dir=folder,
        jobs_dir=folder / "jobs",
        sql_dir=folder / "sql",
        sources={"toy": SecretStr(new_database(data_dir, source))},
        warehouse_url=SecretStr(new_database(data_dir, template)),
        registry_url=SecretStr(embedded.url(data_dir / "postgres", "registry")),
        code_version="test",
    )


@pytest.fixture(scope="session")
def toy_source(data_dir: Path) -> str:
    """The name of a database with the toy's events, to be copied."""
    url = new_database(data_dir)
    create_source(url)
    return str(sa.make_url(url).database)


@pytest.fixture(scope="session")
def training(data_dir: Path, template: str, toy_source: str, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """What training the toy job leaves, made once for all tests that begin with a champion."""
    folder = tmp_path_factory.mktemp("training")
    opened = open_stores(installed(data_dir, template, folder, toy_source), lambda: datetime.now(UTC))
    made = training_of(Workspace(opened, write_job(folder, "toy")))
    opened.warehouse.engine.dispose()
    return made


@pytest.fixture
def settings(data_dir: Path, template: str, toy_source: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an installation of its own, whose source has the toy's events."""
    made = installed(data_dir, template, tmp_path, toy_source)
    yield made
    for url in (made.sources["toy"], made.warehouse_url):
        drop_database(data_dir, url)


@pytest.fixture
def stores(settings: Settings) -> Iterator[Stores]:
    """The stores of ``settings``, closed afterwards."""
    opened = open_stores(settings, lambda: datetime.now(UTC))
    yield opened
    opened.warehouse.engine.dispose()


@pytest.fixture
def untrained(stores: Stores, tmp_path: Path) -> Toy:
    """A toy job which has no model version."""
    source = stores.settings.sources["toy"].get_secret_value()
    return Toy(stores, write_job(tmp_path, f"toy_{next(_numbers)}"), source, tmp_path)


@pytest.fixture
def toy(untrained: Toy, training: Training) -> Toy:
    """A toy job with a champion."""
    copy_champion(training, untrained.stores, untrained.job)
    return untrained


@pytest.fixture(scope="session")
def plain_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The toy job by itself: what needs no database."""
    folder = tmp_path_factory.mktemp("plain")
    for name in ("jobs", "sql"):
        (folder / name).mkdir()
    return write_job(folder, "plain")


@pytest.fixture(scope="session")
def plain_rows(plain_job: Job) -> pa.RecordBatch:
    """400 events of the toy's first night, in the types of ``plain_job``."""
    table = pa.Table.from_pandas(events(FIRST, 400)[plain_job.columns], preserve_index=False)
    return table.combine_chunks().to_batches()[0]


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """Give a file system of a size, in memory. Skips the test where it may not be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    with disk(tmp_path / "small", "1m") as folder:
        yield folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server with an empty bucket, for the whole test run."""
    from tests.support.s3 import BUCKET, moto, request

    with moto() as address:
        assert request(address, "PUT", f"/{BUCKET}")[0] == 200
        yield address


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the S3 server, to which the environment of the test leads."""
    from tests.support.s3 import KEYS, forget, proxy_of

    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    with proxy_of(s3_server) as proxy:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": proxy.address, "AWS_MAX_ATTEMPTS": "3"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield proxy
        forget()


@pytest.fixture(scope="session")
def commands() -> Iterator[Path]:
    """A folder with a program ``nightshift`` whose runs are processes of their own that need not import the libraries."""
    from tests.support.preloaded import commands_of

    with commands_of() as folder:
        yield folder


@pytest.fixture
def shell(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Run a command with the environment of ``settings``; no output holds a password, no failure a traceback."""
    from tests.support.shell import shell_of

    with shell_of(settings, monkeypatch, capsys) as run:
        yield run


def secret(value: SecretStr | None) -> str:
    """Return a secret setting that is set."""
    assert value is not None
    return value.get_secret_value()
