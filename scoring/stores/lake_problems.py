"""What went wrong with a file of the lake: the file system's and Arrow's errors under our names, with the way out."""

from __future__ import annotations

import errno
import json
import os
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
"""What the file system forbids: trying again does not help. All else (no space, input/output error …) may heal."""
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


@contextmanager
def named(path: str, reading: bool = False) -> Iterator[None]:
    """Raise what goes wrong with ``path`` under our names. Our own errors pass.

    ``LakeUnavailable`` may heal, ``LakeRefused`` does not; when ``reading``, ``LakeFileMissing`` and ``LakeFileBroken``.
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
def remote(path: str) -> Iterator[None]:
    """Raise what an object store's library raises under our names: many of its errors are no ``OSError``."""
    try:
        yield
    except (NightshiftError, OSError, *_UNREADABLE):
        raise
    except Exception as error:  # each library has errors of its own; named and raised again
        kind = type(error).__name__
        reason = f"{kind}: {error}"
        if isinstance(error, NotImplementedError) or "Credential" in kind or "Authentication" in kind:
            raise LakeRefused(
                _what(path), found=reason, next_step="see NIGHTSHIFT_LAKE_URL and its credentials"
            ) from error
        raise LakeUnavailable(_what(path), found=reason, next_step="try again once the store answers") from error


def broken(path: str, problem: str, expected: str | None = None) -> LakeFileBroken:
    """Return the error of a file that is there and cannot be read as what it is, or lacks what is ``expected``."""
    return LakeFileBroken(
        _what(path), found=_sentence(problem), expected=expected or _expected(path), next_step=_way_out(path)
    )


def unknown_scheme(root: str) -> SettingsError:
    """Return the error of a lake URL that nothing here understands. Only its scheme is shown."""
    scheme = root.partition(":")[0]
    return SettingsError(
        "NIGHTSHIFT_LAKE_URL",
        found=f"a URL that begins with {scheme + ':'!r}",
        expected="a folder, or s3://…, gs://…, abfs://… without quotes",
        next_step="correct the variable; see docs/reference/settings.md",
    )


def missing_library(variable: str, scheme: str, reason: str) -> SettingsError:
    """Return the error of a URL whose library is not installed, with the way to add it so that it stays."""
    package, name = LIBRARIES.get(scheme, ("", ""))
    file = f"-r requirements-{name}.txt" if name else "the package's name"
    return SettingsError(
        variable,
        found=f"{scheme}:// and no library for it ({reason})",
        expected=f"the package {package}" if package else "",
        next_step=f"add the line `{file}` to requirements.in, then `make lock`: the next make target installs it, and it stays",
    )


def free_space(path: str | Path) -> str:
    """Return how much room the disk of a path has, in words, empty if nobody can say."""
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
    if error.errno is None and reading:  # Arrow's own, of bytes that make no sense
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
    """Return what makes the file anew: a task to clear, or a command."""
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
