"""Retires a job: it is not scheduled any more and no night is expected of it. Its history stays."""

from __future__ import annotations

from scoring.errors import JobFileError
from scoring.stores import Stores
from scoring.stores.warehouse import mark_retired, overview

SUFFIX = ".retired"
"""Added to the name of a retired job's file, which nothing reads then. Renaming it back brings the job back."""


def retire(stores: Stores, name: str, reason: str) -> str | None:
    """Retire a job and put its file aside. Return the file's new name, or None if there was no file.

    Works when the job's files are gone. Raises ``JobFileError`` for a name that the warehouse does not know, and when
    the file cannot be renamed; then nothing is retired.
    """
    names = overview.known_jobs(stores.warehouse)
    if name not in names:
        raise JobFileError("job", found=repr(name), expected=f"a job that was used, one of {names}")
    moved = _put_aside(stores, name)
    mark_retired(stores.warehouse, name, reason, stores.clock())
    return moved


def has_file(stores: Stores, name: str) -> bool:
    """Return whether a job has a file, valid or not."""
    return (stores.settings.jobs_dir / f"{name}.yaml").exists()


def _put_aside(stores: Stores, name: str) -> str | None:
    path = stores.settings.jobs_dir / f"{name}.yaml"
    if not path.exists():
        return None
    aside = path.with_name(path.name + SUFFIX)
    try:
        path.rename(aside)
    except OSError as error:
        raise JobFileError(
            f"jobs/{path.name}",
            found=f"it cannot be renamed to {aside.name} ({error.strerror})",
            expected="no file, which would go on being scheduled",
            next_step=f"remove it where the files come from, then `nightshift retire {name}` again",
        ) from error
    return aside.name
