"""A job's SQL on its source: parameters, types, times, and rows as Arrow batches."""

from scoring.stores.source.query import Query
from scoring.stores.source.stream import compared_types, orders_text_as_bytes, stream

__all__ = ["Query", "compared_types", "orders_text_as_bytes", "stream"]
