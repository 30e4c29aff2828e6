"""Jobs whose stores may be spoilt: lake and model files on S3 behind a proxy, a PostgreSQL of their own to be killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.installation import open_stores
from scoring.stores.warehouse import open_warehouse
from scoring.stores.warehouse.schema import migrate
from tests.conftest import Toy, _numbers, administration, disk, installed
from tests.support.s3 import BUCKET, Proxy
from tests.support.toy import Training, copy_champion, create_source, train_champion, write_job


@pytest.fixture
def distant(s3: Proxy, settings: Settings, tmp_path: Path) -> Iterator[Toy]:
    """A toy job with a champion, whose lake and model files are on S3."""
    number = next(_numbers)
    urls = {name: f"s3://{BUCKET}/{tmp_path.name}-{number}/{name}" for name in ("lake", "models")}
    there = settings.model_copy(update={"lake_url": urls["lake"], "artifacts_url": urls["models"]})
    stores = open_stores(there, lambda: datetime.now(UTC))
    source = settings.sources["toy"].get_secret_value()
    toy = Toy(stores, write_job(tmp_path, f"toy_{number}"), source, tmp_path)
    train_champion(toy.work)
    yield toy
    stores.warehouse.engine.dispose()


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[Path]:
    """A data folder with a cluster that tests may stop and kill, and a migrated warehouse in it."""
    with tempfile.TemporaryDirectory(prefix="nightshift-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with administration(folder) as connection:  # what a dead process has written stays: the machine lives
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
        warehouse = open_warehouse(Settings(data_dir=folder, sources={}))
        migrate(warehouse)
        warehouse.engine.dispose()
        create_source(embedded.url(folder / "postgres", "source"))
        yield folder
        embedded.stop(folder / "postgres")


@pytest.fixture
def fragile(own_cluster: Path, data_dir: Path, training: Training, tmp_path: Path) -> Iterator[Toy]:
    """A toy job with a champion, whose source and warehouse are on the cluster that tests may stop and kill."""
    registry = SecretStr(embedded.url(data_dir / "postgres", "registry"))
    made = installed(own_cluster, "warehouse", tmp_path, "source").model_copy(update={"registry_url": registry})
    stores = open_stores(made, lambda: datetime.now(UTC))
    toy = Toy(stores, write_job(tmp_path, f"toy_{next(_numbers)}"), made.sources["toy"].get_secret_value(), tmp_path)
    copy_champion(training, stores, toy.job)
    yield toy
    stores.warehouse.engine.dispose()


@pytest.fixture
def roomy() -> Iterator[Path]:
    """A file system of 64 MiB that PostgreSQL's user can reach."""
    with tempfile.TemporaryDirectory(prefix="nightshift-faults-") as name:
        Path(name).chmod(0o755)
        with disk(Path(name, "disk"), "64m") as folder:
            yield folder
