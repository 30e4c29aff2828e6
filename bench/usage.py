"""What a command used, with everything that it started: wall time, CPU seconds and peak memory, PostgreSQL's apart."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from scoring.settings import HOME

INTERVAL = 0.2
"""Seconds between two samples of memory."""
MOST_SAMPLING = 0.05
"""Share of a core that sampling may take: with many large processes it is done less often."""
MOST_SECONDS = 1_800.0
"""Seconds after which a command has failed."""
STRAGGLERS = 10.0
"""Seconds that processes which outlive the command have to end, before they are ended."""
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux: an orphan of a child becomes a child, so that its CPU time is counted."""


class StepFailed(RuntimeError):
    """A process of the benchmark failed, or the ways did not score the same."""


@dataclass(frozen=True)
class Usage:
    """What a command used until it ended, and the load average before it."""

    wall_seconds: float
    cpu_seconds: float
    """Of the command and all processes that it started, but not of PostgreSQL."""
    postgres_cpu_seconds: float
    """Of all processes of the cluster, those that ended included."""
    peak_mib: float
    """Largest sum over all processes at one moment, PostgreSQL included; memory that processes share counts once."""
    own_peak_mib: float
    """The same without PostgreSQL."""
    load_average_before: float


class Cluster:
    """The processes of a PostgreSQL server."""

    def __init__(self, folder: Path | None) -> None:
        """Use the server that runs in a data folder, or none."""
        pid = int((folder / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]) if folder else None
        self._postmaster = psutil.Process(pid) if pid else None

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes, the postmaster first."""
        return [self._postmaster, *self._postmaster.children(recursive=True)] if self._postmaster else []

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all processes of the server since it started, of ended ones too."""
        while True:  # a process that ends meanwhile would be in neither its own time nor the postmaster's, read before
            with suppress(psutil.NoSuchProcess):
                return sum(_cpu_seconds(process) for process in self.processes())


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of its children that have ended, 0 if it is gone itself."""
    try:
        return _cpu_seconds(process)
    except psutil.Error:
        return 0.0


def _cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


class _Memory(threading.Thread):
    """Samples the memory of a process, its children and a cluster until told to stop."""

    def __init__(self, pid: int, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self._root, self._cluster, self._done = psutil.Process(pid), cluster, threading.Event()
        self.peak = self.own_peak = 0

    def run(self) -> None:
        pause = 0.0
        while not self._done.wait(pause):
            began = time.thread_time()
            own, server = _mib(self._tree()), _mib(self._cluster.processes())
            self.peak, self.own_peak = max(self.peak, own + server), max(self.own_peak, own)
            pause = max(INTERVAL, (time.thread_time() - began) / MOST_SAMPLING)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []

    def end(self) -> None:
        self._done.set()
        self.join()


def _mib(processes: Iterable[psutil.Process]) -> int:
    total = 0
    for process in processes:
        try:
            memory = process.memory_full_info()
        except psutil.Error:  # it has just ended, or belongs to another user
            continue
        total += getattr(memory, "pss", 0) or memory.rss
    return total // 2**20


def adopt_orphans() -> None:
    """Make this process the parent of orphans of its children, on Linux. The server must run already."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def used_by(
    command: Sequence[str], environment: Mapping[str, str], cluster: Cluster, most_seconds: float = MOST_SECONDS
) -> tuple[Usage, str]:
    """Run a command; return what it used and the last line that it printed.

    Raises ``StepFailed`` when it fails, or has not ended in time.
    """
    load, cpu, server = os.getloadavg()[0], _children_seconds(), cluster.cpu_seconds()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=HOME, env=dict(environment), stdout=out, stderr=errors)
        memory = _Memory(process.pid, cluster)
        memory.start()
        code = _ended(process, most_seconds)
        wall = time.perf_counter() - began
        memory.end()
        _reap(cluster)
        out.seek(0)
        errors.seek(0)
        if code:
            raise StepFailed(f"{' '.join(command)}: exit code {code}\n{errors.read()[-3000:]}")
        last = (out.read().strip().splitlines() or [""])[-1]
    cpu, server = _children_seconds() - cpu, cluster.cpu_seconds() - server
    return Usage(wall, cpu, server, memory.peak, memory.own_peak, load), last


def _ended(process: subprocess.Popen[bytes], most_seconds: float) -> int:
    """Return the exit code; what has not ended in time is killed, with its children."""
    try:
        return process.wait(most_seconds)
    except subprocess.TimeoutExpired:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        return process.wait()


def _children_seconds() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _reap(cluster: Cluster) -> None:
    """Wait for processes that the command left, so that their time is counted. What does not end is ended."""
    server = {process.pid for process in cluster.processes()}
    until = time.monotonic() + STRAGGLERS
    while left := [child for child in psutil.Process().children() if child.pid not in server]:
        for child in left:
            if time.monotonic() > until:
                child.send_signal(signal.SIGKILL)
            os.waitpid(child.pid, os.WNOHANG)
        time.sleep(0.02)
