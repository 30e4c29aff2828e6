"""What a command used: its children, its orphans, PostgreSQL's ended processes, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from bench.usage import Cluster, StepFailed, used_by
from scoring.settings import HOME
from scoring.stores import embedded

BURN = "import time\nwhile time.process_time() < 0.5: pass\n"


def measured(program: str) -> dict[str, float]:
    """Return what a program used, measured in a process of its own, which becomes the parent of orphans."""
    lines = [
        "import dataclasses, json, os, sys",
        "from bench.usage import Cluster, adopt_orphans, used_by",
        "adopt_orphans()",
        f"usage, last = used_by([sys.executable, '-c', {program!r}], os.environ, Cluster(None))",
        "print(json.dumps({**dataclasses.asdict(usage), 'last': last}))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=HOME, capture_output=True, text=True, check=True
    )
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_time_of_a_child_and_of_an_orphan_is_counted():
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"
    orphan = f"subprocess.Popen([sys.executable, '-c', {BURN!r}])\nprint('done')\n"
    facts = measured(child + orphan)
    assert facts["cpu_seconds"] > 1.0
    assert facts["last"] == "done"


def test_memory_of_parent_and_child_is_added_up():
    large = "kept = bytearray(120 * 2**20)\nkept[::4096] = b'x' * len(kept[::4096])\n"
    child = f"{large}import time\ntime.sleep(3)\n"
    facts = measured(f"{large}import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n")
    assert facts["peak_mib"] >= 240
    assert facts["own_peak_mib"] == facts["peak_mib"]


def test_a_command_that_fails_says_why():
    with pytest.raises(StepFailed, match=r"exit code 3[\s\S]*no luck"):
        used_by(
            [sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"],
            os.environ,
            Cluster(None),
        )


def test_a_command_that_does_not_end_is_killed():
    with pytest.raises(StepFailed, match="exit code -9"):
        used_by([sys.executable, "-c", "import time; time.sleep(60)"], os.environ, Cluster(None), 1.0)


def test_time_of_a_servers_process_that_has_ended_is_counted(data_dir: Path):
    socket = embedded.socket_folder(data_dir / "postgres")
    cluster = Cluster(data_dir / "postgres")
    before = cluster.cpu_seconds()
    with psycopg.connect(dbname="postgres", user="postgres", host=socket) as connection:
        connection.execute("select sum(sqrt(number)) from generate_series(1, 2000000) as number")
    assert cluster.cpu_seconds() - before > 0.1
