"""The record of who runs Airflow: believed while its processes live, and what `make stop` makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import processes
from demo.processes import Process, Record
from scoring.errors import NightshiftError

OWNER = """
import signal, sys, time
from pathlib import Path
from demo.processes import UP, claimed
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    with claimed(Path(sys.argv[1]), UP):
        print("claimed", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(0)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads its own group, as a component does."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that claims ``tmp_path`` as `make up` does."""
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    yield process
    process.kill()
    process.communicate()


def left_behind(home: Path, *components: Process) -> None:
    """Write the record that a killed `make up` leaves."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    dead = Process.of(gone.pid)
    gone.wait()
    processes._write(home, Record(processes.UP, dead, 8080, components))


def test_nobody_runs_airflow_in_a_new_folder(tmp_path):
    assert processes.current(tmp_path) is None
    assert processes.stop(tmp_path) is None


def test_claim_is_seen_and_ends_with_its_block(tmp_path):
    with processes.claimed(tmp_path, "make demo"):
        held = processes.current(tmp_path)
        assert held is not None
        assert (held.command, held.owner.pid, held.port) == ("make demo", os.getpid(), None)
    assert processes.current(tmp_path) is None


def test_second_claim_of_the_same_process_leaves_the_first(tmp_path):
    with processes.claimed(tmp_path, processes.UP):
        with processes.claimed(tmp_path, "another"):
            pass
        held = processes.current(tmp_path)
        assert held is not None
        assert held.command == processes.UP


def test_claim_of_another_process_is_refused_with_its_number(tmp_path, owner):
    with pytest.raises(NightshiftError, match=rf"`make up` \(process {owner.pid}\) runs it.*make stop"):
        processes.claimed(tmp_path, "make demo").__enter__()


def test_airflow_is_shared_once_make_up_has_a_port(tmp_path, sleeper):
    with processes.claimed(tmp_path, processes.UP):
        assert processes.shared(tmp_path) is None
        processes.add_component(tmp_path, 8080, sleeper.pid)
        held = processes.shared(tmp_path)
        assert held is not None
        assert held.port == 8080


def test_airflow_of_make_demo_is_not_shared(tmp_path, sleeper):
    with processes.claimed(tmp_path, "make demo"):
        processes.add_component(tmp_path, 8080, sleeper.pid)
        assert processes.shared(tmp_path) is None


def test_stop_ends_the_command_and_waits(tmp_path, owner):
    assert processes.stop(tmp_path) == processes.UP
    assert processes.current(tmp_path) is None
    assert owner.wait(5) == 0
    assert owner.stderr is not None, "no traceback in the other terminal"
    assert owner.stderr.read() == "", "no traceback in the other terminal"


def test_components_of_a_killed_command_are_in_the_way_until_stop_ends_them(tmp_path, sleeper):
    left_behind(tmp_path, Process.of(sleeper.pid))
    with pytest.raises(NightshiftError, match=r"processes that a killed `make up` left behind.*`make stop` ends them"):
        processes.claimed(tmp_path, "make demo").__enter__()
    assert processes.stop(tmp_path) == processes.UP
    assert sleeper.wait(5) == -signal.SIGTERM


def test_process_that_got_the_number_later_is_left_alone(tmp_path, sleeper):
    stranger = Process(sleeper.pid, Process.of(sleeper.pid).started - 3600)
    left_behind(tmp_path, stranger)
    assert processes.current(tmp_path) is None
    assert processes.stop(tmp_path) is None
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"command": "make up"})])
def test_record_that_was_cut_off_counts_as_none(tmp_path, content):
    (tmp_path / "running.json").write_text(content)
    assert processes.current(tmp_path) is None
    with processes.claimed(tmp_path, "make demo"):
        assert processes.current(tmp_path) is not None
