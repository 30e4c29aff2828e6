"""The SELECT that reads a night: a job's statement as a subquery, in key order, with its parameters bound."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles

from scoring.errors import NightError
from scoring.interval import DataInterval
from scoring.stores.source.query import Query
from scoring.stores.source.sql_text import NIGHT, Parameter, Statement

Types = dict[str, sa.types.TypeEngine[Any]]
"""SQLAlchemy's type of a parameter, by its name."""


def bound_values(statement: Statement, interval: DataInterval, query: Query) -> dict[str, Any]:
    """Return the value of each parameter: the interval's ends as moments in UTC, the night as a date."""
    if statement.by_night and interval.night is None:
        raise NightError(query.name, found=f"{interval.start} to {interval.end}", expected="one night, for :night")
    values = {"interval_start": interval.start, "interval_end": interval.end, NIGHT: interval.night}
    return {name: values[name] for name in sorted(statement.names)}


def literals(values: Mapping[str, Any]) -> dict[str, str]:
    """Return each value as PostgreSQL's literal of its type. They are an interval's moments and a night, never a user's text.

    >>> literals({"night": date(2013, 4, 1)})
    {'night': "CAST('2013-04-01' AS DATE)"}
    """
    return {name: _literal(value, _kind(value)) for name, value in values.items()}


def _kind(value: date) -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True) if isinstance(value, datetime) else sa.Date()


def _literal(value: date, kind: sa.types.TypeEngine[Any]) -> str:
    literal = sa.cast(sa.literal(value, kind), kind)
    return str(literal.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]


def in_key_order(query: Query, statement: Statement, collation: str | None, types: Types) -> sa.Select[Any]:
    """Return the SELECT of all rows in the query's order. ``collation`` is the one that orders text as bytes."""
    rows = _rows(query, statement, types)
    order: list[sa.ColumnElement[Any]] = []
    for name in query.order_by:
        column: sa.ColumnElement[Any] = rows.c[name]
        order.append(sa.cast(column, sa.Text).collate(collation) if collation and name in query.text_keys else column)
    return sa.select(sa.text("*")).select_from(rows).order_by(*order)


def without_rows(query: Query, statement: Statement, types: Types) -> sa.Select[Any]:
    """Return the SELECT of the statement's columns and of no row."""
    return sa.select(sa.text("*")).select_from(_rows(query, statement, types)).where(sa.false())


def numbered(statement: sa.ClauseElement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the statement as text with ``$1``, ``$2`` for its parameters, and their values in this order."""
    dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    compiled: Any = statement.compile(dialect=dialect)
    return str(compiled), [values[name] for name in compiled.positiontup or []]


def with_marks(statement: sa.Select[Any], values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the statement as text with a ``?`` for each place of a parameter, and the values in this order."""
    compiled: Any = statement.compile(dialect=DefaultDialect(paramstyle="qmark"))
    return str(compiled), [values[name] for name in compiled.positiontup or []]


def verbatim(statement: Statement, types: Types) -> sa.TextClause:
    """Return the statement as it is written, with its parameters, and a line end since it may end in a comment."""
    return _Verbatim((*statement.pieces, "\n"), types)


def _rows(query: Query, statement: Statement, types: Types) -> sa.Subquery:
    return verbatim(statement, types).columns(*(sa.column(name) for name in query.order_by)).subquery("night")


class _Verbatim(sa.TextClause):
    """SQL as it is written, with its parameters. SQLAlchemy's own text() takes any colon for a parameter."""

    inherit_cache = False

    def __init__(self, pieces: tuple[str | Parameter, ...], types: Types) -> None:
        super().__init__("")
        self.pieces = pieces
        self.bound = {p.name: sa.bindparam(p.name, type_=types.get(p.name)) for p in pieces if isinstance(p, Parameter)}


@compiles(_Verbatim)
def _compile_verbatim(written: _Verbatim, compiler: Any, **more: Any) -> str:
    return "".join(
        compiler.process(written.bound[piece.name], **more)
        if isinstance(piece, Parameter)
        else compiler.post_process_text(piece)
        for piece in written.pieces
    )
