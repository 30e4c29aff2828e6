"""Model versions on the registry of the test run: where their files are, and a champion that several tests share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from scoring.stores.installation import open_stores
from scoring.stores.registry.version import VersionRef
from scoring.stores.workspace import Workspace
from tests.conftest import Toy, installed
from tests.support.toy import create_source, train_champion, write_job


def folder_of(ref: VersionRef) -> Path:
    """Return the folder with the files of a version."""
    return Path(ref.uri.removeprefix("file://"))


@contextmanager
def installation(data_dir: Path, template: str, folder: Path) -> Iterator[Toy]:
    """Give a toy job with a champion that several tests share; unlike the fixture ``toy`` it outlives a test."""
    settings = installed(data_dir, template, folder)
    stores = open_stores(settings, lambda: datetime.now(UTC))
    source = settings.sources["toy"].get_secret_value()
    create_source(source)
    toy = Toy(stores, write_job(folder, re.sub(r"\W", "_", folder.name.lower())), source, folder)
    train_champion(Workspace(stores, toy.job))
    yield toy
    stores.warehouse.engine.dispose()
