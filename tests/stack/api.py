"""Users of the stack's Airflow: requests over HTTP with the token that a log-in gave."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

Answer = tuple[int, Any]
DAG = "flight_delay_nightly"


@dataclass(frozen=True)
class User:
    """Somebody who logged in, or nobody if there is no token."""

    url: str
    token: str | None = None

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Return status and content of an answer, whatever the status is."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, _content(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error.read())

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the content of an answer of Airflow's API that has to be a good one."""
        status, content = self.ask(method, f"/api/v2{path}", body)
        assert status < 300, (method, path, status, content)
        return content

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        found: list[dict[str, Any]] = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")[
            "task_instances"
        ]
        return found

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the newest first."""
        found: list[dict[str, Any]] = self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-id")["dag_runs"]
        return found

    def unpause(self, dag_id: str) -> None:
        """Let Airflow run a DAG as soon as it has parsed it."""
        wait(lambda: self.ask("GET", f"/api/v2/dags/{dag_id}")[0] == 200, 120, f"{dag_id} is parsed")
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def trigger(self, dag_id: str, **body: Any) -> str:
        """Trigger a run and return its id."""
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, **body})["dag_run_id"])

    def ended(self, dag_id: str, run_id: str, seconds: float) -> str:
        """Return the state of a run once it has ended."""
        ends = ("success", "failed")

        def state() -> str:
            return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

        wait(lambda: state() in ends, seconds, f"{dag_id} {run_id} has ended")
        return state()


def logged_in(url: str, name: str, password: str) -> User:
    """Return a user who logged in with a password."""
    status, content = User(url).ask("POST", "/auth/token", {"username": name, "password": password})
    assert status == 201, (name, status, content)
    return User(url, content["access_token"])


def backfill_of(first: date, last: date) -> dict[str, Any]:
    """Return what asks for a backfill of the nights from ``first`` to ``last``."""
    return {
        "dag_id": DAG,
        "from_date": f"{first}T00:00:00Z",
        "to_date": f"{last}T23:59:59Z",
        "max_active_runs": 3,
        "reprocess_behavior": "none",
    }


def wait(true: Callable[[], bool], seconds: float, what: str, pause: float = 1.0) -> float:
    """Wait until something is true, and return how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not after {seconds:.0f} s: {what}"
        time.sleep(pause)
    return time.monotonic() - began


def _content(answer: bytes) -> Any:
    try:
        return json.loads(answer or b"null")
    except ValueError:
        return answer.decode(errors="replace")
