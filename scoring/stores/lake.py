"""The lake's files: those of a run, which never change, and the current object of a night, which is replaced as a whole."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.stores.file_system import PART, beside, drop_unfinished, opened, unfinished, unnamed_file, upload
from scoring.stores.lake_problems import broken, bucket_missing, named, remote, require_columns

SNAPSHOT_FACTS = "snapshot.json"
"""The file of a training snapshot that says when it was made. It is written last, and removed last."""
SNAPSHOT_ROWS = "rows.parquet"
"""The file of a training snapshot with its rows."""
_NO_COLUMNS = pa.schema([])
_KINDS = ("runs", "predictions", "reasons", "reports", "snapshots")


class Lake:
    """Files below one root, on a local disk or an object store, by fsspec URL."""

    def __init__(self, root: str) -> None:
        """Open the lake at ``root``: a folder, or a URL such as ``s3://bucket/prefix``.

        Raises ``SettingsError`` for a URL whose library is not installed, and for one that nothing understands.
        """
        self._fs, self._root, self._scheme = opened(root)
        self.local = self._scheme in ("", "file", "local")

    def url(self, path: str) -> str:
        """Return a path as people open it: with the scheme of an object store, or as it is on a disk."""
        return path if self.local else str(self._fs.unstrip_protocol(path))

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
            _Writer(local, self._path_in_errors(path), schema_with_facts) as writer,
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
        with self._appearing(path) as local, named(self._path_in_errors(path)):
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

    def batches(self, path: str, rows: int = 65_536, expected: pa.Schema | None = None) -> Iterator[pa.RecordBatch]:
        """Yield a Parquet file, with the ``expected`` columns, in batches of at most ``rows`` rows. Its checksums must fit."""
        with self._system(path, reading=True), self._open(path) as stream, _parquet(stream) as file:
            require_columns(path, file.schema_arrow, expected or _NO_COLUMNS)
            yield from file.iter_batches(batch_size=rows)

    def table(self, path: str) -> pa.Table:
        """Return a Parquet file as a table, which may be empty. The checksums of its pages must fit."""
        with self._system(path, reading=True), self._open(path) as stream:
            return pq.read_table(stream, page_checksum_verification=True)

    def facts(self, path: str) -> dict[str, str] | None:
        """Return the metadata of a Parquet file, with its row count under ``rows``, or None if there is no file."""
        if not self.exists(path):
            return None
        with self._system(path, reading=True), self._open(path) as stream, _parquet(stream) as file:
            metadata = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            return {**metadata, "rows": str(file.metadata.num_rows)}

    def exists(self, path: str) -> bool:
        """Return whether there is a file at ``path``. Raises when the file system does not answer."""
        with self._system(path):
            try:
                self._fs.info(path)
            except (FileNotFoundError, NotADirectoryError) as error:
                if bucket_missing(error):
                    raise
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
        if not self.local:  # whose listing may show for a while what was removed
            paths = [path for path in paths if self.exists(path)]
        return {PurePosixPath(path).parent.name: str(PurePosixPath(path).parent) for path in paths}

    def unfinished(self, job: str) -> dict[str, datetime]:
        """Return the files of a job on a disk that were begun and have no name yet, and when they changed last."""
        folders = [str(PurePosixPath(self._root, kind, job)) for kind in _KINDS] if self.local else []
        return {path: when for folder in folders for path, when in unfinished(folder).items()}

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, sorted, none if there is no folder."""
        with self._system(folder):
            return sorted(str(path) for path in self._fs.find(folder))

    def size(self, folder: str) -> int:
        """Return the bytes of all files below a folder, 0 if there is none."""
        with self._system(folder):
            if self.local:
                return int(self._fs.du(folder)) if self.exists(folder) else 0
            return sum(int(file["size"]) for file in self._fs.find(folder, detail=True).values())

    def remove_folder(self, folder: str, last: str, *others: str) -> None:
        """Remove a folder, deleting ``last`` at the very end, so that an interrupted removal can be found and completed.

        ``others`` are names of its files, which are removed even where an object store does not list them yet.
        """
        paths = [str(PurePosixPath(folder, name)) for name in (*others, last)]
        with self._system(folder):
            for path in self._fs.find(folder):
                if path not in paths:
                    self._remove_file(path)
        for path in paths:
            self.remove(path)
        self.remove(folder)

    def remove(self, path: str) -> None:
        """Remove a file or folder, if it is there."""
        with self._system(path), suppress(FileNotFoundError):  # another process was first
            if self.exists(path):
                self._fs.rm(path, recursive=True)
            if not self.local and not PurePosixPath(path).suffix:
                drop_unfinished(self._fs, self._scheme, path)

    def _remove_file(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def _open(self, path: str) -> Any:
        """Return a stream of a file, which reads little more than what is asked for."""
        return self._fs.open(path, "rb") if self.local else self._fs.open(path, "rb", block_size=PART)

    def _matching(self, *parts: str) -> list[str]:
        """Return the paths below the root that match ``parts``, one pattern per level of folders.

        Raises when a folder cannot be listed.

        Every level is listed here, because ``glob`` leaves out folders that it cannot read. Of an object store all files are
        listed at once where a file is asked for, since every list takes a request.
        """
        with self._system(str(PurePosixPath(self._root, *parts))):
            if not self.local and parts[-1] != "*":
                return self._files(str(PurePosixPath(self._root, *parts[:2])), parts[2:])
            paths = [self._root]
            for part in parts:
                paths = [path for folder in paths for path in self._listed(folder) if _is_named(path, part)]
            return paths

    def _files(self, folder: str, parts: tuple[str, ...]) -> list[str]:
        """Return the files below a folder of an object store that match ``parts``."""
        paths = [str(path) for path in self._fs.find(folder)]
        names = {path: PurePosixPath(path).relative_to(folder).parts for path in paths}
        return sorted(
            path for path, found in names.items() if len(found) == len(parts) and all(map(fnmatchcase, found, parts))
        )

    def _listed(self, folder: str) -> list[str]:
        """Return the sorted paths in a folder, or an empty list if the folder does not exist."""
        try:
            if self.local:
                return sorted(str(path) for path in Path(folder).iterdir())
            return sorted(str(path).rstrip("/") for path in self._fs.ls(folder, detail=False))
        except (FileNotFoundError, NotADirectoryError) as error:
            if bucket_missing(error):
                raise
            return []

    @contextmanager
    def _system(self, path: str, reading: bool = False) -> Iterator[None]:
        """Translate the file system's errors and, when ``reading``, those of a broken file, into errors of the lake."""
        with named(path, reading), nullcontext() if self.local else remote(path, self._scheme):
            yield

    def _path_in_errors(self, path: str) -> str:
        """Return the path that an error of writing names. For an object store the local file is written in this folder."""
        return path if self.local else tempfile.gettempdir()

    @contextmanager
    def _appearing(self, path: str) -> Iterator[Path]:
        """Give a local file to write, which becomes the one at ``path`` afterwards. On an error nothing appears there."""
        if self.local:
            with beside(path) as local:
                yield local
            return
        with unnamed_file() as (stream, local):
            yield local
            stream.seek(0)
            with self._system(path):
                upload(self._fs, self._scheme, local, path)


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
    """Return an opened Parquet file. ``pre_buffer`` would hold all of it in memory, whatever its size."""
    return pq.ParquetFile(stream, page_checksum_verification=True, pre_buffer=False)


def _is_named(path: str, pattern: str) -> bool:
    return fnmatchcase(PurePosixPath(path).name, pattern)


def _night_of(path: str) -> date:
    return date.fromisoformat(PurePosixPath(path).parent.name.removeprefix("night="))
