"""``nightshift drift``: every command as the shell runs it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from scoring.settings import Settings
from scoring.stores.warehouse import monitoring
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live, nights, score
from tests.support.shell import Said, Shell, shell_of
from tests.support.toy import NIGHT, UNTIL


@pytest.fixture
def drift(
    toy: Toy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """Run a command of ``nightshift drift``."""
    with shell_of(settings, monkeypatch, capsys) as run:
        yield partial(run, "drift")


def test_verdict_prints_every_column_with_its_limit(drift, toy: Toy) -> None:
    score(toy, NIGHT)
    said: Said = drift("verdict", toy.job.name, str(NIGHT))
    assert said.code == 0
    assert f"{toy.job.name} {NIGHT}, model version 1" in said.out
    assert ": ok, 200 rows against 6 nights" in said.out
    for word in ("prediction", "kind", "x", "unusual above", "monitored"):
        assert word in said.out


def test_report_says_where_the_page_is(drift, toy: Toy) -> None:
    score(toy, NIGHT)
    said = drift("report", toy.job.name, str(NIGHT))
    assert said.code == 0
    assert f"page {toy.stores.lake.below(toy.stores.lake.report(toy.job.name, NIGHT))}" in said.out


def test_report_that_cannot_be_made_ends_red_with_the_verdict(drift, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    score(toy, NIGHT)
    toy.stores.lake.write_text(toy.stores.lake.below(f"reports/{toy.job.name}"), "a file where a folder should be")
    said = drift("report", toy.job.name, str(NIGHT))
    assert said.code == 1
    assert "no page: " in said.err
    assert ": ok, 200 rows" in said.out


def test_performance_prints_metrics_with_intervals(drift, toy: Toy) -> None:
    live(toy, nights(3))
    said = drift("performance", toy.job.name, "--night", str(NIGHT + 3 * DAY))
    assert said.code == 0
    assert "1 nights new" in said.out
    assert "log_loss" in said.out
    assert " to " in said.out
    assert drift("performance", toy.job.name, "--night", str(UNTIL)).code == 0  # nothing known yet


def test_decide_prints_decision_and_facts(drift, toy: Toy) -> None:
    score(toy, NIGHT)
    said = drift("decide", toy.job.name, str(NIGHT))
    assert said.code == 0
    assert f"{toy.job.name} {NIGHT}: none: no reason" in said.out
    assert "trained_until" in said.out
    assert len(monitoring.decisions(toy.stores.warehouse, Span(toy.job.name))) == 1


def test_replay_prints_what_would_have_happened(drift, toy: Toy) -> None:
    add_nights(toy, nights(4))
    live(toy, nights(4))
    span = ("--from", str(NIGHT), "--to", str(NIGHT + 3 * DAY))
    said = drift("replay", toy.job.name, *span)
    assert said.code == 0
    assert "decisions {'none': 4}" in said.out
    eager = ("--set", "retraining.max_age_nights=1", "--set", "retraining.min_new_labelled_nights=1")
    said = drift("replay", toy.job.name, *span, *eager, "--all")
    assert said.code == 0
    assert "'retrain': 1" in said.out
    assert "age: nothing was trained since" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verdict", "{job}", "2025-01-01"), "found no published and no held run"),
        (("verdict", "nobody", "2024-01-07"), "expected one of"),
        (("decide", "{job}", "yesterday"), "expected a calendar day"),
        (("replay", "{job}", "--from", "2024-01-07", "--to", "2024-01-08", "--set", "gate.min_rows=1"), "monitor."),
        (
            ("replay", "{job}", "--from", "2024-01-07", "--to", "2024-01-08", "--set", "monitor.nonsense=1"),
            "found an unknown key",
        ),
    ],
)
def test_errors_are_one_line_with_exit_code_1(drift, toy: Toy, arguments: tuple[str, ...], words: str) -> None:
    said = drift(*(argument.format(job=toy.job.name) for argument in arguments))
    assert said.code == 1
    assert words in said.err
    assert "Traceback" not in said.err
