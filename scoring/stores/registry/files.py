"""The files of a model version where they are: a local folder, an object store or an MLflow server."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from scoring.errors import ArtifactMismatch, RegistryUnavailable


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Raise ``ArtifactMismatch`` when a file of a version is broken or cannot be opened. It names the file."""
    try:
        yield
    except (ValueError, pa.ArrowException, OSError) as error:  # no JSON, no UTF-8, no Parquet, no permission
        if isinstance(error, OSError) and error.errno not in (None, errno.EACCES, errno.EPERM, errno.ENOENT):
            raise RegistryUnavailable(f"{what}, {path}", found=str(error)) from error
        raise ArtifactMismatch(
            f"{what}: {path} cannot be read",
            found=" ".join(str(error).split()),
            next_step="restore the file, or train a new version",
        ) from error


def download(uri: str, tracking_uri: str, target: Path) -> None:
    """Download a version's files into a folder that appears whole, so that no other task sees half of them."""
    import mlflow

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        local_folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=tracking_uri)
        with suppress(OSError):  # another task was first
            Path(local_folder).rename(target)


def drop(copy: Path) -> None:
    """Remove a folder that was downloaded. It disappears whole, so that nobody takes what is left of it for a version."""
    leaving = copy.with_name(f"{copy.name.removesuffix('.leaving')}.leaving")
    shutil.rmtree(leaving, ignore_errors=True)
    with suppress(OSError):  # another process was first, or a killed one left the rest of one
        copy.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)


def sizes(uri: str, tracking_uri: str) -> dict[str, int]:
    """Return the bytes of each of a version's files, by name, empty if there are none."""
    files = _repository(uri, tracking_uri).list_artifacts()
    return {file.path: int(file.file_size or 0) for file in files if not file.is_dir}


def delete(uri: str, tracking_uri: str, names: Iterable[str]) -> None:
    """Delete files of a version by name, and the local folders that are empty afterwards."""
    repository = _repository(uri, tracking_uri)
    for name in names:
        repository.delete_artifacts(name)
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path))
        with suppress(OSError):  # rmdir fails at the first folder that is not empty: stop there
            for empty in (folder, *folder.parents[:2]):  # <run>/artifacts/version
                empty.rmdir()


def put(uri: str, tracking_uri: str, name: str, content: bytes) -> None:
    """Write a file of a version, or replace it. It appears whole or not at all."""
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        replace_file(Path(unquote(parts.path)) / name, content)
        return
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / name
        local.write_bytes(content)
        _repository(uri, tracking_uri).log_artifact(str(local))


def replace_file(path: Path, content: bytes) -> None:
    """Write a local file that appears whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as stream:
        written = Path(stream.name)
        try:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)


def _repository(uri: str, tracking_uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking_uri)
