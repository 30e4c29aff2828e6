"""Forks in place of processes: they behave as a process would that began anew."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from scoring.settings import child_environment


def asked(commands: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(commands / "nightshift"), *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_command_has_its_exit_code_and_streams(commands: Path) -> None:
    wrong = asked(commands, "nonsense")
    assert (wrong.returncode, wrong.stdout, "No such command" in wrong.stderr) == (2, "", True)
    version = asked(commands, "--version")
    assert (version.returncode, version.stdout.startswith("nightshift "), version.stderr) == (0, True, "")


def test_code_has_the_arguments_folder_and_environment_of_who_asks(commands: Path, tmp_path: Path) -> None:
    code = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['MINE'], input()); sys.exit(3)"
    done = subprocess.run(
        [str(commands / "nightshift"), "-c", code, "a b"],
        env=child_environment({"MINE": "yes"}),
        cwd=tmp_path,
        input="read\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, f"['a b'] {tmp_path} yes read\n"), done.stderr


def test_error_is_a_traceback(commands: Path) -> None:
    done = asked(commands, "-c", "1 / 0")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_who_asks_ends_by_the_signal_that_ended_the_fork(commands: Path) -> None:
    assert asked(commands, "-c", "import os; os.kill(os.getpid(), 9)").returncode == -signal.SIGKILL


def test_fork_ends_with_who_asks(commands: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen([str(commands / "nightshift"), "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        fork = int(child.stdout.readline())
        child.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{fork}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{fork}").exists()
