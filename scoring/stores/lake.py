"""The lake's files: those of a run, which never change, and the current object of a night, which is replaced as a whole."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.stores.lake_problems import broken, missing_library, named, remote, unknown_scheme

SNAPSHOT_FACTS = "snapshot.json"
"""The file of a training snapshot that says when it was made. It is written last, and removed last."""


class Lake:
    """Files below one root, on a local disk or an object store, by fsspec URL."""

    def __init__(self, root: str) -> None:
        """Open the lake at ``root``: a folder, or a URL such as ``s3://bucket/prefix``.

        Raises ``SettingsError`` for a URL whose library is not installed, and for one that nothing understands.
        """
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:(?!//|:)", root):  # s3:/bucket would be a folder of that name
            raise unknown_scheme(root)
        try:
            self._fs, self._root = fsspec.core.url_to_fs(root)
        except ImportError as error:
            raise missing_library("NIGHTSHIFT_LAKE_URL", root.partition(":")[0], str(error)) from error
        except ValueError as error:
            raise unknown_scheme(root) from error
        self._local = isinstance(self._fs, fsspec.implementations.local.LocalFileSystem)

    def run_folder(self, job: str, night: date, run_id: str) -> str:
        """Return the folder of one run's artifacts. ``RunFolder`` knows its files."""
        return str(PurePosixPath(self._root, "runs", job, f"night={night}", run_id))

    def snapshot_folder(self, job: str, digest: str) -> str:
        """Return the folder of a training snapshot."""
        return str(PurePosixPath(self._root, "snapshots", job, digest))

    def current(self, job: str, night: date) -> str:
        """Return the path of the one object that holds a night's published predictions."""
        return str(PurePosixPath(self._root, "predictions", job, f"night={night}", "predictions.parquet"))

    def report(self, job: str, night: date) -> str:
        """Return the path, below the root, of the drift page of a night."""
        return str(PurePosixPath("reports", job, f"night={night}", "drift.html"))

    def below(self, relative: str) -> str:
        """Return the full path of a path below the root. Raises ``ValueError`` for a path that leads out of the root."""
        parts = PurePosixPath(relative).parts
        if not parts or ".." in parts or PurePosixPath(relative).is_absolute():
            raise ValueError(f"not a path below the lake's root: {relative!r}")
        return str(PurePosixPath(self._root, *parts))

    def write(self, path: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], facts: dict[str, str]) -> int:
        """Write batches as one Parquet file that appears whole or not at all, and return how many rows it has.

        ``facts`` go into the file's metadata. The same rows and facts give the same bytes.
        """
        rows = 0
        schema_with_facts = schema.with_metadata(facts or None)
        with (
            self._appearing(path) as local,
            _Writer(local, self._path_in_errors(path, local), schema_with_facts) as writer,
        ):
            for batch in batches:  # an error of computing a batch is raised as it is
                rows += batch.num_rows
                writer.add(batch)
        return rows

    def write_json(self, path: str, content: dict[str, Any]) -> None:
        """Write a JSON file that appears whole or not at all."""
        self.write_text(path, json.dumps(content, sort_keys=True))

    def write_text(self, path: str, content: str) -> None:
        """Write a text file that appears whole or not at all."""
        with self._appearing(path) as local, named(self._path_in_errors(path, local)):
            local.write_text(content, encoding="utf-8")

    def read_text(self, path: str) -> str:
        """Return the content of a text file. Raises ``LakeFileMissing``, ``LakeFileBroken``."""
        with self._system(path, reading=True):
            return bytes(self._fs.cat_file(path)).decode("utf-8")

    def read_json(self, path: str) -> dict[str, Any]:
        """Return the content of a JSON file. Raises ``LakeFileMissing``, ``LakeFileBroken``."""
        with self._system(path, reading=True):
            content = json.loads(self._fs.cat_file(path))
        if not isinstance(content, dict):
            raise broken(path, f"JSON that is a {type(content).__name__}")
        return content

    def batches(self, path: str, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Yield a Parquet file in batches of at most ``rows`` rows. The checksums of its pages must fit."""
        with self._system(path, reading=True), self._fs.open(path, "rb") as stream, _parquet(stream) as file:
            yield from file.iter_batches(batch_size=rows)

    def table(self, path: str) -> pa.Table:
        """Return a Parquet file as a table, which may be empty. The checksums of its pages must fit."""
        with self._system(path, reading=True), self._fs.open(path, "rb") as stream:
            return pq.read_table(stream, page_checksum_verification=True)

    def facts(self, path: str) -> dict[str, str] | None:
        """Return the metadata of a Parquet file, with its row count under ``rows``, or None if there is no file."""
        if not self.exists(path):
            return None
        with self._system(path, reading=True), self._fs.open(path, "rb") as stream, _parquet(stream) as file:
            metadata = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            return {**metadata, "rows": str(file.metadata.num_rows)}

    def exists(self, path: str) -> bool:
        """Return whether there is a file at ``path``. Raises when the file system does not answer."""
        with self._system(path):
            try:
                self._fs.info(path)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def nights(self, job: str) -> list[date]:
        """Return the nights of a job that have a current object."""
        paths = self._matching("predictions", job, "night=*", "predictions.parquet")
        return sorted(_night_of(path) for path in paths)

    def reports(self, job: str) -> dict[date, str]:
        """Return the folders of a job's drift pages, by night."""
        paths = self._matching("reports", job, "night=*", "drift.html")
        return {_night_of(path): str(PurePosixPath(path).parent) for path in sorted(paths)}

    def run_folders(self, job: str) -> dict[str, str]:
        """Return the folders of a job's runs, by run id."""
        paths = self._matching("runs", job, "night=*", "*")
        return {PurePosixPath(path).name: path for path in paths}

    def snapshots(self, job: str) -> dict[str, str]:
        """Return the folders of a job's training snapshots that have a ``snapshot.json``, by hash."""
        paths = self._matching("snapshots", job, "*", SNAPSHOT_FACTS)
        return {PurePosixPath(path).parent.name: str(PurePosixPath(path).parent) for path in paths}

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted, none if there is no folder."""
        with self._system(folder):
            return sorted(str(path) for path in self._fs.find(folder))

    def size(self, folder: str) -> int:
        """Return the bytes of all files below a folder, 0 if there is none."""
        with self._system(folder):
            return int(self._fs.du(folder)) if self.exists(folder) else 0

    def remove_folder(self, folder: str, last: str) -> None:
        """Remove a folder, deleting ``last`` at the very end, so that an interrupted removal can be found and completed."""
        last_path = str(PurePosixPath(folder, last))
        with self._system(folder):
            for path in self._fs.find(folder):
                if path != last_path:
                    self._fs.rm(path)
        self.remove(folder)

    def remove(self, path: str) -> None:
        """Remove a file or folder, if it is there."""
        with self._system(path):
            if self.exists(path):
                self._fs.rm(path, recursive=True)

    def _matching(self, *parts: str) -> list[str]:
        """Return the paths below the root that match ``parts``, one pattern per level of folders.

        Raises when a folder cannot be listed.

        On a local disk every level is listed here, because ``glob`` leaves out folders that it cannot read.
        """
        pattern = str(PurePosixPath(self._root, *parts))
        with self._system(pattern):
            if not self._local:
                return sorted(self._fs.glob(pattern))
            paths = [self._root]
            for part in parts:
                paths = [path for folder in paths for path in _listed(folder) if fnmatchcase(Path(path).name, part)]
            return paths

    @contextmanager
    def _system(self, path: str, reading: bool = False) -> Iterator[None]:
        """Translate the file system's errors and, when ``reading``, those of a broken file, into errors of the lake."""
        with named(path, reading), nullcontext() if self._local else remote(path):
            yield

    def _path_in_errors(self, path: str, local: Path) -> str:
        """Return the path that an error names. Of an object store it is the temporary file, which is written first."""
        return path if self._local else str(local)

    @contextmanager
    def _appearing(self, path: str) -> Iterator[Path]:
        """Give a local file to write, and move it to ``path`` afterwards. On an error nothing appears there."""
        folder = Path(path).parent if self._local else Path(tempfile.gettempdir())
        with named(path if self._local else str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".writing-", delete=False) as stream:
                local = Path(stream.name)
        try:
            yield local
            with self._system(path):
                if self._local:
                    _flush(local)
                    local.replace(path)
                else:
                    self._fs.put_file(str(local), path)
        finally:
            local.unlink(missing_ok=True)


class _Writer:
    """Writes one Parquet file. Errors of writing become errors of the lake, and those of computing the rows do not."""

    def __init__(self, local: Path, path_in_errors: str, schema: pa.Schema) -> None:
        self._path_in_errors, self._schema = path_in_errors, schema
        with named(path_in_errors):
            self._file = pq.ParquetWriter(
                local, schema, compression="zstd", write_page_checksum=True, use_dictionary=_texts(schema)
            )

    def __enter__(self) -> _Writer:
        return self

    def add(self, batch: pa.RecordBatch) -> None:
        with named(self._path_in_errors):
            self._file.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=self._schema))

    def __exit__(self, *error: object) -> None:
        with named(self._path_in_errors):
            self._file.close()


def _texts(schema: pa.Schema) -> list[str]:
    """Return the text columns, which a dictionary makes smaller. It makes numbers larger, and slower to write."""
    return [field.name for field in schema if pa.types.is_string(field.type)]


def _parquet(stream: Any) -> pq.ParquetFile:
    return pq.ParquetFile(stream, page_checksum_verification=True)


def _listed(folder: str) -> list[str]:
    """Return the sorted paths in a folder, or an empty list if the folder does not exist."""
    try:
        return sorted(str(path) for path in Path(folder).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _night_of(path: str) -> date:
    return date.fromisoformat(PurePosixPath(path).parent.name.removeprefix("night="))


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
