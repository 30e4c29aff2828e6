"""Several processes score the same night at once, one of them is killed: each row once, one publication, nothing left."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.faults import (
    POINTS,
    during,
    ended,
    night_of,
    reader_of,
    require_healed,
    require_no_orphans,
    sessions,
    started,
    waiting,
)
from tests.support.runs import expected, shown
from tests.support.sharing import night as shared_night
from tests.support.sharing import shared
from tests.support.toy import NIGHT

EVERYWHERE: dict[str, tuple[str, str, int]] = {"rows come": ("scoring.night.extract", "write_chunk", 2), **POINTS}


def test_three_at_once_and_the_one_that_writes_the_lake_object_is_killed(toy: Toy, commands: Path) -> None:
    _three(toy, commands, POINTS["lake object half written"])


@pytest.mark.nightly
@pytest.mark.parametrize("point", EVERYWHERE)
def test_three_at_once_and_one_is_killed_anywhere(toy: Toy, commands: Path, point: str) -> None:
    _three(toy, commands, EVERYWHERE[point])


def _three(toy: Toy, commands: Path, point: tuple[str, str, int]) -> None:
    with reader_of(toy):
        killed = waiting(commands, toy, point)
        others = [started(commands, toy, *night_of(toy)) for _ in range(2)]
        time.sleep(0.5)
        killed.kill()
        killed.communicate()
        assert [ended(child).code for child in others] == [0, 0]
    assert shown(toy) == expected(toy)
    while sessions(toy.stores.warehouse.url, "application_name = 'nightshift' and state like 'idle in transaction%'"):
        time.sleep(0.05)  # the server notices soon that the killed one is gone
    require_no_orphans(toy)
    require_healed(toy)


@pytest.mark.nightly
def test_two_at_once_publish_one_after_the_other(toy: Toy, commands: Path) -> None:
    with reader_of(toy):
        children = [started(commands, toy, *night_of(toy)) for _ in range(2)]
        assert [ended(child).code for child in children] == [0, 0]
    runs = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    assert sorted(run.status for run in runs) == ["published", "superseded", "superseded"]
    require_healed(toy)


@pytest.mark.parametrize("staged", [True])
def test_shared_night_beside_one_that_a_process_scores_alone(toy: Toy, commands: Path, staged: bool) -> None:
    with shared(toy, staged), reader_of(toy):
        with ThreadPoolExecutor(1) as pool:
            alone = during(commands, toy, POINTS["rows sent and not committed"], lambda: pool.submit(shared_night, toy))
        assert alone.code == 0, alone
    with shared(toy, staged):
        require_healed(toy)


@pytest.mark.nightly
def test_two_shared_nights_at_once(toy: Toy) -> None:
    with shared(toy), reader_of(toy):
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(shared_night, [toy, toy]))
        assert sorted(run.status for run in runs) == ["published", "superseded"]
        require_healed(toy)
