"""Reads the features of a night ahead of use, and splits each batch by the contract."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import chain

import pyarrow as pa

from scoring.interval import DataInterval
from scoring.rows import Contract, Split
from scoring.stores.source import orders_text_as_bytes, stream
from scoring.stores.unique_keys import anywhere, beside, once
from scoring.stores.workspace import Workspace


@contextmanager
def feature_batches(
    work: Workspace,
    interval: DataInterval,
    categories: dict[str, list[str]] | None = None,
    at_most: int | None = None,
    in_key_order: bool = True,
    unused: Collection[str] = (),
) -> Iterator[Iterator[tuple[pa.RecordBatch, Split]]]:
    """Give an iterator over a job's feature batches of an interval, each as read and after the contract.

    A row whose key, as it will be stored, is not unique is quarantined with all its copies, also across batches. With
    ``at_most`` reading stops once there are that many rows.

    Without ``in_key_order`` rows come as the source gives them, which is cheaper, and all of them are given as unique:
    ``RepeatedKeys`` is raised at the end if a key came twice. ``unused`` are features that the rows are not scored with.
    """
    contract = Contract(work.job, interval, categories, unused)
    url, query = work.stores.source_url(work.job), work.stores.features_query(work.job)
    query = query if in_key_order else query.unordered
    with (
        stream(url, query, interval, min(work.job.chunk_rows, at_most or work.job.chunk_rows)) as batches,
        closing(
            ahead(batches if at_most is None else _first(batches, at_most))
        ) as fetched,  # no fetch may be under way when the connection closes
    ):
        if not in_key_order:
            yield once(fetched, contract)
            return
        first = next(fetched)
        beside_each_other = orders_text_as_bytes(url, query) and contract.keeps_order(first.schema)
        with closing((beside if beside_each_other else anywhere)(chain([first], fetched), contract.keys_of)) as marked:
            yield ((batch, contract.split(batch, mask if mask.any() else None)) for batch, mask in marked)


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches until there are so many rows; the last one is cut."""
    for batch in batches:
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return


def ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """Yield the batches while a thread fetches the next one, so that the source works at the same time."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        fetch = pool.submit(next, batches, None)
        while (batch := fetch.result()) is not None:
            fetch = pool.submit(next, batches, None)
            yield batch
