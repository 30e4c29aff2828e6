"""Runs a job's SQL on its source and streams Arrow record batches with bounded memory, in key order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from scoring.interval import DataInterval
from scoring.stores.source.adapters import adapter_of
from scoring.stores.source.query import Query
from scoring.stores.urls import database_url


@contextmanager
def stream(url: str, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give an iterator over the query's rows as record batches of at most ``rows`` rows, ordered by the key.

    At least one batch comes, empty if there are no rows. The interval's ends are bound, never formatted; nothing is
    written; memory is bounded by ``rows``. Raises ``SourceUnavailable`` (trying again helps),
    ``SourceQueryError`` or ``ContractError`` (a column is missing).
    """
    location = database_url(url, query.source)
    with adapter_of(location).stream(location, query, interval, rows) as batches:
        yield batches


def compared_types(url: str, query: Query) -> dict[str, set[str]]:
    """Return the types that the source infers for each parameter, or an empty mapping where it does not tell.

    A parameter that is cast there has the type with ``cast to`` before it.
    """
    location = database_url(url, query.source)
    return adapter_of(location).compared_types(location, query)


def orders_text_as_bytes(url: str, query: Query) -> bool:
    """Return whether the source gives rows in one order of the keys whatever its collation, and values of one type a column.

    Then equal keys are neighbours, if the contract keeps their order.
    """
    return adapter_of(database_url(url, query.source)).in_key_order
