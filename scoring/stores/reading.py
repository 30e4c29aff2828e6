"""Features of a night, read ahead and held to the contract batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import chain

import pyarrow as pa

from scoring.interval import DataInterval
from scoring.rows import Contract, Split
from scoring.stores.source import stream
from scoring.stores.unique_keys import anywhere, beside
from scoring.stores.urls import database_url
from scoring.stores.workspace import Workspace


@contextmanager
def feature_batches(
    work: Workspace, interval: DataInterval, categories: dict[str, list[str]] | None = None
) -> Iterator[Iterator[tuple[pa.RecordBatch, Split]]]:
    """Give the job's feature rows of an interval, batch by batch, as found and after the contract.

    A row whose key, as it will be stored, is not unique is quarantined with all its copies, also across batches.
    """
    contract = Contract(work.job, interval, categories)
    url, query = work.stores.source_url(work.job), work.stores.features_query(work.job)
    with (
        stream(url, query, interval, work.job.chunk_rows) as batches,
        closing(_ahead(batches)) as fetched,  # so that no fetch is under way when the connection closes
    ):
        first = next(fetched)
        in_order = database_url(url, query.source).get_backend_name() == "postgresql" and contract.keeps_order(
            first.schema
        )
        with closing((beside if in_order else anywhere)(chain([first], fetched), contract.keys_of)) as marked:
            yield ((batch, contract.split(batch, mask if mask.any() else None)) for batch, mask in marked)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """Yield the batches while a thread fetches the one after: the source works while we do."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        fetch = pool.submit(next, batches, None)
        while (batch := fetch.result()) is not None:
            fetch = pool.submit(next, batches, None)
            yield batch
