"""The file system below a lake: opened by its URL, and files that appear there whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import fsspec

from scoring.stores.lake_problems import LIBRARIES, login_in_url, missing_library, named, unknown_scheme

PART = 8 * 2**20
"""Bytes of a part of an upload, and of what is read ahead. Larger ones need more memory, smaller ones more requests."""
_AT_ONCE = 4
"""Parts of one file that are sent side by side, each of which is in memory."""
_UPLOADS: dict[str, dict[str, Any]] = {
    "s3fs": {"chunksize": PART, "max_concurrency": _AT_ONCE},
    "gcsfs": {"chunksize": PART},
    "adlfs": {"max_concurrency": _AT_ONCE},
}
"""What each store's library is told about an upload: none shows anything of a file before its last part is there."""
_TRIES = 2
"""How often s3fs tries again what botocore gave up, such as the rest of a file whose connection broke. Its own five would
make 25 tries out of botocore's ``AWS_MAX_ATTEMPTS`` (5 unless set): minutes until a store that is down is called that."""
_OTHERS = ("file", "local", "memory")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):(//|:)?")


def opened(root: str) -> tuple[Any, str, str]:
    """Return the fsspec file system of a lake's root, the root's path in it, and the URL's scheme, empty for a folder.

    The directory listings that fsspec would remember are not: they go stale as soon as another process writes. Raises
    ``SettingsError`` for a URL whose library is not installed, and for one that is no store a night can be kept in.
    """
    match = _SCHEME.match(root)
    scheme = match[1].lower() if match else ""
    known = scheme in LIBRARIES or scheme in _OTHERS
    if match and not (known and match[2] == "//"):  # s3:/bucket would be a folder of that name
        raise unknown_scheme(root)
    if scheme in LIBRARIES and re.match(r"[^/@]*:[^/@]*@", root.partition("://")[2]):
        raise login_in_url(root)
    try:
        fs, path = fsspec.core.url_to_fs(root, **({"use_listings_cache": False} if scheme in LIBRARIES else {}))
    except ImportError as error:
        raise missing_library("NIGHTSHIFT_LAKE_URL", scheme, str(error)) from error
    except ValueError as error:
        raise unknown_scheme(root) from error
    if scheme.startswith("s3"):
        fs.retries = _TRIES
    return fs, path.rstrip("/") or path, scheme


_UNFINISHED = ".writing-"
"""How the name of a local file begins that is being written, or was until its process was killed."""


@contextmanager
def beside(path: str) -> Iterator[Path]:
    """Give a local file in the folder of ``path`` that takes its name afterwards."""
    with named(path):
        folder = Path(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=_UNFINISHED, delete=False) as stream:
            local = Path(stream.name)
    try:
        yield local
        with named(path):
            _flush(local)
            local.replace(path)
    finally:
        local.unlink(missing_ok=True)


def unfinished(folder: str) -> dict[str, datetime]:
    """Return the files below a local folder that somebody began to write and that have no name yet, and when they changed."""
    changed = {}
    for path in Path(folder).rglob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # it is finished
            changed[str(path)] = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return changed


@contextmanager
def unnamed_file() -> Iterator[tuple[IO[bytes], Path]]:
    """Give a local file without a name, of which nothing is left whatever happens to the process, and a path to open it."""
    folder = tempfile.gettempdir()
    with named(folder):
        stream = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - what is done with it has errors of its own
    with stream:
        yield stream, Path("/dev/fd", str(stream.fileno()))


def upload(fs: Any, scheme: str, local: Path, path: str) -> None:
    """Send a local file by one PUT, or by parts that the store shows once all are there. Nothing is moved or copied."""
    library = _library(scheme)
    if local.stat().st_size >= 2 * PART:
        drop_unfinished(fs, scheme, path)
    fs.put_file(str(local), path, **_UPLOADS.get(library, {}))


def drop_unfinished(fs: Any, scheme: str, path: str) -> None:
    """Drop uploads to a path, or below it, that were begun and never ended, as by a process that was killed.

    S3 keeps their parts for good where nobody sees them; other stores drop them after a week. Who may not ask for them leaves
    them to the bucket's lifecycle rule.
    """
    if _library(scheme) != "s3fs":
        return
    bucket, key, _ = fs.split_path(path)
    with suppress(PermissionError):
        for begun in fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key).get("Uploads", []):
            if begun["Key"] == key or begun["Key"].startswith(f"{key}/"):
                with suppress(FileNotFoundError):  # it has ended meanwhile
                    fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=begun["Key"], UploadId=begun["UploadId"])


def _library(scheme: str) -> str:
    return LIBRARIES.get(scheme, ("", ""))[0]


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
