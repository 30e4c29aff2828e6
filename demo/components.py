"""The processes of the local Airflow: started, watched, started again when one died, stopped, their logs kept small."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from demo import processes
from scoring.errors import NightshiftError
from scoring.settings import Settings
from scoring.stores import embedded

AIRFLOW = {
    "api-server": ["-m", "airflow", "api-server"],
    "scheduler": ["-m", "airflow", "scheduler", "--skip-serve-logs"],
    "dag-processor": ["-m", "airflow", "dag-processor"],
    "triggerer": ["-m", "airflow", "triggerer", "--skip-serve-logs"],
}
"""What an Airflow consists of, by the words behind ``python``."""
DEATHS = 10
"""How often processes may die within ``DEATHS_SECONDS``: a PostgreSQL that dies takes three along. More heals by no new start."""
DEATHS_SECONDS = 300
BEAT_SECONDS = 1.0
"""How often the processes are looked at."""
LOG_BYTES = 20 * 2**20
"""Size of a component's log above which it becomes ``<name>.log.1``, and a new one begins."""


class Components:
    """The processes of one installation's Airflow."""

    def __init__(
        self, settings: Settings, variables: dict[str, str], port: int, commands: Mapping[str, list[str]] = AIRFLOW
    ) -> None:
        self.settings, self.variables, self.port, self.commands = settings, variables, port, commands
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._deaths: list[float] = []

    def start(self, show: Callable[[str], None]) -> None:
        """Start all of them."""
        for name in self.commands:
            show(f"starting {name}")
            self._spawn(name)

    def watch(self, show: Callable[[str], None]) -> None:
        """Start again what dies, with a message, for ever. Raises ``NightshiftError`` when that does not help."""
        while True:
            self.look(show)
            time.sleep(BEAT_SECONDS)

    def look(self, show: Callable[[str], None]) -> None:
        """Look at PostgreSQL, the processes and their logs once, and start again what has died."""
        if not embedded.runs(self.settings.postgres_dir):
            self._died("PostgreSQL", "its process is gone", show)
            embedded.start_again(self.settings.postgres_dir)
            show("PostgreSQL has recovered")
        for name, process in self.processes.items():
            _rotate(self._log(name))
            code = process.poll()
            if code is not None:
                self._died(name, f"code {code}", show)
                _end_group(process)  # what it started works on without it
                self._spawn(name)

    def stop(self) -> None:
        """End the processes and their children. What is still there after a while is killed."""
        started = list(self.processes.values())
        for process in started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + processes.COMPONENT_SECONDS
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            _end_group(process)
            process.wait()
        processes.drop_components(self.settings.airflow_home)

    def _died(self, name: str, how: str, show: Callable[[str], None]) -> None:
        """Say what died, and raise when it is too much."""
        now = time.monotonic()
        self._deaths = [then for then in self._deaths if now - then < DEATHS_SECONDS] + [now]
        if len(self._deaths) > DEATHS:
            raise NightshiftError(
                f"Airflow {name}",
                found=f"it ended ({how}), and with it {len(self._deaths)} processes within {DEATHS_SECONDS} s",
                next_step=f"read {self.settings.airflow_home / '*.log'} and {self.settings.postgres_dir / 'log'}",
            )
        show(f"{name} ended ({how}): starting it again")

    def _spawn(self, name: str) -> None:
        full, none = [sys.executable, *self.commands[name]], subprocess.DEVNULL
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                full, env=self.variables, stdout=log, stderr=log, stdin=none, start_new_session=True
            )
        processes.add_component(self.settings.airflow_home, self.port, self.processes[name].pid)

    def _log(self, name: str) -> Path:
        return self.settings.airflow_home / f"{name}.log"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process's group, of which it is the leader."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _rotate(log: Path) -> None:
    """Move a large log's content aside. The process goes on writing to the same file, at its new end."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
