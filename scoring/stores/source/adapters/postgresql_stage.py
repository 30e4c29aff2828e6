"""A night's rows in a table of PostgreSQL, which several tasks read side by side, each other blocks of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from scoring.errors import StageLost
from scoring.interval import DataInterval
from scoring.stores.source.adapters.postgresql import copied, filled, require_readable, session
from scoring.stores.source.arrow_batches import even
from scoring.stores.source.night_select import numbered, verbatim
from scoring.stores.source.query import Query
from scoring.stores.source.stage import COMMENT, Stage, StagePlace

_AT_ONCE = 2**31
"""Rows at most of one batch: those of a chunk are one batch."""
_PATIENCE = "5s"
"""How long the removal of a table waits for its readers. One whose worker was cut off may hold it for hours."""
_ADVICE = "let the source's login use the schema and create tables in it, or unset the NIGHTSHIFT_STAGING variable"


def stage(url: sa.URL, query: Query, interval: DataInterval, place: StagePlace) -> Stage:
    """Run the query once into an unlogged table, and return the table with its size, and whether a key came twice.

    The statement reads one snapshot. The table is committed, whole, or not there.
    """
    statement, table = filled(query, interval), _table(place)
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in query.columns]
    night = verbatim(statement, {}).columns(*columns).subquery("night")
    with session(url, query, "read write", _ADVICE) as cursor:
        require_readable(cursor, query, statement)
        select = numbered(sa.select(*columns).select_from(night), {})[0]
        cursor.execute(f"create unlogged table {_name(place)} with (autovacuum_enabled = false) as {select}")
        cursor.execute(f"comment on table {_name(place)} is {_literal(COMMENT + place.run_id)}")
        of_key = sa.select(sa.func.count().label("copies")).select_from(table)
        copies = of_key.group_by(*(sa.column(name) for name in query.order_by)).subquery("of_key").c.copies
        counted = sa.select(sa.func.sum(copies), sa.func.max(copies))
        cursor.execute(numbered(counted, {})[0])
        rows, most = cursor.fetchone()
        blocks = _blocks(cursor, place)
        return Stage(place, int(rows or 0), blocks, int(most or 0) > 1)


@contextmanager
def read_parts(
    url: sa.URL, query: Query, stage: Stage, parts: Iterable[tuple[int, int]]
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give an iterator with one batch for each part, the rows from one block of the table up to another.

    Raises ``StageLost`` when the table is not as it was made: a server that crashes empties it.
    """
    with session(url, query, "read only") as cursor:
        blocks = _blocks(cursor, stage.place)
        if blocks != stage.blocks:
            raise StageLost(
                f"rows of {query.name} that run {stage.place.run_id} had put into {_name(stage.place)}",
                found=f"{blocks} blocks" if blocks else "nothing",
                expected=f"{stage.blocks} blocks with {stage.rows} rows",
                next_step="clear the task extract of the run, or run the night again: both read the source anew. "
                "A PostgreSQL server that crashed empties such a table",
            )
        yield (_part(cursor, query, stage, first, end) for first, end in parts)


def drop(url: sa.URL, query: Query, place: StagePlace) -> None:
    """Remove a table with a night's rows, if it is there. Raises ``SourceUnavailable`` while somebody reads it."""
    with session(url, query, "read write") as cursor:
        cursor.execute(f"set local lock_timeout = '{_PATIENCE}'")
        cursor.execute(f"drop table if exists {_name(place)}")


def stages(url: sa.URL, query: Query, schema: str) -> list[StagePlace]:
    """Return the tables with rows of nights that there are in a schema."""
    table = sa.table("pg_class", *map(sa.column, ("oid", "relname", "relnamespace", "relkind")))
    text = sa.func.obj_description(table.c.oid, "pg_class")
    listed = sa.select(table.c.relname, text).where(
        table.c.relnamespace == sa.func.to_regnamespace(schema), table.c.relkind == "r", text.startswith(COMMENT)
    )
    compiled = listed.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    with session(url, query, "read only") as cursor:
        cursor.execute(str(compiled).replace("%%", "%"))
        return [StagePlace(schema, name, comment.removeprefix(COMMENT)) for name, comment in cursor.fetchall()]


def _part(cursor: Any, query: Query, stage: Stage, first: int, end: int) -> pa.RecordBatch:
    """Return the rows of some blocks, by a scan of these blocks alone."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in query.columns]
    of_blocks = (
        sa.select(*columns)
        .select_from(_table(stage.place))
        .where(sa.text(f"ctid >= '({first},0)'::tid and ctid < '({end},0)'::tid"))
    )
    with copied(cursor, query, of_blocks) as (fetched, schema):
        return next(even(fetched, schema, _AT_ONCE))


def _blocks(cursor: Any, place: StagePlace) -> int:
    """Return how many blocks the table has, 0 if it is not there."""
    size = f"pg_relation_size(to_regclass({_literal(_name(place))}))"
    cursor.execute(f"select coalesce({size} / current_setting('block_size')::bigint, 0)")
    return int(cursor.fetchone()[0])


def _table(place: StagePlace) -> sa.TableClause:
    return sa.table(place.table, schema=place.schema)


def _name(place: StagePlace) -> str:
    return f'"{place.schema}"."{place.table}"'


def _literal(text: str) -> str:
    return str(sa.literal(text).compile(compile_kwargs={"literal_binds": True}))
