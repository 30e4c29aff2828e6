"""The page about errors, from the classes and their docstrings."""

from __future__ import annotations

from collections.abc import Iterator

from scoring import errors
from tools.reference.markdown import page, prose, table

INTRODUCTION = """\
Every failure has a name, and its message says what was found, what was expected and what to do next. Airflow tries again
what heals by itself and fails at once on the rest. The commands print the same line on stderr and end with exit code 1."""


def errors_page() -> str:
    """Return the page: what heals by itself, and what somebody has to change."""
    parts = [_section("Tried again", errors.Retryable), _section("Somebody has to change something", errors.Permanent)]
    return page("Errors", INTRODUCTION, parts)


def _section(title: str, kind: type[errors.NightshiftError]) -> str:
    rows = [(f"`{error.__name__}`", prose(error.__doc__)) for error in _below(kind)]
    return f"## {title}\n\n{prose(kind.__doc__)}\n\n" + table(("error", "means"), rows)


def _below(kind: type[errors.NightshiftError]) -> Iterator[type[errors.NightshiftError]]:
    for error in kind.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
            yield from _below(error)
