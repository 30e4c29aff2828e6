"""kill -9 at every step of a night, then a re-run: the result is that of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoring.stores.warehouse import ledger
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.crashes import POINTS, die_at
from tests.support.runs import expected, run, shown
from tests.support.toy import ROWS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("point", POINTS)
def test_night_killed_leaves_all_or_nothing_and_a_rerun_repairs(toy: Toy, commands: Path, point: str) -> None:
    die_at(commands, toy, point)
    assert len(shown(toy)) in (0, ROWS)
    done = run(toy)
    assert shown(toy) == expected(toy)
    assert verify(toy.work) == []
    undisturbed = run(toy)
    hashes = [ledger.get(toy.stores.warehouse, one.run_id).predictions_hash for one in (done, undisturbed)]
    assert hashes[0] == hashes[1]


def test_killed_after_the_flip_is_repaired_by_verify_alone(toy: Toy, commands: Path) -> None:
    die_at(commands, toy, "flipped, before the lake object")
    assert len(shown(toy)) == ROWS
    assert [finding.problem for finding in verify(toy.work)] == ["no lake object"]
    assert [finding.repaired for finding in verify(toy.work, repair=True)] == [True]
    assert verify(toy.work) == []
