"""Nights that tasks share, while servers and tasks die: nothing twice, nothing lost, no table left in the source."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from scoring.errors import StageLost
from scoring.night.publish import publish
from scoring.night.request import Extracted
from scoring.night.shards import score_chunks
from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.faults import crash, reader_of, require_healed, require_no_orphans, started
from tests.support.runs import expected, shown
from tests.support.sharing import READ_BY_ONE, begin, groups, night, shared, tables

PREPARE = """
import os, signal, sys
from datetime import UTC, datetime
from scoring.job.files import load_job
from scoring.night import publish, score_chunks
from scoring.settings import load_settings
from scoring.stores import Workspace, open_stores
settings = load_settings()
stores = open_stores(settings, lambda: datetime.now(UTC))
work = Workspace(stores, load_job(settings.jobs_dir / f"{sys.argv[1]}.yaml"))
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
"""
PUBLISH = (
    PREPARE
    + """
import sys
setattr(sys.modules["scoring.night.publish"], sys.argv[3], die)
publish(work, sys.argv[2])
"""
)
SCORE = (
    PREPARE
    + """
sys.modules["scoring.stores.warehouse.load"]._recording = die
score_chunks(work, sys.argv[2], map(int, sys.argv[3].split(",")))
"""
)

BEFORE_THE_FLIP, BEFORE_THE_DROP = "_pass_gate", "unstage"
"""What a process is about to do in publishing when it is killed."""


def killed(commands: Path, toy: Toy, code: str, begun: Extracted, *words: str) -> None:
    """Run code in a process of its own that kills itself."""
    child = started(commands, toy, "-c", code, toy.job.name, begun.run_id, *words)
    _, err = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, err


def score(toy: Toy, begun: Extracted) -> None:
    for chunks in groups(begun):
        score_chunks(toy.work, begun.run_id, chunks)


@pytest.mark.parametrize("point", [pytest.param(BEFORE_THE_FLIP, marks=pytest.mark.nightly), BEFORE_THE_DROP])
def test_publish_killed_before_it_drops_the_table(toy: Toy, commands: Path, point: str) -> None:
    with shared(toy), reader_of(toy):
        begun = begin(toy)
        score(toy, begun)
        killed(commands, toy, PUBLISH, begun, point)
        assert len(tables(toy)) == 1
        publish(toy.work, begun.run_id)
        assert tables(toy) == []
        assert shown(toy) == expected(toy)
        require_healed(toy)


@pytest.mark.nightly
def test_publish_killed_and_never_tried_again_leaves_a_table_to_retention(toy: Toy, commands: Path) -> None:
    with shared(toy), reader_of(toy):
        begun = begin(toy)
        score(toy, begun)
        killed(commands, toy, PUBLISH, begun, BEFORE_THE_FLIP)
        require_no_orphans(toy)
        assert ledger.get(toy.stores.warehouse, begun.run_id).status == "abandoned"
        require_healed(toy)


@pytest.mark.nightly
def test_two_tasks_killed_and_tried_again(toy: Toy, commands: Path) -> None:
    with shared(toy, READ_BY_ONE, chunk_rows=20), reader_of(toy):  # few rows are one block of a table
        begun = begin(toy)
        for chunks in groups(begun)[:2]:
            killed(commands, toy, SCORE, begun, ",".join(map(str, chunks)))
        score(toy, begun)
        publish(toy.work, begun.run_id)
        assert shown(toy) == expected(toy)
        require_healed(toy)


@pytest.mark.nightly
@pytest.mark.parametrize("scored", [0, 1])
def test_source_that_crashes_after_extract_is_extracted_again(fragile: Toy, own_cluster: Path, scored: int) -> None:
    with shared(fragile), reader_of(fragile):
        begun = begin(fragile)
        for chunks in groups(begun)[:scored]:
            score_chunks(fragile.work, begun.run_id, chunks)
        crash(own_cluster)
        fragile.stores.warehouse.engine.dispose()
        with pytest.raises(StageLost, match=r"found nothing[\s\S]*clear the task extract"):
            score_chunks(fragile.work, begun.run_id, groups(begun)[scored])
        again = night(fragile)
        assert again.status == "published"
        assert shown(fragile) == expected(fragile)
        require_healed(fragile)
