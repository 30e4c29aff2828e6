"""Where the files of versions are, and what the warehouse says they are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scoring.errors import ArtifactMismatch, RegistryUnavailable
from scoring.settings import Settings
from scoring.stores.registry.files import download, drop, put, replace_file
from scoring.stores.registry.version import ARTIFACT, CARDS, VersionRef
from scoring.stores.registry.version_files import VersionFiles, named
from scoring.stores.warehouse import FileRecord, Manifest, Warehouse, actions_of, manifests, open_warehouse

ACCEPTED = "accepted"
"""The action that lets a version be scored under other declarations than it was trained with."""
Tracking = Callable[[], AbstractContextManager[str]]
"""Gives the URI of MLflow to a block whose errors become those of the registry. MLflow is imported only then."""


class StoredFiles:
    """The files of the versions of a registry, and their sha256 in the warehouse."""

    def __init__(self, settings: Settings, warehouse: Warehouse | None, tracking: Tracking) -> None:
        """Use the given warehouse, or that of the settings."""
        self._settings, self._given, self._tracking = settings, warehouse, tracking

    @cached_property
    def _warehouse(self) -> Warehouse:
        return self._given or open_warehouse(self._settings).unpooled()

    def record_new(self, job: str, uri: str, manifest: Manifest) -> None:
        """Record the files of a version that has no number yet. Raises ``WarehouseUnavailable``: then there is no version."""
        manifests.record(self._warehouse.unpooled(), job, uri, manifest, "registered")

    def give_number(self, ref: VersionRef) -> None:
        """Record the number of a new version."""
        manifests.give_number(self._warehouse.unpooled(), ref.job, ref.uri, ref.version)

    def digests(self, job: str) -> dict[int, str]:
        """Return the sha256 of each recorded version's pipeline, by the version's number."""
        recorded = manifests.by_version(self._warehouse, job)
        return {version: manifest.files[ARTIFACT].sha256 for version, manifest in recorded.items()}

    def accepted(self, ref: VersionRef, digest: str) -> bool:
        """Return whether somebody accepted that the job declares for a version what has this digest."""
        done = actions_of(self._warehouse, ref.job)
        return any((action.action, action.subject) == (ACCEPTED, accepted_subject(ref, digest)) for action in done)

    def manifest(self, ref: VersionRef) -> Manifest | None:
        """Return what a version's files are, or None for one of before there were manifests.

        Raises ``ArtifactMismatch`` for a version that is younger than one with a manifest and has none.
        """
        manifest = manifests.newest(self._warehouse, ref.job, ref.version, ref.uri)
        first = manifests.first_recorded(self._warehouse, ref.job) if manifest is None else None
        if first is not None and ref.version > first:
            raise ArtifactMismatch(
                named(ref),
                found="no record in the warehouse of what its files are",
                expected=f"one, as every version from {first} on has",
                next_step="train a new version; Nightshift did not register this one with this warehouse",
            )
        return manifest

    def files(self, ref: VersionRef) -> VersionFiles:
        """Return the version's files, to be read. They are downloaded if they are elsewhere."""
        manifest = self.manifest(ref)
        return VersionFiles(ref, self._folder(ref, manifest), manifest, copied=_local_folder(ref) is None)

    def problems(self, ref: VersionRef) -> list[str]:
        """Return what is wrong with a version's files where they are. Copies that tasks may be reading stay."""
        manifest, local = self.manifest(ref), _local_folder(ref)
        if local is not None:
            return VersionFiles(ref, local, manifest).problems()
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / "version"
            self._download(ref, fresh)
            return VersionFiles(ref, fresh, manifest).problems()

    def replace(self, ref: VersionRef, contents: Mapping[str, bytes], reason: str) -> None:
        """Replace files of a version, and record what they are now with the reason.

        While they are written, the old and the new one are both right, so that nobody meets a file that is not on record.
        After a crash in between, another call with the same contents, or ``settle``, completes it.
        """
        self.settle(ref, reason)
        before, new = self.manifest(ref), {name: FileRecord.of(content) for name, content in contents.items()}
        if before is not None:
            self._record(ref, {**before.files, **_replacing(before, new)}, reason)
        with self._tracking() as uri:
            for name, content in contents.items():
                put(ref.uri, uri, name, content)
        if before is not None:
            self._record(ref, {**before.files, **new}, reason)
        if not set(contents) <= set(CARDS):
            self.drop_copies(ref)
        else:
            self._add_to_copies(ref, contents)

    def _add_to_copies(self, ref: VersionRef, cards: Mapping[str, bytes]) -> None:
        """Replace cards in what was downloaded of a version, which stays what it is otherwise."""
        for copy in self._cache.glob(f"{ref.job}-{ref.version}-*"):
            with suppress(FileNotFoundError):  # dropped meanwhile
                for name, content in cards.items():
                    replace_file(copy / name, content)

    def settle(self, ref: VersionRef, reason: str) -> None:
        """Record which files of a version are there after a replacement that was interrupted."""
        manifest = self.manifest(ref)
        if manifest is None or not any(record.was for record in manifest.files.values()):
            return
        self.drop_copies(ref)
        files = self.files(ref)
        there = {name: FileRecord.of(files.content(name)) for name, record in manifest.files.items() if record.was}
        self._record(ref, {**manifest.files, **there}, reason)

    def drop_copies(self, ref: VersionRef) -> None:
        """Remove what was downloaded of a version."""
        for copy in self._cache.glob(f"{ref.job}-{ref.version}-*"):
            drop(copy)

    def _record(self, ref: VersionRef, files: Mapping[str, FileRecord], reason: str) -> None:
        manifests.record(self._warehouse, ref.job, ref.uri, Manifest(files), reason, ref.version)

    def _folder(self, ref: VersionRef, manifest: Manifest | None) -> Path:
        """Return a local folder with the version's files. A copy of files that were replaced since is downloaded anew."""
        local = _local_folder(ref)
        if local is not None:
            return local
        digest = manifest.sha256_without(CARDS) if manifest is not None else ref.sha256
        folder = self._cache / f"{ref.job}-{ref.version}-{digest[:12]}"
        if not folder.exists():
            self.drop_copies(ref)
            self._download(ref, folder)
        return folder

    def _download(self, ref: VersionRef, folder: Path) -> None:
        with self._tracking() as uri:
            download(ref.uri, uri, folder)
        if not folder.exists():
            raise RegistryUnavailable(f"files of version {ref.version} of {ref.job}", found=f"none at {ref.uri}")

    @property
    def _cache(self) -> Path:
        return self._settings.data_dir / "cache" / "models"


def accepted_subject(ref: VersionRef, digest: str) -> str:
    """Return what the record of an acceptance says that it is about."""
    return f"version {ref.version} under the declarations {digest} of the job file"


def _local_folder(ref: VersionRef) -> Path | None:
    """Return the folder with a version's files, or None when they are elsewhere."""
    parts = urlsplit(ref.uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def manifest_of(folder: Path) -> Manifest:
    """Return what the files of a folder are."""
    return Manifest({path.name: FileRecord.of(path.read_bytes()) for path in sorted(folder.iterdir())})


def _replacing(before: Manifest, new: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """Return the new records, with the sha256 of the file that each takes the place of."""
    old = {name: before.files[name].sha256 for name in new if name in before.files}
    return {name: replace(record, was=old.get(name, record.sha256)) for name, record in new.items()}
