"""The files of a version in a local folder, each held against what the warehouse recorded before anything is read from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.errors import ArtifactMismatch, RegistryUnavailable
from scoring.stores.registry.files import drop, readable
from scoring.stores.registry.formats import artifact_in
from scoring.stores.registry.version import ARTIFACT, VersionRef
from scoring.stores.warehouse import FileRecord, Manifest


@dataclass(frozen=True)
class VersionFiles:
    """The files of a version. Without a manifest, in versions of before, only the pipeline has a sha256."""

    ref: VersionRef
    folder: Path
    manifest: Manifest | None
    copied: bool = False
    """Whether the folder was downloaded, and may be gone at any time."""

    @property
    def what(self) -> str:
        """Return what an error calls the version."""
        return named(self.ref)

    @property
    def artifact(self) -> str:
        """Return the name of the file with the pipeline."""
        return ARTIFACT if self.manifest is None else artifact_in(self.manifest.files)

    def has(self, name: str) -> bool:
        """Return whether a file belongs to the version. One that was added to the folder later does not."""
        return (self.folder / name).exists() if self.manifest is None else name in self.manifest.files

    def content(self, name: str) -> bytes:
        """Return the content of a file. Raises ``ArtifactMismatch`` unless it is the one that was recorded."""
        path = self.folder / name
        try:
            with readable(path, self.what):
                content = path.read_bytes()
            self._check(name, content)
        except ArtifactMismatch:
            self._require_copy()
            if self.copied:
                drop(self.folder)  # the next one to ask downloads it anew
            raise
        return content

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return which of the files are not there. Raises ``RegistryUnavailable`` for a copy that was dropped meanwhile."""
        gone = [name for name in names if not (self.folder / name).is_file()]
        if gone:
            self._require_copy()
        return gone

    def _require_copy(self) -> None:
        if self.copied and not self.folder.exists():
            raise RegistryUnavailable(
                self.what, found="its local copy was dropped meanwhile", next_step="try again: it is downloaded anew"
            ) from None

    def json(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file, empty if the version has no such file. Raises ``ArtifactMismatch``."""
        if not self.has(name):
            return {}
        content = self.content(name)
        with readable(self.folder / name, self.what):
            values = json.loads(content)
            if not isinstance(values, dict):
                raise ValueError(f"JSON that is a {type(values).__name__}")
        return values

    def table(self, name: str) -> pa.Table:
        """Return a Parquet file as a table. Raises ``ArtifactMismatch``."""
        content = self.content(name)
        with readable(self.folder / name, self.what):
            return pq.read_table(pa.BufferReader(content))

    def problems(self) -> list[str]:
        """Return what is wrong with the version's files, reading all that were recorded."""
        wrong = []
        for name in self.manifest.files if self.manifest is not None else ():
            try:
                self.content(name)
            except ArtifactMismatch as error:
                wrong.append(str(error))
        return wrong

    def _check(self, name: str, content: bytes) -> None:
        actual, read = FileRecord.of(content), "unpickled" if name == self.artifact else "read"
        recorded = None if self.manifest is None else self.manifest.files.get(name)
        if recorded is not None:
            expected = {recorded.sha256, recorded.was}
            source = f"{recorded.size:,} bytes with sha256 {recorded.sha256}, as the warehouse recorded"
        else:
            expected, source = {self.ref.sha256 if name == self.artifact else actual.sha256}, ""
        if name == self.artifact and actual.sha256 != self.ref.sha256:
            expected, source = set(), f"sha256 {self.ref.sha256}"
        if actual.sha256 not in expected:
            raise ArtifactMismatch(
                f"{self.what}: {name} was not {read}",
                found=f"{actual.size:,} bytes with sha256 {actual.sha256}",
                expected=source,
                next_step="restore the file, or train a new version",
            )


def named(ref: VersionRef) -> str:
    """Return what an error calls a version."""
    return f"model version {ref.version} of {ref.job}"
