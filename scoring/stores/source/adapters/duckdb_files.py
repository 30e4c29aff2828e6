"""Parquet files that several tasks read side by side, each other rows of them, where a statement takes each row by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from scoring.errors import StageLost
from scoring.interval import DataInterval
from scoring.stores.source.adapters.duckdb import opened, read, require_readable, statement_in
from scoring.stores.source.adapters.duckdb_source import literal
from scoring.stores.source.file_stage import FileStage, Slice
from scoring.stores.source.night_select import literals, numbered, verbatim
from scoring.stores.source.query import Query

if TYPE_CHECKING:
    import duckdb

Node = dict[str, Any]
"""A node of DuckDB's syntax tree, as JSON."""
_AT_ONCE = 2**31
"""Rows at most of one batch: those of a chunk are one batch."""
_READERS = ("read_parquet", "parquet_scan")
_PLACE = ("filename", "file_row_number")
"""Columns that DuckDB adds to the rows of Parquet files. A file with such a column of its own is not shared."""
_NOT_BY_ROW = ("modifiers", "group_expressions", "group_sets", "having", "sample", "qualify")
"""Parts of a SELECT, such as its ORDER BY or LIMIT, with which it does not take each row by itself."""
_CLASSES = ("WINDOW", "SUBQUERY")
_KINDS = "select function_name, function_type = 'scalar' and stability = 'CONSISTENT' from duckdb_functions()"
"""Functions, and whether what they give depends on their arguments alone."""


def slices(url: sa.URL, query: Query, interval: DataInterval, rows: int) -> FileStage | None:
    """Return the night's rows in slices of at most ``rows`` rows of a file.

    None for a statement that is not one SELECT from one read_parquet(), or that takes more than one row at a time, such as
    one with GROUP BY.
    """
    with opened(url, query) as connection:
        text = _filled(url, query, interval)
        require_readable(connection, text, [], query)
        night = _select(connection, text)
        if night is None or not _by_row(connection, night):
            return None
        counted = _parsed(connection, f"select filename, file_row_number // {rows}, count(*) from x group by all")
        counted |= {"from_table": night["from_table"], "where_clause": night["where_clause"]}
        places = connection.execute(_written(connection, counted)).fetchall()
        taken = [Slice(file, place * rows, (place + 1) * rows, count) for file, place, count in places]
        taken.sort(key=lambda some: (some.file, some.first))
        return FileStage(tuple(taken), _states(connection, taken), _repeated(connection, text, query))


@contextmanager
def read_parts(
    url: sa.URL, query: Query, interval: DataInterval, stage: FileStage, parts: Iterable[tuple[int, int]]
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give an iterator with one batch for each part, the rows of some slices.

    Raises ``StageLost`` when a file is not as it was when the slices were made.
    """
    with opened(url, query) as connection:
        night = _select(connection, _filled(url, query, interval))
        assert night is not None  # its slices are there
        yield (_part(connection, query, stage, night, part) for part in parts)


def _part(
    connection: duckdb.DuckDBPyConnection, query: Query, stage: FileStage, night: Node, part: tuple[int, int]
) -> pa.RecordBatch:
    """Return the rows of some slices, by a scan of the row groups that hold them."""
    taken = stage.of(part)
    columns = ", ".join(f"{_quoted(name)}" for name in query.columns)
    text = f"select {columns} from ({_written(connection, _within(connection, night, taken))}) as night"
    with read(connection, text, [], query, _AT_ONCE) as batches:
        batch = next(batches)
    states = _states(connection, taken)
    changed = [file for file, state in states.items() if state != stage.states[file]]
    expected = sum(some.rows for some in taken)
    if changed or batch.num_rows != expected:
        raise StageLost(
            f"rows of {query.name} in {len(states)} files of the source",
            found=f"{batch.num_rows} rows, and {changed or 'no file'} changed",
            expected=f"{expected} rows, as when the task extract looked",
            next_step="clear the task extract of the run, or run the night again: both look anew. Write a file's new "
            "content to a new name",
        )
    return batch


def _within(connection: duckdb.DuckDBPyConnection, night: Node, taken: Sequence[Slice]) -> Node:
    """Return the SELECT with the condition that a row is in one of the slices."""
    ranges = (
        f"(filename = {literal(some.file)} and file_row_number >= {some.first} and file_row_number < {some.end})"
        for some in taken
    )
    files = ", ".join(literal(file) for file in dict.fromkeys(some.file for some in taken))
    within = _parsed(connection, f"select 1 from x where filename in ({files}) and ({' or '.join(ranges)})")
    condition = within["where_clause"]
    if night["where_clause"] is not None:
        condition["children"] = [*condition["children"], night["where_clause"]]
    return {**night, "where_clause": condition}


def _select(connection: duckdb.DuckDBPyConnection, text: str) -> Node | None:
    """Return the syntax tree of a SELECT from one read_parquet(), or None for any other statement."""
    node = _parsed(connection, text)
    table = node.get("from_table") or {}
    plain = node.get("type") == "SELECT_NODE" and not node["cte_map"]["map"] and not any(map(node.get, _NOT_BY_ROW))
    from_files = table.get("type") == "TABLE_FUNCTION" and table["function"]["function_name"] in _READERS
    return node if plain and from_files and not table["sample"] and not table["column_name_alias"] else None


def _by_row(connection: duckdb.DuckDBPyConnection, night: Node) -> bool:
    """Return whether what the SELECT gives of a row depends on that row alone, and its files have no columns like ours."""
    files = _parsed(connection, "select * from x") | {"from_table": night["from_table"]}
    if set(_PLACE) & set(connection.sql(_written(connection, files)).columns):
        return False
    nodes = list(_nodes([night["select_list"], night["where_clause"]]))
    by_row: dict[str, bool] = {}
    for name, consistent in connection.execute(_KINDS).fetchall():
        by_row[name] = by_row.get(name, True) and bool(consistent)
    functions = (node["function_name"] for node in nodes if node.get("class") == "FUNCTION")
    return not any(node.get("class") in _CLASSES for node in nodes) and all(by_row.get(name) for name in functions)


def _nodes(tree: Any) -> Iterator[Node]:
    """Yield every object of a JSON value."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)


def _repeated(connection: duckdb.DuckDBPyConnection, text: str, query: Query) -> bool:
    """Return whether two rows have the same key."""
    keys = ", ".join(_quoted(name) for name in query.order_by)
    copies = f"select count(*) as copies from ({text}) as night group by {keys}"
    return bool(connection.execute(f"select coalesce(max(copies), 0) > 1 from ({copies})").fetchall()[0][0])


def _states(connection: duckdb.DuckDBPyConnection, taken: Sequence[Slice]) -> dict[str, str]:
    """Return size and time of the last change of the files, as text. Nothing of them is read."""
    files = list(dict.fromkeys(some.file for some in taken))
    if not files:
        return {}
    listed = ", ".join(literal(file) for file in files)
    rows = connection.execute(f"select filename, size, last_modified from read_blob([{listed}])").fetchall()
    return {file: f"{size} bytes, {changed}" for file, size, changed in rows}


def _filled(url: sa.URL, query: Query, interval: DataInterval) -> str:
    """Return the statement with typed literals for the interval's ends and the night."""
    statement, values = statement_in(url, query, interval)
    return numbered(verbatim(statement.filled(literals(values)), {}), {})[0]


def _parsed(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """Return DuckDB's syntax tree of a statement, or an empty one if DuckDB cannot write it as JSON."""
    tree = json.loads(connection.execute("select json_serialize_sql(?)", [text]).fetchall()[0][0])
    statements = tree.get("statements", [])
    return dict(statements[0]["node"]) if len(statements) == 1 else {}


def _written(connection: duckdb.DuckDBPyConnection, node: Node) -> str:
    """Return the SQL of a syntax tree."""
    tree = json.dumps({"error": False, "statements": [{"node": node, "named_param_map": []}]})
    return str(connection.execute("select json_deserialize_sql(?)", [tree]).fetchall()[0][0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
