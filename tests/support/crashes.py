"""A night whose process is killed at a chosen step."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from scoring.settings import HOME, child_environment
from tests.conftest import Toy
from tests.support.toy import NIGHT

POINTS = {
    "extract, first chunk written": ("scoring.night.extract", "write_chunk", 2),
    "extract, last chunk, while the first are loaded": ("scoring.night.extract", "write_chunk", 4),
    "score, second chunk": ("scoring.night.score", "profiled", 2),
    "load, rows sent and not committed": ("scoring.stores.warehouse.load", "stamped", 3),
    "loaded, before the flip": ("scoring.night.publish", "_pass_gate", 1),
    "flipped, before the lake object": ("scoring.night.publish", "_after_flip", 1),
    "lake object half written": ("scoring.night.shown", "stamped", 3),
}
"""Where the child dies: the function that it is about to call for the n-th time."""
REASON_POINTS = {
    "scored with reasons, before they are loaded": ("scoring.night.publish", "load_run_reasons", 1),
    "reasons loaded, before the flip": ("scoring.night.publish", "_pass_gate", 1),
    "lake object of the reasons half written": ("scoring.night.reasons", "_shown", 3),
}
"""The same for a job that asks for reasons."""
DYING = """
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
"""
"""Begins the code of a child that dies: module, function and turn are the first words after it."""
CHILD = f"""{DYING}
from cli.main import main
sys.argv = ["nightshift", "run", sys.argv[4], "--night", sys.argv[5]]
main()
"""


def die_at(commands: Path, toy: Toy, point: str) -> None:
    """Score the night in a process of its own, which is killed at the point."""
    module, name, turn = {**POINTS, **REASON_POINTS}[point]
    command = [str(commands / "nightshift"), "-c", CHILD, module, name, str(turn), toy.job.name, str(NIGHT)]
    child = subprocess.run(
        command,
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
