"""Who did what is on record, and no variable of the environment says who that was."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.retraining.record import RetrainingRequest, abandon, begin
from scoring.settings import Settings, system_user
from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.shell import Shell, done, refused, shell_of
from tests.support.toy import NIGHT

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def shell(
    toy: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody_else")
    with shell_of(settings, monkeypatch, capsys) as run:
        yield run


def actions(toy: Toy, shell: Shell, *options: object) -> list[tuple[Any, ...]]:
    """Return action, what, reason and by of the job's actions, oldest first."""
    rows = json.loads(done(shell("audit", toy.job.name, *options, "--json")))["actions"]
    return [(row["action"], row["what"], row["reason"], row["by"]) for row in rows]


def run_id(toy: Toy) -> str:
    return ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)[-1].run_id


def test_every_action_by_hand_is_on_record_with_the_user_of_the_system(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    before = len(actions(toy, shell))
    done(shell("promote", name, 1, "--reason", "the first"))
    done(shell("run", name, "--night", NIGHT, "--no-monitor"))
    first = run_id(toy)
    done(shell("unpublish", name, NIGHT, "--reason", "late rows"))
    refused(shell("release", name, "no such run"), "RunMissing")
    done(shell("release", name, first))
    done(shell("release", name, first))  # it is published already: nothing changes
    done(
        shell("rescore", name, "--from", NIGHT, "--to", NIGHT, "--model-version", 1, "--reason", "try", "--no-monitor")
    )
    ledger.record(toy.stores.warehouse, first, status="held", reason="too few rows")
    done(shell("discard", name, first))
    done(shell("rollback", name, "--to", 1, "--reason", "worse"))
    done(shell("retire", name, "--reason", "not needed"))
    entries = [
        ("promoted", "the first"),
        ("unpublished", "late rows"),
        ("released", "late rows"),
        ("rescored", "try"),
        ("discarded", "too few rows"),
        ("rolled back", "worse"),
        ("retired", "not needed"),
    ]
    listed = json.loads(done(shell("audit", name, "--json")))["actions"][before:]
    assert [(row["action"], row["reason"]) for row in listed] == entries
    assert {(row["by"], row["warehouse_login"]) for row in listed} == {(ME, "postgres")}
    whats = [row["what"] for row in listed]
    assert whats[1] == f"night {NIGHT}: run {first}"
    assert whats[2] == f"night {NIGHT}: run {first}, which was unpublished"
    assert whats[3] == f"nights {NIGHT} to {NIGHT} with version 1"
    assert [row["action"] for row in json.loads(done(shell("audit", name, "--newest", 1, "--json")))["actions"]] == [
        "retired"
    ]
    assert "rolled back" in done(shell("audit"))


def test_end_of_a_retraining_by_hand_is_on_record(toy: Toy, shell: Shell) -> None:
    row = begin(toy.work, RetrainingRequest("a try", night=NIGHT))
    abandon(toy.stores, row.retraining_id, "ann")
    assert actions(toy, shell, "--newest", 1) == [
        ("abandoned", f"retraining {row.retraining_id}", f"stage {row.stage}", "ann")
    ]


def test_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system_user() == ME
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert system_user() == "uid 3999999999"
