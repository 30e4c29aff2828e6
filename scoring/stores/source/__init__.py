"""A job's SQL on its source: parameters, types, times, and rows as Arrow batches; and a table that a job begins from."""

from scoring.stores.source.query import Query
from scoring.stores.source.source_table import SourceTable, TableColumn
from scoring.stores.source.stream import compared_types, orders_text_as_bytes, stream
from scoring.stores.source.table import ends_of, read_table

__all__ = [
    "Query",
    "SourceTable",
    "TableColumn",
    "compared_types",
    "ends_of",
    "orders_text_as_bytes",
    "read_table",
    "stream",
]
