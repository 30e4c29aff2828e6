"""kill -9 at every step of a night, then a re-run: the result is that of an undisturbed run."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from scoring.settings import HOME, child_environment
from scoring.stores.warehouse import ledger
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.scoring.night.test_extract_and_score import expected, run, shown
from tests.support.toy import NIGHT, ROWS

pytestmark = pytest.mark.slow

# Where the child dies: the function it is about to call for the n-th time.
POINTS = {
    "extract, first chunk written": ("scoring.night.extract", "_write_chunk", 2),
    "extract, last chunk, while the first are loaded": ("scoring.night.extract", "_write_chunk", 4),
    "score, second chunk": ("scoring.night.score", "predict", 2),
    "load, rows sent and not committed": ("scoring.stores.warehouse.load", "stamped", 3),
    "loaded, before the flip": ("scoring.night.publish", "_pass_gate", 1),
    "flipped, before the lake object": ("scoring.night.publish", "_after_flip", 1),
    "lake object half written": ("scoring.night.publish", "stamped", 3),
}
CHILD = """
import importlib, os, signal, sys
module, name, turn = sys.argv[1], sys.argv[2], int(sys.argv[3])
where = importlib.import_module(module)
real, calls = getattr(where, name), []
def dying(*args, **kwargs):
    calls.append(1)
    if len(calls) == turn:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
setattr(where, name, dying)
from cli.main import main
sys.argv = ["nightshift", "run", sys.argv[4], "--night", sys.argv[5]]
main()
"""


def die_at(toy: Toy, point: str) -> None:
    module, name, turn = POINTS[point]
    command = [sys.executable, "-c", CHILD, module, name, str(turn), toy.job.name, str(NIGHT)]
    child = subprocess.run(
        command,
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


@pytest.mark.parametrize("point", POINTS)
def test_night_killed_leaves_all_or_nothing_and_a_rerun_repairs(toy: Toy, point: str) -> None:
    die_at(toy, point)
    assert len(shown(toy)) in (0, ROWS)
    done = run(toy)
    assert shown(toy) == expected(toy)
    assert verify(toy.work) == []
    undisturbed = run(toy)
    hashes = [ledger.get(toy.stores.warehouse, one.run_id).predictions_hash for one in (done, undisturbed)]
    assert hashes[0] == hashes[1]


def test_killed_after_the_flip_is_repaired_by_verify_alone(toy: Toy) -> None:
    die_at(toy, "flipped, before the lake object")
    assert len(shown(toy)) == ROWS
    assert [finding.problem for finding in verify(toy.work)] == ["no lake object"]
    assert [finding.repaired for finding in verify(toy.work, repair=True)] == [True]
    assert verify(toy.work) == []
