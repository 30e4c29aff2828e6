"""Analysts who hold snapshots and transactions open for long: each sees whole nights, and nothing waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import psycopg
import pytest

from scoring.stores.urls import libpq_url
from tests.conftest import Toy
from tests.support.faults import Reader, ended, night_of, require_healed, retain, started
from tests.support.runs import expected, run, shown
from tests.support.toy import NIGHT, ROWS, add, events, execute

SESSIONS = 20
"""As many as the analysts' role may have."""


@contextmanager
def sessions_of(toy: Toy, number: int) -> Iterator[list[psycopg.Connection]]:
    """Give sessions of analysts, each in a transaction of one snapshot that begins with its first question."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(psycopg.connect(libpq_url(toy.stores.warehouse.analyst_url))) for _ in range(number)
        ]
        for session in opened:
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield opened
        for session in opened:
            session.rollback()


def answer(toy: Toy, session: psycopg.Connection) -> tuple[object, ...] | None:
    """Return rows, keys, runs and sum of the night."""
    counts = "count(*), count(distinct id), count(distinct run_id), min(run_id), sum(probability)::text"
    question = f"select {counts} from {toy.job.name}_predictions where night = '{NIGHT}'"
    return session.execute(question.encode()).fetchone()


def test_twenty_analysts_keep_their_snapshots_through_publishes_and_retention(toy: Toy) -> None:
    run(toy)
    with sessions_of(toy, SESSIONS) as opened:
        before = []
        for session in opened:
            before.append(answer(toy, session))
            if len(before) % 7 == 0:  # some see the first run, others later ones
                execute(toy.source, f"update events set x = x + 0.125 where at >= '{NIGHT}'")
                run(toy)
        retain(toy)
        assert {each[:3] for each in before if each} == {(ROWS, ROWS, 1)}
        assert len({each[3] for each in before if each}) == 3
        assert [answer(toy, session) for session in opened] == before
        for session in opened:
            session.rollback()
        assert len({answer(toy, session) for session in opened}) == 1
    require_healed(toy)


@pytest.mark.nightly
def test_twenty_analysts_ask_all_the_time_during_publishes(toy: Toy) -> None:
    run(toy)
    readers = [Reader(toy) for _ in range(SESSIONS)]
    threads = [threading.Thread(target=reader.read) for reader in readers]
    for thread in threads:
        thread.start()
    for _ in range(10):
        execute(toy.source, f"update events set x = x + 0.125 where at >= '{NIGHT}'")
        run(toy)
    for reader, thread in zip(readers, threads, strict=True):
        reader.stop()
        thread.join()
    assert min(reader.reads for reader in readers) > 0
    assert {seen for reader in readers for seen in reader.answers} == {(ROWS, ROWS, 1)}
    assert {seen for reader in readers for seen in reader.lake} == {(str(ROWS), "run")}
    require_healed(toy)


@pytest.mark.nightly
def test_nothing_waits_for_a_transaction_that_an_analyst_holds_open(toy: Toy, commands: Path) -> None:
    run(toy)
    later = date(NIGHT.year, 12, 31)
    add(toy.source, events(later))
    with sessions_of(toy, 1) as (session,):
        before = answer(toy, session)
        steps = {
            "migrate": ("migrate",),
            "a night": night_of(toy),
            "a night of a year to come": ("run", toy.job.name, "--night", later),
            "a promotion": ("promote", toy.job.name, "1", "--effective-from", later, "--reason", "test"),
            "retention": ("retention", toy.job.name, "--apply"),
            "retirement": ("retire", toy.job.name),
        }
        for name, words in steps.items():
            child = started(commands, toy, *words)
            assert ended(child).code == 0, name
            assert answer(toy, session) == before, name
    assert shown(toy) == expected(toy)
