"""A local Airflow on loopback: four processes on the embedded PostgreSQL, and the calls the demo makes of it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from demo import processes
from demo.components import Components
from scoring.cores import usable_cores
from scoring.errors import NightshiftError
from scoring.settings import HOME, Settings, child_environment
from scoring.stores import embedded

START_SECONDS = 180
TASKS_PER_CORE = 2
"""Tasks that may run at once, by core that this process may use. Most of them wait for a database half of their time."""
RUNS_PER_LOOP = 500
"""Runs that the scheduler looks at in one loop. It takes those of backfills last, so with Airflow's 20 a backfill never
begins while 20 retrainings wait for a person or for nights in the shadow (apache/airflow#66729)."""

IDLE_SLEEP_SECONDS = "0.25"
"""How long the scheduler sleeps when it had nothing to do. A look takes 15 ms of CPU, and each task of a night waits for one."""
LOST_SECONDS = "45"
"""After how many seconds without a sign of life a task counts as lost, and is tried again: Airflow's 300 are five minutes in
which a night stands still. Every task gives a sign each second."""


@dataclass(frozen=True)
class LocalAirflow:
    """A running local Airflow."""

    url: str
    password: str = field(repr=False)
    settings: Settings
    components: Components | None = None
    """Its processes, if this process started them."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON answer of Airflow's REST API. Raises ``NightshiftError`` with the API's own words."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        return _json(method, f"{self.url}/api/v2{path}", body, headers)

    def backfill(self, dag_id: str, first: date, last: date, **options: Any) -> int:
        """Create a backfill of the nights from ``first`` to ``last``, both included, and return its id."""
        body: dict[str, Any] = {"dag_id": dag_id, "from_date": f"{first}T00:00:00Z", "to_date": f"{last}T23:59:59Z"}
        body |= {"max_active_runs": 2, "reprocess_behavior": "none", **options}
        return int(self.call("POST", "/backfills", body)["id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, newest first (at most 100)."""
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-id")["dag_runs"])

    def wait(
        self, dag_id: str, show: Callable[[int], None] = lambda count: None, seconds: float = 600
    ) -> list[dict[str, Any]]:
        """Return the DAG's runs once none is queued or running. Raises ``NightshiftError`` after ``seconds``."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.runs(dag_id)
            open_runs = [run for run in runs if run["state"] in ("queued", "running")]
            show(len(runs) - len(open_runs))
            if runs and not open_runs:
                return runs
            time.sleep(0.5)
        raise NightshiftError(
            f"runs of {dag_id}", found=f"unfinished after {seconds:g} s", next_step="make up, and look"
        )

    def unpause(self, dag_id: str) -> None:
        """Let Airflow run the DAG: a new one is paused."""
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def wait_for_dag(self, dag_id: str, seconds: float = 90) -> None:
        """Wait until Airflow has parsed the DAG."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.call("GET", f"/dags/{dag_id}")
                return
            except NightshiftError:
                broken = self.call("GET", "/importErrors")["import_errors"]
                if broken:
                    raise NightshiftError(broken[0]["filename"], found=broken[0]["stack_trace"].strip()) from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    @cached_property
    def _token(self) -> str:  # Airflow takes it for a day
        body = {"username": "admin", "password": self.password}
        return str(_json("POST", f"{self.url}/auth/token", body, {"Content-Type": "application/json"})["access_token"])


def environment(settings: Settings, port: int) -> dict[str, str]:
    """Return the environment in which every Airflow command of this installation runs."""
    home, url = settings.airflow_home, f"http://127.0.0.1:{port}"
    credentials = _secrets(home)
    metadata = embedded.url(settings.postgres_dir, "airflow")
    return child_environment(
        {
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(HOME), str(HOME / "orchestration" / "config")]),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            **settings.environment(),
            "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(HOME / "orchestration" / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_PER_CORE * usable_cores()),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": metadata,  # psycopg 3 does both; the default is asyncpg
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__SECRET_KEY": credentials["secret_key"],
            "AIRFLOW__API_AUTH__JWT_SECRET": credentials["jwt"],
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": IDLE_SLEEP_SECONDS,
            "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": str(RUNS_PER_LOOP),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": LOST_SECONDS,
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",  # an api-server that has just started takes more than 5 s
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",  # set whatever the umask
            "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        }
    )


@contextmanager
def running(
    settings: Settings,
    port: int,
    show: Callable[[str], None] = lambda what: None,
    changed: Mapping[str, str] | None = None,
) -> Iterator[LocalAirflow]:
    """Give a running Airflow on ``port``. It is stopped afterwards, processes by pid.

    ``changed`` holds variables that differ from ``environment``. Raises ``NightshiftError`` when the port is taken, or
    this installation's Airflow runs already.
    """
    home = settings.airflow_home
    with processes.claimed(home, "nightshift demo"):
        if not _free(port):
            raise NightshiftError(
                f"port {port} on 127.0.0.1", found="it is in use", next_step="set NIGHTSHIFT_AIRFLOW_PORT"
            )
        variables = {**environment(settings, port), **(changed or {})}
        migrate(settings, variables, show)
        components = Components(settings, variables, port)
        try:
            components.start(show)
            airflow = _local(settings, port, components)
            _wait_until_healthy(airflow, components.processes, show)
            yield airflow
        finally:
            show("stopping")
            components.stop()


@contextmanager
def reached(settings: Settings, show: Callable[[str], None]) -> Iterator[LocalAirflow]:
    """Give this installation's Airflow: that of ``make up``, or one that is started for the purpose on a free port."""
    record = processes.shared(settings.airflow_home)
    if record is None or record.port is None:
        with running(settings, free_port(), show) as started:
            yield started
        return
    show(f"using the Airflow that `{record.command}` runs")
    airflow = _local(settings, record.port)
    _wait_until_healthy(airflow, {}, show)
    yield airflow


def _local(settings: Settings, port: int, components: Components | None = None) -> LocalAirflow:
    return LocalAirflow(f"http://127.0.0.1:{port}", _secrets(settings.airflow_home)["admin"], settings, components)


def migrate(settings: Settings, variables: dict[str, str], show: Callable[[str], None]) -> None:
    """Bring Airflow's own tables up to date. Skipped when this Airflow version did it before."""
    from importlib.metadata import version

    marker = settings.airflow_home / f"migrated-{version('apache-airflow')}"
    if marker.exists():
        return
    show("creating Airflow's tables")
    path = settings.airflow_home / "migrate.log"
    with path.open("wb") as log:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        process = subprocess.run(command, env=variables, stdout=log, stderr=log, check=False)
    if process.returncode:
        raise NightshiftError("airflow db migrate", found=f"exit code {process.returncode}", next_step=f"read {path}")
    marker.touch()


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _wait_until_healthy(
    airflow: LocalAirflow, processes: dict[str, subprocess.Popen[bytes]], show: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = ["metadatabase", "scheduler", "dag_processor", "triggerer"]
    while waiting:
        for name, process in processes.items():
            if process.poll() is not None:
                log = airflow.settings.airflow_home / f"{name}.log"
                raise NightshiftError(
                    f"Airflow {name}", found=f"ended, code {process.returncode}", next_step=f"read {log}"
                )
        if time.monotonic() > deadline:
            logs = airflow.settings.airflow_home / "*.log"
            raise NightshiftError("Airflow", found=f"not healthy: {waiting}", next_step=f"read {logs}")
        with suppress(NightshiftError):  # the api-server does not listen yet
            health = _json("GET", f"{airflow.url}/api/v2/monitor/health", None, {})
            waiting = [name for name in waiting if (health.get(name) or {}).get("status") != "healthy"]
        if waiting:
            show(f"waiting for {', '.join(waiting)}")
            time.sleep(0.5)


def _secrets(home: Path) -> dict[str, str]:
    """Return the passwords and keys of this installation, made once and readable by its owner only."""
    home.mkdir(parents=True, exist_ok=True)
    path, passwords = home / "secrets.json", home / "passwords.json"
    if not path.exists():
        content = {"jwt": secrets.token_hex(48), "secret_key": secrets.token_hex(32)}
        content |= {user: secrets.token_urlsafe(9) for user in ("admin", "viewer")}
        _write_private(path, content)
    credentials: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    if not passwords.exists():
        _write_private(passwords, {user: credentials[user] for user in ("admin", "viewer")})
    return credentials


def _write_private(path: Path, content: dict[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")


def _json(method: str, url: str, body: dict[str, Any] | None, headers: dict[str, str]) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: dict[str, Any] = json.loads(answer.read() or b"{}")
            return content
    except urllib.error.HTTPError as error:
        raise NightshiftError(
            f"{method} {url}", found=f"{error.code} {error.read().decode(errors='replace')}"
        ) from error
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        raise NightshiftError(f"{method} {url}", found=str(error)) from error
