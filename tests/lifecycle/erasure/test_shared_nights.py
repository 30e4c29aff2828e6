"""Erasure in nights that tasks share: tables in the source go, and what was loaded by chunks is loaded anew."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lifecycle.erasure import EntityKey, forget, plan
from scoring.errors import StageLost
from scoring.night.publish import publish, release
from scoring.night.shards import score_chunks
from scoring.stores.warehouse import ledger, loaded_chunks
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.runs import expected, shown
from tests.support.sharing import READ_BY_ONE, STAGED, begin, groups, night, shared, tables
from tests.support.toy import ROWS, execute

STAGES = "tables with rows of shared nights, dropped whole (source)"


def key(toy: Toy) -> EntityKey:
    return EntityKey.of(toy.job, {"id": "17"})


def stop(toy: Toy, run_id: str, status: str) -> None:
    """Leave the run as a killed task or the publish gate leaves it."""
    ledger.record(toy.stores.warehouse, run_id, status=status, reason="a test", finished_at=datetime.now(UTC))


@pytest.mark.parametrize(("status", "staged"), [("failed", STAGED), ("held", READ_BY_ONE)])
def test_run_that_was_scored_by_all_its_tasks_can_be_published(toy: Toy, status: str, staged: bool) -> None:
    """The chunks' sums are of rows that are gone: one task loads the run's files anew."""
    with shared(toy, staged):
        begun = begin(toy)
        for chunks in groups(begun):
            score_chunks(toy.work, begun.run_id, chunks)
        stop(toy, begun.run_id, status)
        forget(toy.work, key(toy), "test", "tests")
        run = ledger.get(toy.stores.warehouse, begun.run_id)
        assert loaded_chunks(toy.stores.warehouse, run) == {}
        assert publish(toy.work, begun.run_id).rows == ROWS - 1
        require_all_but_one(toy)


def test_run_of_which_a_task_is_left_goes_on(toy: Toy) -> None:
    with shared(toy, READ_BY_ONE):
        begun = begin(toy)
        first, *others = groups(begun)
        score_chunks(toy.work, begun.run_id, first)
        stop(toy, begun.run_id, "failed")
        forget(toy.work, key(toy), "test", "tests")
        for chunks in others:
            score_chunks(toy.work, begun.run_id, chunks)
        publish(toy.work, begun.run_id)
        require_all_but_one(toy)


def test_table_in_the_source_goes_and_its_run_asks_for_another_extract(toy: Toy) -> None:
    with shared(toy, STAGED):
        begun = begin(toy)
        score_chunks(toy.work, begun.run_id, groups(begun)[0])
        stop(toy, begun.run_id, "failed")
        assert {item.store: item.rows for item in plan(toy.work, key(toy)).items}[STAGES] == 1
        assert len(tables(toy)) == 1
        forget(toy.work, key(toy), "test", "tests")
        assert tables(toy) == []
        assert plan(toy.work, key(toy)).items == []
        for chunks in groups(begun):
            with pytest.raises(StageLost, match="clear the task extract"):
                score_chunks(toy.work, begun.run_id, chunks)
        execute(toy.source, "delete from events where id = 17")
        night(toy)
        assert len(shown(toy)) == ROWS - 1
        assert verify(toy.work) == []


def test_published_run_stays_shared(toy: Toy) -> None:
    with shared(toy):
        run = night(toy)
        forget(toy.work, key(toy), "test", "tests")
        assert ledger.get(toy.stores.warehouse, run.run_id).shards == 3
        assert release(toy.work, run.run_id).rows == ROWS - 1
        require_all_but_one(toy)


def require_all_but_one(toy: Toy) -> None:
    """Raise unless the night is shown without the erased row, and every store agrees."""
    assert shown(toy) == [row for row in expected(toy) if row[0] != 17]
    assert len(shown(toy)) == ROWS - 1
    assert verify(toy.work) == []
    assert plan(toy.work, key(toy)).items == []
