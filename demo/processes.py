"""Who runs this installation's Airflow: a record in its folder, believed only while the processes it names live."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from scoring.errors import NightshiftError

COMPONENT_SECONDS = 15
"""Airflow's scheduler may hang after busy runs: what has not ended after this many seconds is killed."""
CLOCK_SECONDS = 5
"""How far apart the start of one process may seem, read at two times: the clock may have been set in between."""
UP = "make up"
"""The command that runs Airflow for others to use, until it is stopped."""
OWNER_SECONDS = 45
"""How long a command that was told to stop may take: it gives its components 15 s, and PostgreSQL's clients a moment."""


@dataclass(frozen=True)
class Process:
    """A process by number and start, so that another one which got the same number later is not taken for it."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this number now."""
        return cls(pid, psutil.Process(pid).create_time())

    @property
    def lives(self) -> bool:
        """Return whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < CLOCK_SECONDS
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class Record:
    """The command that runs Airflow, or is about to, and the components it started."""

    command: str
    owner: Process
    port: int | None = None
    """None until Airflow is started."""
    components: tuple[Process, ...] = ()


def current(home: Path) -> Record | None:
    """Return who runs the Airflow of ``home``, or None when nothing that the record names lives."""
    try:
        content = json.loads((home / "running.json").read_text(encoding="utf-8"))
        components = tuple(Process(**each) for each in content["components"])
        record = Record(content["command"], Process(**content["owner"]), content["port"], components)
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or cut off by a power failure
        return None
    return record if any(process.lives for process in (record.owner, *components)) else None


@contextmanager
def claimed(home: Path, command: str) -> Iterator[None]:
    """Record this process as the one that runs Airflow. Raises ``NightshiftError`` when another one does.

    Within a claim of this process a second one does nothing.
    """
    with _locked(home):
        record = current(home)
        me = Process.of(os.getpid())
        if record is not None and record.owner.pid != me.pid:
            raise _already_running(record)
        if record is None:
            _write(home, Record(command, me))
    try:
        yield
    finally:
        if record is None:
            (home / "running.json").unlink(missing_ok=True)


def shared(home: Path) -> Record | None:
    """Return the record of ``make up`` if it runs. Its Airflow may be used by other commands."""
    record = current(home)
    return record if record is not None and record.command == UP and record.port and record.owner.lives else None


def add_component(home: Path, port: int, pid: int) -> None:
    """Add a process that was started to the record of this process."""
    record = current(home)
    if record is not None:
        _write(home, replace(record, port=port, components=(*record.components, Process.of(pid))))


def drop_components(home: Path) -> None:
    """Take the components, which have ended, out of the record of this process."""
    record = current(home)
    if record is not None:
        _write(home, replace(record, port=None, components=()))


def stop(home: Path) -> str | None:
    """End what runs the Airflow of ``home``, and what a killed command left of it. Return its name, or None if nothing ran.

    Raises ``NightshiftError`` when the command does not end in time.
    """
    record = current(home)
    if record is None:
        return None
    if record.owner.lives:
        os.kill(record.owner.pid, signal.SIGTERM)
        if not _ended((record.owner,), OWNER_SECONDS):
            raise NightshiftError(
                f"{record.command}, process {record.owner.pid}",
                found=f"it still runs {OWNER_SECONDS} s after SIGTERM",
                next_step="wait, or kill it, then `make stop` again",
            )
    left = [process for process in record.components if process.lives]
    _signal(left, signal.SIGTERM)
    if not _ended(left, COMPONENT_SECONDS):
        _signal(left, signal.SIGKILL)
    (home / "running.json").unlink(missing_ok=True)
    return record.command


def _already_running(record: Record) -> NightshiftError:
    if record.owner.lives:
        return NightshiftError(
            "Airflow of this installation",
            found=f"`{record.command}` (process {record.owner.pid}) runs it",
            expected="one at a time",
            next_step="wait until it ends, or `make stop`",
        )
    return NightshiftError(
        "Airflow of this installation",
        found=f"processes that a killed `{record.command}` left behind",
        expected="none",
        next_step="`make stop` ends them",
    )


def _ended(processes: tuple[Process, ...] | list[Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(process.lives for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _signal(processes: list[Process], number: signal.Signals) -> None:
    """Signal the process groups of those that live. Every component leads its own."""
    for process in processes:
        if process.lives:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(home: Path, record: Record) -> None:
    temporary = home / "running.json.new"
    temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
    temporary.replace(home / "running.json")
