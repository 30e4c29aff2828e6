"""Translates DuckDB's errors: which heal by themselves, and which need somebody to change something."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from scoring.errors import NightshiftError, SourceQueryError, SourceUnavailable
from scoring.stores.failures import heals
from scoring.stores.source.query import Query

_LATE = re.compile(
    r"No files found that match|No such file or directory|cannot open file|HTTP 404|"
    r"No magic bytes found|too small to be a Parquet file|unexpected end of file",
    re.IGNORECASE,
)
"""Matches what is said of files that are not there, and of a Parquet file that is still being written."""
_REFUSED = re.compile(
    r"AccessDenied|Access Denied|InvalidAccessKey|SignatureDoesNotMatch|InvalidToken|ExpiredToken|Forbidden|Unauthorized|"
    r"NoCredentials|bucket does not exist|NoSuchBucket|locate credentials|PermissionError|HTTP 40[13]|Permission denied",
    re.IGNORECASE,
)


@contextmanager
def explained(query: Query, reading: bool = False) -> Iterator[None]:
    """Translate DuckDB's errors at a job's statement. When ``reading``, rows come through Arrow, whose errors hold DuckDB's.

    Raises ``SourceUnavailable`` for errors that heal and ``SourceQueryError`` for the others. The error is not kept as
    the cause, since a log would print it.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise failure(query, str(error)) from None
    except (OSError, pa.ArrowException) as error:
        if not reading:
            raise
        raise failure(query, str(error)) from None


def failure(query: Query, message: str) -> NightshiftError:
    """Return the error for a message of DuckDB's, in which an object store's library may have written a traceback."""
    reason = _last_line(message) if "Traceback (most recent call last)" in message else " ".join(message.split())
    for pattern, cause in _CAUSES:
        if match := pattern.search(reason):
            return cause(query, reason, match)
    if heals("", reason):
        return _busy(query, reason)
    return SourceQueryError(query.name, found=reason, next_step=f"correct {query.name} and run the night again")


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else message


def _setting(query: Query) -> str:
    return query.variable or "the source's URL"


def _outside_root(query: Query, reason: str, match: re.Match[str]) -> NightshiftError:
    return SourceQueryError(
        query.name,
        found=reason,
        expected="files below the root of the source",
        next_step=f"read '{{root}}/…' in {query.name}, or set a root that is higher up in {_setting(query)}",
    )


def _nanoseconds(query: Query, reason: str, match: re.Match[str]) -> NightshiftError:
    return SourceQueryError(
        query.name,
        found=reason,
        expected="times in microseconds, which DuckDB compares with the interval",
        next_step="cast the column: <time>::timestamp >= :interval_start and <time>::timestamp < :interval_end",
    )


def _no_extension(query: Query, reason: str, match: re.Match[str]) -> NightshiftError:
    name = match[1]
    return SourceQueryError(
        query.name,
        found=f"what DuckDB's extension {name} does",
        expected="an extension that is installed and loaded; nothing is downloaded while a night runs",
        next_step=f"install {name} where nights run, and add extensions={name} to the URL in {_setting(query)}",
    )


def _refused(query: Query, reason: str, match: re.Match[str]) -> NightshiftError:
    return SourceQueryError(
        query.source, found=reason, next_step=f"correct the root, the keys or their rights: {_setting(query)}"
    )


def _late(query: Query, reason: str, match: re.Match[str]) -> NightshiftError:
    return SourceUnavailable(
        query.source,
        found=reason,
        expected="files that are there and complete",
        next_step=f"try again once they are; or correct the path in {query.name}, or the root in {_setting(query)}",
    )


def _busy(query: Query, reason: str, match: re.Match[str] | None = None) -> NightshiftError:
    return SourceUnavailable(query.source, found=reason, next_step="try again once it answers")


def _no_memory(query: Query, reason: str, match: re.Match[str]) -> NightshiftError:
    return SourceQueryError(query.source, found=reason, next_step=f"raise memory_limit in {_setting(query)}")


_CAUSES: tuple[tuple[re.Pattern[str], Callable[[Query, str, re.Match[str]], NightshiftError]], ...] = (
    (re.compile("Cannot compare values of type (?=.*TIMESTAMP_NS)"), _nanoseconds),
    (re.compile("disabled by configuration"), _outside_root),
    (re.compile(r"(?:exists in the|requires the extension) (\w+)", re.IGNORECASE), _no_extension),
    (_REFUSED, _refused),
    (_LATE, _late),
    (re.compile("Could not set lock|Resource In Use|Unique file handle", re.IGNORECASE), _busy),
    (re.compile("Out of Memory", re.IGNORECASE), _no_memory),
)
"""What a message holds, and the error that it stands for. The first that fits counts."""
