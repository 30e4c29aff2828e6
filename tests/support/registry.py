"""Model versions on the registry of the test run: where their files are, and a champion that several tests share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from scoring.stores.installation import Stores, open_stores
from scoring.stores.registry.stored_files import manifest_of
from scoring.stores.registry.version import VersionRef
from scoring.stores.warehouse import manifests
from scoring.stores.workspace import Workspace
from tests.conftest import Toy, installed
from tests.support.toy import create_source, train_champion, write_job


def folder_of(ref: VersionRef) -> Path:
    """Return the folder with the files of a version."""
    return Path(ref.uri.removeprefix("file://"))


def record_anew(stores: Stores, ref: VersionRef) -> None:
    """Record the files of a version as they are now, as if it had been registered with them."""
    manifest = manifest_of(folder_of(ref))
    manifests.record(stores.warehouse, ref.job, ref.uri, manifest, "changed by a test", ref.version)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


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
