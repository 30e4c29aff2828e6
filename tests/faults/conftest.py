"""A job whose lake and model files are on S3, behind a proxy that spoils requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scoring.settings import Settings
from scoring.stores.installation import open_stores
from tests.conftest import Toy, _numbers
from tests.support.s3 import BUCKET, Proxy
from tests.support.toy import train_champion, write_job


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
