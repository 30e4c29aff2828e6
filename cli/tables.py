"""What the command line prints as rows: a table for people, CSV or one JSON document for programs."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.console import OUT

_documents: list[dict[str, list[dict[str, Any]]]] = []
"""The JSON document under way, or none while tables are printed for people."""


@contextmanager
def printed() -> Iterator[None]:
    """Print, when the command is over, what ``--json`` asked for: all of its tables as one document on standard output."""
    _documents.clear()
    OUT.stderr = False  # a command line that was only parsed may have asked for JSON
    try:
        yield
    finally:
        OUT.stderr = False
        for document in _documents:
            json.dump(document, sys.stdout, indent=2, default=_as_json)
            sys.stdout.write("\n")


def _begin(flag: bool) -> bool:
    if flag:
        _documents.append({})
        OUT.stderr = True  # sentences go there, so that standard output holds the document and nothing else
    return flag


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document instead of tables; sentences go to stderr.", callback=_begin),
]


@dataclass(frozen=True)
class Cell:
    """A value that people read in other words than programs."""

    value: Any
    words: str


def share(value: float | None) -> Cell | None:
    """Return a share as a cell: percent for people, the number for programs."""
    return None if value is None else Cell(value, f"{value:.1%}")


def record(key: str, content: Mapping[str, Any]) -> bool:
    """Add an object to the list under ``key`` of the JSON document. Return whether there is one: nothing is printed here."""
    if _documents:
        _objects(key).append({slug(name): value for name, value in content.items()})
    return bool(_documents)


def _objects(key: str) -> list[dict[str, Any]]:
    (document,) = _documents
    return document.setdefault(key, [])


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], key: str = "rows") -> None:
    """Print rows as a table. Off a terminal no column is cut. In JSON they are a list of objects under ``key``."""
    if _documents:
        names = [slug(column) for column in columns]
        _objects(key).extend(dict(zip(names, row, strict=True)) for row in rows)
        return
    from rich.table import Table

    grid = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(text(value) for value in row))
    wide = OUT if OUT.is_terminal else Console(width=240, markup=False, emoji=False)
    wide.print(grid, soft_wrap=False)


def facts(title: str, pairs: Iterable[tuple[str, Any]], key: str = "facts") -> None:
    """Print names and values, one pair a line. In JSON they are one object in the list under ``key``."""
    pairs = list(pairs)
    if not record(key, dict(pairs)):
        table(title, ("fact", "value"), pairs)


def slug(title: str) -> str:
    """Return a column's title as a key.

    >>> slug("nearer nights (share)"), slug("champion's loss"), slug("")
    ('nearer_nights_share', 'champions_loss', 'name')
    """
    return re.sub(r"[^a-z0-9]+", "_", title.lower().replace("'", "")).strip("_") or "name"


def _as_json(value: Any) -> Any:
    if isinstance(value, Cell):
        return value.value
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value)


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as CSV, every value in full: numbers with all their digits, times as ISO 8601, null as nothing."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_in_full(value) for value in row] for row in rows])


def _in_full(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return value


def text(value: Any) -> str:
    """Return a value as people read it.

    >>> text(0.123456789), text(None), text({"a": 1})
    ('0.123457', '–', '{"a": 1}')
    """
    if value is None:
        return "–"
    if isinstance(value, Cell):
        return value.words
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z" if value.utcoffset() is not None else f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return str(value)


def with_interval(metric: dict[str, float | None] | None) -> Cell | None:
    """Return a metric with its interval, or None if it has no value."""
    if not metric or metric["value"] is None:
        return None
    return Cell(metric, f"{metric['value']:.4f} ({text(metric['low'])} to {text(metric['high'])})")
