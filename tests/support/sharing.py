"""A night of the toy job that three tasks share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import sqlalchemy as sa

from orchestration.nightly import chunk_groups
from scoring.night.extract import extract
from scoring.night.publish import publish
from scoring.night.request import Extracted, NightRequest
from scoring.night.shards import score_chunks
from scoring.stores.installation import open_stores
from scoring.stores.warehouse import Run, ledger
from tests.conftest import Toy
from tests.support.toy import NIGHT, execute

SCHEMA = "nights"
"""The schema of the source for the rows of nights."""
STAGED, READ_BY_ONE = True, False


def share(toy: Toy, staged: bool, **changes: object) -> Toy:
    """Let three tasks share the toy's nights, by a table in its source or by the lake."""
    toy.change(**{"shards": 3, **changes})
    if staged:
        execute(toy.source, f"create schema if not exists {SCHEMA}")
        toy.stores = open_stores(toy.stores.settings.model_copy(update={"staging": {"toy": SCHEMA}}), toy.stores.clock)
    return toy


@contextmanager
def shared(toy: Toy, staged: bool = STAGED, **changes: object) -> Iterator[Toy]:
    first = toy.stores
    try:
        yield share(toy, staged, **changes)
    finally:
        if toy.stores is not first:
            toy.stores.warehouse.engine.dispose()


def begin(toy: Toy) -> Extracted:
    return extract(toy.work, NightRequest(NIGHT, toy.stores.clock(), "test"), shared=True)


def groups(begun: Extracted) -> list[range]:
    return [range(group["first"], group["last"] + 1) for group in chunk_groups(begun.chunks, begun.shards or 1)]


def night(toy: Toy) -> Run:
    """Score the night by three tasks side by side, and publish it."""
    begun = begin(toy)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda chunks: score_chunks(toy.work, begun.run_id, chunks), groups(begun)))
    publish(toy.work, begun.run_id)
    return ledger.get(toy.stores.warehouse, begun.run_id)


def tables(toy: Toy) -> list[str]:
    """The tables in the source's schema."""
    engine = sa.create_engine(toy.source)
    names = sa.inspect(engine).get_table_names(SCHEMA)
    engine.dispose()
    return names
