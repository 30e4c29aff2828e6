"""Jobs out of service: nothing scheduled, nothing expected, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pages.content.job import job_page
from pages.content.overview import overview_page
from pages.content.places import Places, View
from pages.rendering.render import render
from scoring.job.files import find_job, load_jobs
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.settings import Settings
from scoring.stores.warehouse.schema import ensure_job
from tests.conftest import Toy
from tests.support.shell import Shell, cells, done, refused, shell_of
from tests.support.toy import NIGHT, ROWS


@pytest.fixture
def shell(
    toy: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """Run a command of ``nightshift`` on a job with one published night."""
    run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    with shell_of(settings, monkeypatch, capsys) as run:
        yield run


def path_of(toy: Toy) -> Path:
    return toy.stores.settings.jobs_dir / f"{toy.job.name}.yaml"


def status_of(toy: Toy) -> dict[str, object]:
    columns, rows = toy.stores.warehouse.query(f"select * from scoring_status where job = '{toy.job.name}'")
    return dict(zip(columns, rows[0], strict=True))


def overview(toy: Toy) -> View:
    folder = toy.stores.settings.jobs_dir
    places = Places(
        toy.stores.warehouse,
        toy.stores.lake,
        lambda name: find_job(folder, name),
        lambda name: (folder / f"{name}.yaml").exists(),
    )
    view = overview_page(places, {toy.job.name})
    render("overview", "/nightshift", {**view, "framed": False})
    page = job_page(places, toy.job.name, None)
    view["page"] = " ".join(render("job", "/nightshift", {**(page or {}), "framed": False}).split())
    return view


def test_job_whose_files_are_gone_stands_apart(toy: Toy, shell: Shell) -> None:
    path_of(toy).unlink()
    head, row = cells(done(shell("status")))
    assert head[0] == "job"
    assert row[0] == toy.job.name
    assert row[2].startswith("it has no job file any more")
    assert row[3:] == [str(NIGHT), "1"]
    view = overview(toy)
    assert view["cards"] == []
    assert [one["job"] for one in view["retired"]] == [toy.job.name]
    assert "Retired: no night is expected." in view["page"]
    assert "is not there" not in view["page"]


def test_retire_takes_schedule_and_expectation_and_keeps_history(toy: Toy, shell: Shell) -> None:
    assert status_of(toy)["expected_night"] is not None
    output = done(shell("retire", toy.job.name, "--reason", "no longer [needed]"))
    assert f"{toy.job.name} is retired" in output
    assert f"{toy.job.name}.yaml.retired" in output
    assert load_jobs(toy.stores.settings.jobs_dir) == ([], {})  # what Airflow schedules, and late nights are looked for
    found = status_of(toy)
    assert (found["expected_night"], found["expected_night_published"]) == (None, False)
    assert (found["retired_reason"], found["nights_published"]) == ("no longer [needed]", 1)
    assert cells(done(shell("status")))[1][2] == "no longer [needed]"
    (card,) = overview(toy)["retired"]
    assert card["retired_at"] is not None
    assert len(toy.stores.warehouse.query(f"select * from {toy.job.name}_predictions")[1]) == ROWS


def test_retire_works_when_the_files_are_gone(toy: Toy, shell: Shell) -> None:
    path_of(toy).unlink()
    assert "is called" not in done(shell("retire", toy.job.name))
    assert status_of(toy)["retired_reason"] == "retired by hand"
    done(shell("retire", toy.job.name, "--reason", "again"))
    assert status_of(toy)["retired_reason"] == "again"


def test_retire_refuses_a_name_that_nobody_knows(toy: Toy, shell: Shell) -> None:
    message = refused(shell("retire", "nobody"), "JobFileError")
    assert "found 'nobody'" in message
    assert toy.job.name in message


def test_job_that_comes_back_is_expected_again(toy: Toy, shell: Shell) -> None:
    done(shell("retire", toy.job.name))
    path_of(toy).with_name(f"{toy.job.name}.yaml.retired").rename(path_of(toy))
    done(shell("migrate"))
    assert status_of(toy)["retired_at"] is None
    assert status_of(toy)["expected_night"] is not None
    assert [card["job"] for card in overview(toy)["cards"]] == [toy.job.name]


@pytest.mark.slow
def test_job_that_was_only_checked_is_not_in_the_warehouse(
    untrained: Toy, settings: Settings, monkeypatch, capsys
) -> None:
    with shell_of(settings, monkeypatch, capsys) as run:
        done(run("check", untrained.job.name))
        assert done(run("status")) == ""
        ensure_job(untrained.stores.warehouse, untrained.job)
        assert f"job {untrained.job.name}" in done(run("status"))
