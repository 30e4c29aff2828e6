"""A job's SQL on its source: parameters, types, times, and rows as Arrow batches."""

from scoring.stores.source.stream import Query, compared_types, stream

__all__ = ["Query", "compared_types", "stream"]
