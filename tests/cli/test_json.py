"""``--json``: one document on standard output, sentences beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cli.main import app
from scoring.settings import Settings
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live, nights
from tests.support.shell import Shell, shell_of
from tests.support.toy import NIGHT, ROWS


@pytest.fixture
def shell(
    toy: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    with shell_of(settings, monkeypatch, capsys) as run:
        yield run


def document(said) -> dict[str, list[dict]]:
    """Return the document that a command printed; nothing else may stand on its standard output."""
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_run_gives_the_night_as_an_object_and_its_sentences_to_stderr(toy: Toy, shell: Shell) -> None:
    said = shell("run", toy.job.name, "--night", NIGHT, "--json")
    (night,) = document(said)["nights"]
    assert (night["job"], night["night"], night["status"], night["rows"]) == (
        toy.job.name,
        str(NIGHT),
        "published",
        ROWS,
    )
    assert f"{toy.job.name} {NIGHT}: published" in said.err


def test_tables_are_lists_of_objects_with_numbers_in_full(toy: Toy, shell: Shell) -> None:
    add_nights(toy, nights(3))
    live(toy, nights(3))
    asked = partial(shell, "drift", "performance", toy.job.name, "--night", NIGHT + 3 * DAY)
    measured = document(asked("--json"))["nights"]
    assert [row["night"] for row in measured] == [str(night) for night in nights(3)]
    assert measured[0]["labelled"] == 1.0
    assert set(measured[0]["log_loss"]) == {"value", "low", "high"}
    assert "100.0%" in asked().out


def test_every_list_of_a_command_has_its_key(toy: Toy, shell: Shell) -> None:
    shell("run", toy.job.name, "--night", NIGHT)
    keys = {
        ("status",): {"jobs"},
        ("models", toy.job.name): {"versions", "promotions"},
        ("explain", toy.job.name, NIGHT): {"attempts"},
        ("sql", "select 1 as a"): {"rows"},
        ("drift", "verdict", toy.job.name, NIGHT): {"verdicts", "columns"},
        ("drift", "decide", toy.job.name, NIGHT): {"decisions", "inputs"},
        ("retrain", "list", toy.job.name): {"retrainings"},
        ("retrain", "shadows", toy.job.name): {"shadows", "nights"},
    }
    assert {words: set(document(shell(*words, "--json"))) for words in keys} == keys


def test_status_says_which_night_is_late_and_since_when(toy: Toy, shell: Shell) -> None:
    (job,) = document(shell("status", "--json"))["jobs"]
    assert job["late"] is None  # the schedule ended long ago
    toy.change(schedule={"timezone": "UTC", "first_night": NIGHT, "ready_by": "00:01"})
    (job,) = document(shell("status", "--json"))["jobs"]
    day = datetime.now(UTC).date()
    assert job["late"] == {"night": str(day - DAY), "since": f"{day}T00:01:00+00:00"}
    assert f"night {day - DAY}, since {day} 00:01 UTC" in shell("status").out


def test_status_says_which_job_an_object_is_about(toy: Toy, shell: Shell) -> None:
    assert [job["job"] for job in document(shell("status", "--json"))["jobs"]] == [toy.job.name]


def test_status_lists_missing_nights_as_ranges(toy: Toy, shell: Shell) -> None:
    toy.change(schedule={"timezone": "UTC", "first_night": NIGHT, "last_night": NIGHT + 3 * DAY})
    shell("run", toy.job.name, "--night", NIGHT + DAY)
    (job,) = document(shell("status", "--json"))["jobs"]
    assert (job["nights_missing"], job["missing"]) == (3, [f"{NIGHT}", f"{NIGHT + 2 * DAY} to {NIGHT + 3 * DAY}"])
    assert f"{NIGHT}, {NIGHT + 2 * DAY} to {NIGHT + 3 * DAY}" in shell("status").out
    add_nights(toy, [NIGHT + 3 * DAY])
    shell("run", toy.job.name, "--missing")
    assert document(shell("status", "--json"))["jobs"][0]["missing"] == []
    assert "none of the last 30 nights" in shell("status").out


def test_next_command_prints_tables_again(toy: Toy, shell: Shell) -> None:
    shell("status", "--json")
    assert f"job {toy.job.name}" in shell("status").out


def test_command_line_that_was_only_parsed_changes_nothing_of_the_next(toy: Toy, shell: Shell) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    group.commands["status"].make_context("status", ["--json"])
    assert shell("verify", toy.job.name).out == f"{toy.job.name}: 0 problems\n"


def test_failure_leaves_standard_output_to_programs(toy: Toy, shell: Shell) -> None:
    said = shell("explain", toy.job.name, NIGHT, "--json")
    assert said.code == 1
    assert "RunMissing" in said.err
    assert json.loads(said.out) == {}
