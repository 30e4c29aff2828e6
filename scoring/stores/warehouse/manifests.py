"""What the files of each model version are, by their sha256: recorded here, apart from the files and from the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.tables import MANIFESTS


@dataclass(frozen=True)
class FileRecord:
    """A file of a version: its sha256, its size, and the sha256 of the file that it is replacing."""

    sha256: str
    size: int
    """In bytes."""
    was: str | None = None

    @classmethod
    def of(cls, content: bytes) -> FileRecord:
        """Return the record of a file with this content."""
        return cls(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True)
class Manifest:
    """The files of a version, by name."""

    files: Mapping[str, FileRecord]

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def sha256(self) -> str:
        """Return the sha256 of the manifest itself."""
        return self.sha256_without(())

    def sha256_without(self, names: tuple[str, ...]) -> str:
        """Return the sha256 of the manifest but for some files."""
        content = {name: entry for name, entry in self.as_json().items() if name not in names}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def as_json(self) -> dict[str, dict[str, str | int]]:
        """Return the records for JSON."""
        return {
            name: {key: value for key, value in asdict(entry).items() if value is not None}
            for name, entry in self.files.items()
        }


def record(
    warehouse: Warehouse, job: str, uri: str, manifest: Manifest, reason: str, version: int | None = None
) -> None:
    """Record what the files of a version are from now on. Without a number they are of the version to come at ``uri``."""
    row = {
        "job": job,
        "model_version": version,
        "model_uri": uri,
        "files": manifest.as_json(),
        "sha256": manifest.sha256,
        "reason": reason,
    }
    with warehouse.transaction() as connection:
        connection.execute(sa.insert(MANIFESTS).values(row))


def give_number(warehouse: Warehouse, job: str, uri: str, version: int) -> None:
    """Record which number the version whose files are at ``uri`` got."""
    unnumbered = sa.and_(MANIFESTS.c.job == job, MANIFESTS.c.model_uri == uri, MANIFESTS.c.model_version.is_(None))
    with warehouse.transaction() as connection:
        connection.execute(sa.update(MANIFESTS).where(unnumbered).values(model_version=version))


def newest(warehouse: Warehouse, job: str, version: int, uri: str) -> Manifest | None:
    """Return what the files of a version are, or None if they were never recorded.

    A process that died right after the registry gave the number left a record without one, which is found by the URI.
    """
    of_version = sa.or_(
        MANIFESTS.c.model_version == version,
        sa.and_(MANIFESTS.c.model_version.is_(None), MANIFESTS.c.model_uri == uri),
    )
    query = sa.select(MANIFESTS.c.files).where(MANIFESTS.c.job == job, of_version)
    rows = warehouse.rows(query.order_by(MANIFESTS.c.manifest_id.desc()).limit(1))
    return _manifest(rows[0]["files"]) if rows else None


def by_version(warehouse: Warehouse, job: str) -> dict[int, Manifest]:
    """Return what the files of each recorded version of a job are, by its number."""
    query = sa.select(MANIFESTS.c.model_version, MANIFESTS.c.files).where(
        MANIFESTS.c.job == job, MANIFESTS.c.model_version.is_not(None)
    )
    rows = warehouse.rows(query.order_by(MANIFESTS.c.manifest_id))
    return {row["model_version"]: _manifest(row["files"]) for row in rows}


def first_recorded(warehouse: Warehouse, job: str) -> int | None:
    """Return the first version of a job whose files were recorded: those of every later one were too."""
    query = sa.select(sa.func.min(MANIFESTS.c.model_version).label("first")).where(MANIFESTS.c.job == job)
    (row,) = warehouse.rows(query)
    return None if row["first"] is None else int(row["first"])


def _manifest(files: Mapping[str, Mapping[str, str | int]]) -> Manifest:
    return Manifest(
        {
            name: FileRecord(str(entry["sha256"]), int(entry["size"]), str(entry["was"]) if "was" in entry else None)
            for name, entry in files.items()
        }
    )
