"""The whole stack of docker-compose.yml, started once for all tests of this folder, with real flights and a champion."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.stack.api import DAG, User, logged_in, wait
from tests.stack.making import stack_of
from tests.stack.native import Stack
from tests.stack.world import World

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


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The services of the compose file, none started."""
    with stack_of({"promotion": HUMAN, "training": {"window": "expanding", "holdout_nights": 4}}) as made:
        yield made


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
