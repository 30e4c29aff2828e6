"""Translates errors of the file system, object stores and Arrow into errors of the lake, with a next step."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pyarrow as pa

from scoring.errors import (
    LakeFileBroken,
    LakeFileMissing,
    LakeRefused,
    LakeUnavailable,
    NightshiftError,
    SettingsError,
)

GIB = 2**30
_FULL = {errno.ENOSPC, errno.EDQUOT}
_STAYS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
}
"""Error numbers that do not heal. All others, such as no space or an input/output error, may."""
_UNREADABLE = (pa.ArrowException, json.JSONDecodeError, UnicodeDecodeError)
_TASKS = {
    "features": "extract",
    "quarantine": "extract",
    "run": "extract",
    "predictions": "score",
    "summary": "score",
    "profile": "score",
    "shadow": "shadow",
}
"""Task of the nightly DAG that writes a file of a run's folder, by how the file's name begins."""
LIBRARIES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
}
"""Library of an object store and the requirement file that holds it, by the scheme of the URL."""
CREDENTIALS = {
    "s3fs": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if they are temporary, AWS_SESSION_TOKEN (or AWS_PROFILE)",
    "gcsfs": "GOOGLE_APPLICATION_CREDENTIALS",
    "adlfs": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, "
    "or AZURE_STORAGE_CONNECTION_STRING",
}
"""Variables in which a store's library looks for credentials."""
_DENIED = re.compile(
    r"ExpiredToken|TokenRefreshRequired|InvalidToken|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|Forbidden|"
    r"Unauthorized|AuthorizationHeaderMalformed|AuthenticationFailed|RequestTimeTooSkewed|locate credentials|token has expired|"
    r"\(40[013]\) when calling",
    re.IGNORECASE,
)
_HEAD_DENIED = ("400", "401", "403")
"""Codes of a request without a body in its answer: S3 answers 400 to one with expired credentials."""
_GARBLED = ("BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch")
"""Codes of a store for a file that did not come whole, which it does not keep."""
_NO_BUCKET = re.compile(r"NoSuchBucket|(bucket|container) does not exist|ContainerNotFound", re.IGNORECASE)


@contextmanager
def named(path: str, reading: bool = False) -> Iterator[None]:
    """Translate errors at ``path`` into errors of the lake. Errors of Nightshift pass.

    Raises ``LakeUnavailable``, which may heal, and ``LakeRefused``; when ``reading`` also ``LakeFileMissing`` and
    ``LakeFileBroken``.
    """
    try:
        yield
    except NightshiftError:
        raise
    except _UNREADABLE as error:
        if not reading:
            raise
        raise broken(path, str(error)) from error
    except OSError as error:
        raise _of_system(path, error, reading) from error


@contextmanager
def remote(path: str, scheme: str = "") -> Iterator[None]:
    """Translate errors of an object store's library, many of which are no ``OSError``."""
    try:
        yield
    except (NightshiftError, *_UNREADABLE):
        raise
    except Exception as error:  # each library has errors of its own; named and raised again
        reason = _reason(error)
        if bucket_missing(error):
            raise LakeRefused(
                _what(path), found=reason, next_step="create it, or correct NIGHTSHIFT_LAKE_URL"
            ) from error
        if denied(error):
            advice = f"check the credentials: {credentials_of(scheme)}; and what they may do in NIGHTSHIFT_LAKE_URL"
            raise LakeRefused(_what(path), found=reason, next_step=advice) from error
        if isinstance(error, OSError) and not _of_store(error):
            raise  # of the file: ``named`` knows
        raise LakeUnavailable(_what(path), found=reason, next_step="try again once the store answers") from error


def credentials_of(scheme: str) -> str:
    """Return the variables that hold the credentials of a store, by the scheme of its URL."""
    return CREDENTIALS.get(LIBRARIES.get(scheme, ("", ""))[0], "those of the store's library")


def denied(error: BaseException) -> bool:
    """Return whether a store refused an access, or got no credentials: trying again is no help."""
    kind = type(error).__name__
    if isinstance(error, NotImplementedError | PermissionError) or "Credential" in kind or "Authentication" in kind:
        return True
    if isinstance(error, FileNotFoundError):
        return False
    text = re.sub(r"https?://\S+", "", f"{_code(error)} {error}")  # a job may be called forbidden
    return _code(error) in _HEAD_DENIED or _DENIED.search(text) is not None


def bucket_missing(error: BaseException) -> bool:
    """Return whether an error says that the whole bucket or container is not there."""
    return _NO_BUCKET.search(f"{_code(error)} {error}") is not None


def _of_store(error: OSError) -> bool:
    """Return whether a store, or the way to it, failed for the moment. Not so: a file that is not there, or is broken."""
    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(error, TimeoutError | ConnectionError) or _code(error) in _GARBLED:
        return True
    return bool(_code(error)) and error.errno not in _STAYS


def _code(error: BaseException) -> str:
    """Return the error code that a store gave, or an empty text. s3fs keeps it in the cause only."""
    for part in (error, error.__cause__):
        response = getattr(part, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _reason(error: BaseException) -> str:
    code = _code(error)
    return _sentence(f"{code or type(error).__name__}: {error}")


def broken(path: str, problem: str, expected: str | None = None) -> LakeFileBroken:
    """Return the error of a file whose content is broken, or lacks what is ``expected``."""
    return LakeFileBroken(
        _what(path), found=_sentence(problem), expected=expected or _expected(path), next_step=_way_out(path)
    )


def require_columns(path: str, there: pa.Schema, expected: pa.Schema) -> None:
    """Raise ``LakeFileBroken`` when a Parquet file lacks a column, or has it in another type: its footer has no checksum."""
    lacking = [
        field
        for field in expected
        if there.get_field_index(field.name) < 0 or there.field(field.name).type != field.type
    ]
    if lacking:
        raise broken(path, f"columns {there.names}", f"columns {[f'{field.name} {field.type}' for field in lacking]}")


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Translate the error of what makes an object of a JSON file into ``LakeFileBroken``."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise broken(path, f"JSON with {type(error).__name__} {error}", "a JSON file as it was written") from error


def unknown_scheme(root: str) -> SettingsError:
    """Return the error of a lake URL with an unknown scheme. The rest of the URL is not shown."""
    scheme = root.partition(":")[0]
    return SettingsError(
        "NIGHTSHIFT_LAKE_URL",
        found=f"a URL that begins with {scheme + ':'!r}",
        expected="a folder, or s3://…, gs://…, az://… without quotes",
        next_step="correct the variable; see docs/reference/settings.md",
    )


def login_in_url(root: str) -> SettingsError:
    """Return the error of a lake URL with a key and a secret in it, which no store's library reads there."""
    scheme = root.partition(":")[0]
    return SettingsError(
        "NIGHTSHIFT_LAKE_URL",
        found=f"{scheme}:// with credentials in the URL",
        expected=f"{scheme}://bucket/prefix",
        next_step=f"set {credentials_of(scheme)}",
    )


def missing_library(variable: str, scheme: str, reason: str) -> SettingsError:
    """Return the error of a URL whose library is not installed, with the steps to add the library."""
    package, name = LIBRARIES.get(scheme, ("", ""))
    file = f"-r requirements-{name}.txt" if name else "the package's name"
    return SettingsError(
        variable,
        found=f"{scheme}:// and no library for it ({reason})",
        expected=f"the package {package}" if package else "",
        next_step=f"add the line `{file}` to requirements.in, then `make lock`: the next make target installs it, and it stays",
    )


def free_space(path: str | Path) -> str:
    """Return the free space on the disk of a path, in words, or an empty text if it cannot be measured."""
    existing = next((folder for folder in (Path(path), *Path(path).parents) if folder.exists()), None)
    try:
        free = shutil.disk_usage(existing or "/").free
        nodes = os.statvfs(existing or "/").f_favail
    except OSError:
        return ""
    return (
        f"{free / GIB:.2f} GiB free" if nodes or free == 0 else f"{free / GIB:.2f} GiB free, but room for no more files"
    )


def _of_system(path: str, error: OSError, reading: bool) -> NightshiftError:
    reason = _sentence(os.strerror(error.errno) if error.errno else str(error))
    if isinstance(error, FileNotFoundError) and reading:
        return LakeFileMissing(_what(path), found="no such file", expected=_expected(path), next_step=_way_out(path))
    if error.errno in _FULL:
        return LakeUnavailable(
            _what(path),
            found=f"{reason} ({free_space(path)})",
            expected="room for the file",
            next_step="make room (`nightshift retention` shows what may go), then run the task again",
        )
    if error.errno in _STAYS or isinstance(error, PermissionError):
        next_step = "let this user write there, or move the lake: NIGHTSHIFT_LAKE_URL, NIGHTSHIFT_DATA_DIR"
        if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY):
            next_step = "remove what is in the way"
        return LakeRefused(_what(path), found=reason, next_step=next_step)
    if (
        error.errno is None and reading and not isinstance(error, TimeoutError | ConnectionError)
    ):  # Arrow's, of such bytes
        return broken(path, str(error))
    return LakeUnavailable(_what(path), found=reason, next_step="try again once the disk or the store answers")


def _sentence(reason: str) -> str:
    return " ".join(reason.split())


def _what(path: str) -> str:
    return f"lake, {path}"


def _expected(path: str) -> str:
    kinds = {".parquet": "a Parquet file", ".json": "a JSON file"}
    return kinds.get(PurePosixPath(path).suffix, "a text file in UTF-8")


def _way_out(path: str) -> str:
    """Return the next step that writes the file anew: a task to clear, or a command."""
    parts = ("", "", "", "", "", *PurePosixPath(path).parts)
    kind, job, part = parts[-4:-1]
    if kind == "predictions" and part.startswith("night="):
        return f"`nightshift verify {job} --repair` writes it anew"
    if parts[-5] == "runs" and parts[-3].startswith("night="):
        job, night = parts[-4], parts[-3].removeprefix("night=")
        task = _TASKS.get(parts[-1].partition("-")[0].partition(".")[0], "extract")
        return f"clear the task `{task}` of the run, or score the night again: nightshift run {job} --night {night}"
    if kind == "snapshots":
        return f"remove {PurePosixPath(path).parent} and start the retraining again"
    if kind == "reports" and part.startswith("night="):
        return f"nightshift drift report {job} {part.removeprefix('night=')}"
    return "restore the file"
