"""Nights scored and watched without Airflow: verdict and performance as the DAG leaves them, ranges, what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import partial
from itertools import pairwise

import pytest

from scoring.settings import Settings
from scoring.stores import RunFolder
from scoring.stores.warehouse import ledger, monitoring, overview
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live
from tests.support.living import nights as days
from tests.support.shell import Shell, cells, done, shell_of
from tests.support.toy import FIRST, NIGHT, ROWS, execute


@pytest.fixture
def shell(
    toy: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """Run a command of ``nightshift``."""
    with shell_of(settings, monkeypatch, capsys) as run:
        yield run


@pytest.fixture
def drift(
    toy: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """Run a command of ``nightshift drift``."""

    with shell_of(settings, monkeypatch, capsys) as run:
        yield partial(run, "drift")


def verdicts(toy: Toy) -> dict[date, str | None]:
    """Return the verdict of the run that each night shows."""
    return {row.night: row.verdict for row in overview.nights(toy.stores.warehouse, Span(toy.job.name))}


def table(output: str) -> list[list[str]]:
    """Return the rows of a printed table, without its head and the lines that a long cell goes on in."""
    return [row for row in cells(output)[1:] if row[0]]


def measured_runs(toy: Toy) -> dict[date, str]:
    return {row.night: row.run_id for row in overview.measured(toy.stores.warehouse, Span(toy.job.name))}


def shown(toy: Toy) -> dict[date, str]:
    return ledger.published(toy.stores.warehouse, toy.job.name)


def test_run_again_keeps_verdict_and_performance(toy: Toy, shell: Shell) -> None:
    live(toy, days(3))
    before = shown(toy)[NIGHT]
    done(shell("run", toy.job.name, "--night", NIGHT))
    assert shown(toy)[NIGHT] != before
    assert verdicts(toy) == dict.fromkeys(days(3), "ok")
    assert measured_runs(toy)[NIGHT] == shown(toy)[NIGHT]


def test_run_without_monitor_judges_nothing(toy: Toy, shell: Shell) -> None:
    done(shell("run", toy.job.name, "--night", NIGHT, "--no-monitor"))
    assert verdicts(toy) == {NIGHT: None}


def test_held_night_is_judged_too(toy: Toy, shell: Shell) -> None:
    toy.change(gate={"min_rows": 1000})
    assert shell("run", toy.job.name, "--night", NIGHT).err.startswith("NightHeld")
    assert verdicts(toy) == {NIGHT: "ok"}


@pytest.mark.slow
def test_rescored_nights_keep_verdict_and_performance(toy: Toy, shell: Shell) -> None:
    live(toy, days(3))
    span = ("--from", NIGHT, "--to", NIGHT + 2 * DAY)
    output = done(shell("rescore", toy.job.name, *span, "--model-version", 1))
    assert [row[-1] for row in cells(output)[1:]] == ["ok", "ok", "ok", "–"]
    assert verdicts(toy) == dict.fromkeys(days(3), "ok")
    assert {night: run for night, run in shown(toy).items() if night in measured_runs(toy)} == measured_runs(toy)
    done(shell("rescore", toy.job.name, *span, "--model-version", 1, "--no-monitor"))
    assert set(verdicts(toy).values()) == {None}


def test_range_scores_every_night_and_ends_with_1_when_one_fails(toy: Toy, shell: Shell) -> None:
    execute(toy.source, f"delete from events where at >= '{NIGHT + DAY}' and at < '{NIGHT + 2 * DAY}'")
    said = shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT + 2 * DAY)
    assert said.code == 1
    rows = table(said.out)
    assert [row[:3] for row in rows] == [
        [str(NIGHT), "published", str(ROWS)],
        [str(NIGHT + DAY), "failed", "–"],
        [str(NIGHT + 2 * DAY), "published", str(ROWS)],
    ]
    assert [row[4] for row in rows] == ["ok", "–", "ok"]
    assert rows[1][5].startswith("EmptyNight: night")
    assert measured_runs(toy) == {NIGHT: shown(toy)[NIGHT]}


def test_range_ends_with_1_when_a_night_is_held_and_with_0_when_one_is_skipped(toy: Toy, shell: Shell) -> None:
    execute(toy.source, f"delete from events where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    execute(toy.source, f"delete from events where id < 50 and at >= '{NIGHT + DAY}' and at < '{NIGHT + 2 * DAY}'")
    toy.change(on_empty="skip", gate={"min_rows": ROWS - 10})
    span = ("--from", NIGHT, "--to", NIGHT + DAY)
    said = shell("run", toy.job.name, *span)
    assert said.code == 1
    assert [row[1] for row in table(said.out)] == ["skipped", "held"]
    assert "gate.min_rows" in said.out
    assert shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT).code == 0


def test_missing_scores_only_nights_that_are_not_published(toy: Toy, shell: Shell) -> None:
    toy.change(schedule={"timezone": "UTC", "first_night": FIRST, "last_night": NIGHT + 2 * DAY})
    done(shell("run", toy.job.name, "--night", NIGHT + DAY))
    kept = shown(toy)
    output = done(shell("run", toy.job.name, "--missing"))
    assert [row[0] for row in cells(output)[1:]] == [str(NIGHT), str(NIGHT + 2 * DAY)]
    assert shown(toy)[NIGHT + DAY] == kept[NIGHT + DAY]
    assert sorted(shown(toy)) == days(3)
    assert done(shell("run", toy.job.name, "--missing")) == f"{toy.job.name}: no night is missing\n"
    early = done(
        shell("run", toy.job.name, "--missing", "--from", FIRST + 4 * DAY, "--to", NIGHT, "--model-version", 1)
    )
    assert [row[0] for row in cells(early)[1:]] == [str(FIRST + 4 * DAY), str(FIRST + 5 * DAY)]


def test_night_that_was_skipped_is_not_missing(toy: Toy, shell: Shell) -> None:
    execute(toy.source, f"delete from events where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    schedule = {"timezone": "UTC", "first_night": FIRST, "last_night": NIGHT + DAY}
    toy.change(schedule=schedule, on_empty="skip")
    assert [row[1] for row in table(done(shell("run", toy.job.name, "--missing")))] == ["skipped", "published"]
    assert done(shell("run", toy.job.name, "--missing")) == f"{toy.job.name}: no night is missing\n"
    assert len(ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)) == 1
    (row,) = table(done(shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT)))  # by name it is tried again
    assert row[1] == "skipped"


def test_run_of_a_range_begins_when_its_turn_comes(toy: Toy, shell: Shell) -> None:
    done(shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT + 2 * DAY, "--no-monitor"))
    runs = [ledger.get(toy.stores.warehouse, run_id) for run_id in shown(toy).values()]
    for before, after in pairwise(runs):
        assert before.finished_at is not None
        assert after.started_at >= before.finished_at  # else rows per second would count the nights before


@pytest.mark.parametrize(
    "arguments",
    [(), ("--from", NIGHT), ("--to", NIGHT), ("--night", NIGHT, "--to", NIGHT), ("--night", NIGHT, "--missing")],
)
def test_run_wants_one_night_or_a_range(toy: Toy, shell: Shell, arguments: tuple[object, ...]) -> None:
    said = shell("run", toy.job.name, *arguments)
    assert said.code == 2
    assert "--from" in said.err
    backwards = shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT - DAY)
    assert backwards.code == 1
    assert "expected a first night not after the last" in backwards.err


def test_verdict_decision_and_report_take_a_range(toy: Toy, drift: Shell) -> None:
    from tests.support.living import score

    for night in (NIGHT, NIGHT + 2 * DAY):
        score(toy, night)
    span = ("--from", NIGHT, "--to", NIGHT + 2 * DAY)
    judged = table(done(drift("verdict", toy.job.name, *span)))
    assert [row[1:3] for row in judged] == [["published", "ok"], ["not scored", "–"], ["published", "ok"]]
    decided = table(done(drift("decide", toy.job.name, *span)))
    assert [row[2] for row in decided] == ["none", "–", "none"]
    assert len(monitoring.decisions(toy.stores.warehouse, Span(toy.job.name))) == 2
    ((*_, verdict, page, lacks),) = table(done(drift("report", toy.job.name, "--from", NIGHT, "--to", NIGHT)))
    assert (verdict, lacks) == ("ok", "–")
    assert page != "no page"
    assert toy.stores.lake.exists(toy.stores.lake.below(toy.stores.lake.report(toy.job.name, NIGHT)))
    assert drift("verdict", toy.job.name).code == 2


def test_performance_takes_a_range_and_measures_what_each_night_knew(toy: Toy, shell: Shell, drift: Shell) -> None:
    done(shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT + 2 * DAY, "--no-monitor"))
    assert measured_runs(toy) == {}
    said = drift("performance", toy.job.name, "--from", NIGHT, "--to", NIGHT + 2 * DAY, "--json")
    content = json.loads(done(said))
    assert [(row["night"], row["status"], row["nights_measured"]) for row in content["known_at"]] == [
        (str(NIGHT), "nothing new", None),
        (str(NIGHT + DAY), "measured", str(NIGHT)),
        (str(NIGHT + 2 * DAY), "measured", str(NIGHT + DAY)),
    ]
    assert [row["night"] for row in content["nights"]] == [str(NIGHT), str(NIGHT + DAY)]
    rows = monitoring.performance(toy.stores.warehouse, Span(toy.job.name), NIGHT + DAY)
    assert [(row.night, row.known_at) for row in rows] == [(NIGHT, NIGHT + DAY)]  # as lived through
    execute(toy.source, "alter table events drop column y")
    failed = drift("performance", toy.job.name, "--from", NIGHT + DAY, "--to", NIGHT + 2 * DAY)
    assert failed.code == 1
    assert failed.out.count("SourceQueryError") == 2
    for wrong in ((), ("--night", NIGHT, "--from", NIGHT), ("--since", NIGHT, "--from", NIGHT, "--to", NIGHT)):
        assert drift("performance", toy.job.name, *wrong).code == 2


def test_range_of_reports_ends_with_1_when_a_page_cannot_be_made(toy: Toy, drift: Shell) -> None:
    from tests.support.living import score

    for night in days(2):
        score(toy, night)
    run = ledger.get(toy.stores.warehouse, shown(toy)[NIGHT])
    for number in RunFolder(toy.stores.lake, run).chunks:
        toy.stores.lake.remove(RunFolder(toy.stores.lake, run).part("features", number))
    said = drift("report", toy.job.name, "--from", NIGHT, "--to", NIGHT + DAY, "--json")
    assert said.code == 1
    rows = json.loads(said.out)["nights"]
    assert [(row["status"], row["verdict"], bool(row["page"])) for row in rows] == [
        ("no page", "ok", False),
        ("published", "ok", True),
    ]
    assert "LakeFileMissing" in rows[0]["not_on_the_page"]


@pytest.mark.slow
def test_many_nights_run_in_one_process(toy: Toy, shell: Shell) -> None:
    add_nights(toy, days(8))
    output = done(shell("run", toy.job.name, "--from", NIGHT, "--to", NIGHT + 7 * DAY))
    rows = table(output)
    assert len(rows) == 8
    assert {row[1] for row in rows} == {"published"}
    assert max(float(row[3]) for row in rows[1:]) < 30  # seconds each; about one on a machine with nothing else to do
    assert len(measured_runs(toy)) == 7
