"""Nights that are not over: refused, or scored on purpose and used for nothing; publications taken back."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, timedelta

import pytest

from drift.decide import conclude
from drift.measure import measure
from drift.replay import replay
from drift.runs import past_of
from drift.watch import watch
from lifecycle.shadow.review import review
from lifecycle.shadow.score import pin
from lifecycle.training.train import train
from scoring.errors import NightNotOver, RunMissing
from scoring.interval import Nights
from scoring.night.publish import discard, publish, release, unpublish
from scoring.night.request import NightRequest
from scoring.night.rescore import rescore
from scoring.night.run import run_night
from scoring.settings import HOME, RetentionPolicy, child_environment
from scoring.stores.warehouse import Run, ledger, monitoring, overview
from scoring.stores.warehouse.span import Span
from scoring.stores.workspace import Workspace
from scoring.upkeep.lateness import late
from scoring.upkeep.retention import plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.living import live
from tests.support.retention import at
from tests.support.shell import nightshift
from tests.support.toy import FIRST, NIGHT, ROWS

DAY = timedelta(days=1)
NOON = datetime(2024, 1, 8, 12, tzinfo=UTC)
"""In the middle of the night after ``NIGHT``."""
TONIGHT = NIGHT + DAY


def score(toy: Toy, night: date = NIGHT, moment: datetime | None = None, unfinished: bool = False) -> str:
    moment = moment or datetime.now(UTC)
    return run_night(
        Workspace(at(toy, moment), toy.job), NightRequest(night, moment, "test", unfinished=unfinished)
    ).run_id


def the_run(toy: Toy, run_id: str) -> Run:
    return ledger.get(toy.stores.warehouse, run_id)


def shown(toy: Toy) -> dict[date, str]:
    return ledger.published(toy.stores.warehouse, toy.job.name)


def lake_nights(toy: Toy) -> list[date]:
    return list(toy.stores.lake.nights(toy.job.name))


# ---------------------------------------------------------------- nights that are not over


@pytest.mark.parametrize("night", [TONIGHT, TONIGHT + DAY, TONIGHT + 400 * DAY])
def test_night_that_is_not_over_is_refused_before_anything_is_written(toy: Toy, night: date) -> None:
    with pytest.raises(NightNotOver, match=f"it ends at {night + DAY} 00:00:00.*Next: run it after that.*--unfinished"):
        score(toy, night, NOON)
    assert NightNotOver.retryable
    assert ledger.runs_of(toy.stores.warehouse, toy.job.name, night) == []
    assert toy.stores.lake.run_folders(toy.job.name) == {}


def test_night_is_over_at_its_last_moment_in_the_jobs_zone(toy: Toy) -> None:
    toy.change(schedule={"timezone": "America/New_York", "first_night": FIRST, "last_night": date(2024, 12, 31)})
    end = datetime(2024, 1, 8, 5, tzinfo=UTC)
    with pytest.raises(NightNotOver, match=r"2024-01-08 05:00:00\+00:00"):
        score(toy, NIGHT, end - timedelta(microseconds=1))
    assert the_run(toy, score(toy, NIGHT, end)).provisional is False


def test_unfinished_night_is_scored_on_purpose_as_provisional(toy: Toy) -> None:
    run = the_run(toy, score(toy, TONIGHT, NOON, unfinished=True))
    assert (run.status, run.provisional) == ("published", True)
    (row,) = overview.nights(toy.stores.warehouse, Span(toy.job.name))
    assert row.provisional is True
    (status,) = overview.statuses(toy.stores.warehouse, [toy.job.name])
    assert status["latest_provisional"] is True


def test_a_night_that_is_over_is_not_provisional_whatever_was_asked(toy: Toy) -> None:
    assert the_run(toy, score(toy, NIGHT, unfinished=True)).provisional is False


def test_normal_run_replaces_a_provisional_one(toy: Toy) -> None:
    early = score(toy, TONIGHT, NOON, unfinished=True)
    final = score(toy, TONIGHT, NOON + DAY)
    assert shown(toy) == {TONIGHT: final}
    assert (the_run(toy, early).status, the_run(toy, final).provisional) == ("superseded", False)
    assert verify(toy.work) == []


def test_provisional_night_does_not_count_as_scored(toy: Toy) -> None:
    job = toy.change(limits={"late_after_minutes": 60})
    score(toy, TONIGHT, NOON, unfinished=True)
    after = NOON + DAY
    assert late(Workspace(at(toy, after), job)) == TONIGHT
    assert ledger.settled(toy.stores.warehouse, job.name, after) == {}
    score(toy, TONIGHT, after)
    assert late(Workspace(at(toy, after), job)) is None


def test_publication_ahead_of_the_clock_is_not_settled_even_when_the_ledger_calls_it_final(toy: Toy) -> None:
    ledger.record(toy.stores.warehouse, score(toy, TONIGHT, NOON, unfinished=True), provisional=False)
    assert ledger.settled(toy.stores.warehouse, toy.job.name, NOON) == {}
    assert list(ledger.settled(toy.stores.warehouse, toy.job.name, NOON + DAY)) == [TONIGHT]


def test_provisional_night_is_neither_baseline_nor_evidence_nor_measured(toy: Toy) -> None:
    live(toy, [NIGHT])
    run_id = score(toy, TONIGHT, NOON, unfinished=True)
    watch(toy.work, run_id)
    span = Span(toy.job.name, Nights(NIGHT, TONIGHT + 2 * DAY))
    assert [one.night for one in past_of(toy.stores, span, 1)] == [NIGHT]
    assert [row.night for row in monitoring.drift(toy.stores.warehouse, span)] == [NIGHT]
    assert measure(toy.work, TONIGHT + 2 * DAY, Nights.since(NIGHT)) == [NIGHT]
    assert [one.night for one in replay(toy.work, Nights.including(NIGHT, TONIGHT))] == [NIGHT]


def test_provisional_night_is_never_decided_on(toy: Toy) -> None:
    toy.change(retraining={"max_age_nights": 1, "min_new_labelled_nights": 1})
    run_id = score(toy, TONIGHT, NOON, unfinished=True)
    watch(toy.work, run_id)
    decided = conclude(toy.work, run_id)
    assert (decided.decision, decided.reason) == (
        "none",
        "not evaluated: the night had not ended when it was scored",
    )


def test_nothing_is_measured_or_judged_as_known_at_a_night_that_is_not_over(toy: Toy) -> None:
    score(toy, NIGHT)
    assert measure(Workspace(at(toy, NOON), toy.job), TONIGHT + 5 * DAY, Nights.since(NIGHT)) == []
    assert review(Workspace(at(toy, NOON), toy.job), TONIGHT) == []
    assert measure(Workspace(at(toy, NOON + DAY), toy.job), TONIGHT, Nights.since(NIGHT)) == [NIGHT]


def test_shadow_begins_after_the_last_night_that_is_over(toy: Toy) -> None:
    score(toy, NIGHT)
    score(toy, TONIGHT, NOON, unfinished=True)
    version = train(toy.work, Nights(FIRST, NIGHT)).ref.version
    assert pin(toy.work, version, 3).first_night == TONIGHT


def test_training_on_a_night_that_is_not_over_is_refused(toy: Toy) -> None:
    with pytest.raises(NightNotOver, match=f"found night {TONIGHT}, which has not ended.*earlier --until"):
        train(Workspace(at(toy, NOON), toy.job), Nights(FIRST, TONIGHT + DAY))


def test_rescore_leaves_a_night_that_is_not_over(toy: Toy) -> None:
    score(toy, TONIGHT, NOON, unfinished=True)
    (done,) = rescore(Workspace(at(toy, NOON), toy.job), Nights.including(TONIGHT, TONIGHT), 1, "why")
    assert done.status == "failed"
    assert "NightNotOver" in (done.problem or "")


# ---------------------------------------------------------------- publications taken back


def test_unpublished_night_shows_nothing_and_keeps_its_history(toy: Toy) -> None:
    run_id = score(toy)
    before = datetime.now(UTC)
    assert unpublish(toy.work, NIGHT, "wrong source").run_id == run_id
    run = the_run(toy, run_id)
    assert (run.status, run.reason, shown(toy), lake_nights(toy)) == ("unpublished", "wrong source", {}, [])
    views = toy.stores.warehouse.query
    assert views(f"select count(*) from {toy.job.name}_predictions")[1] == [(0,)]
    as_of = (
        f"select count(*) from {toy.job.name}_predictions_as_of where visible_from <= '{before}' and visible_until > "
    )
    assert views(f"{as_of} '{before}'")[1] == [(ROWS,)]
    assert verify(toy.work) == []


def test_unpublish_again_changes_nothing_and_a_night_never_published_is_refused(toy: Toy) -> None:
    run_id = score(toy)
    unpublish(toy.work, NIGHT, "first")
    assert unpublish(toy.work, NIGHT, "second").reason == "first"
    with pytest.raises(RunMissing, match="found no publication; expected a published night"):
        unpublish(toy.work, TONIGHT, "why")
    assert the_run(toy, run_id).reason == "first"


def test_unpublish_that_was_interrupted_before_the_lake_is_completed(toy: Toy) -> None:
    score(toy)
    ledger.withdraw(toy.stores.warehouse, toy.job.name, NIGHT, "why", datetime.now(UTC))
    assert lake_nights(toy) == [NIGHT]
    assert [found.problem for found in verify(toy.work)] == ["a lake object of a night that is not published"]
    assert [found.repaired for found in verify(toy.work, repair=True)] == [True]
    assert lake_nights(toy) == []


def test_unpublished_night_scored_again_is_published_again(toy: Toy) -> None:
    taken_back = score(toy)
    unpublish(toy.work, NIGHT, "why")
    again = score(toy)
    assert (shown(toy), the_run(toy, taken_back).status) == ({NIGHT: again}, "unpublished")
    assert verify(toy.work) == []


def test_unpublished_run_is_released_and_neither_published_by_itself_nor_discarded(toy: Toy) -> None:
    run_id = score(toy)
    unpublish(toy.work, NIGHT, "why")
    with pytest.raises(RunMissing, match=f"found status unpublished.*release {toy.job.name} {run_id}"):
        publish(toy.work, run_id)
    with pytest.raises(RunMissing, match="found status unpublished; expected held"):
        discard(toy.work, run_id)
    assert release(toy.work, run_id).status == "published"
    assert (shown(toy), the_run(toy, run_id).reason, lake_nights(toy)) == ({NIGHT: run_id}, None, [NIGHT])


def test_run_that_began_before_the_one_taken_back_does_not_publish_itself(toy: Toy) -> None:
    first, second = score(toy), score(toy)
    unpublish(toy.work, NIGHT, "why")
    status = ledger.flip(toy.stores.warehouse, the_run(toy, first), ROWS, datetime.now(UTC))
    assert (status, shown(toy)) == ("superseded", {})
    assert the_run(toy, first).reason == f"run {second} began later and is unpublished"


def test_unpublished_night_counts_neither_for_drift_nor_for_performance(toy: Toy) -> None:
    live(toy, [NIGHT, TONIGHT])
    span = Span(toy.job.name, Nights(NIGHT, TONIGHT + DAY))
    assert [row.night for row in monitoring.performance(toy.stores.warehouse, span, TONIGHT)] == [NIGHT]
    unpublish(toy.work, NIGHT, "why")
    assert monitoring.performance(toy.stores.warehouse, span, TONIGHT) == []
    assert overview.measured(toy.stores.warehouse, span) == []
    assert [row.night for row in monitoring.drift(toy.stores.warehouse, span)] == [TONIGHT]
    for view in ("performance_by_night", "drift_by_night"):
        asked = f"select count(*) from {view} where job = '{toy.job.name}' and night = '{NIGHT}'"
        assert toy.stores.warehouse.query(asked)[1] == [(0,)]


def test_unpublished_night_measured_before_does_not_count_once_it_is_published_anew(toy: Toy) -> None:
    live(toy, [NIGHT, TONIGHT])
    unpublish(toy.work, NIGHT, "why")
    score(toy, NIGHT)
    span = Span(toy.job.name, Nights(NIGHT, TONIGHT))
    assert monitoring.performance(toy.stores.warehouse, span, TONIGHT) == []
    assert measure(toy.work, TONIGHT) == [NIGHT]
    assert len(monitoring.performance(toy.stores.warehouse, span, TONIGHT)) == 1


def test_rows_of_an_unpublished_run_go_like_those_of_a_superseded_one(toy: Toy) -> None:
    run_id = score(toy)
    unpublish(toy.work, NIGHT, "why")
    policy = RetentionPolicy(superseded_days=10, failed_days=99)
    early, due = (datetime.now(UTC) + timedelta(days=days) for days in (9, 11))
    assert plan(Workspace(at(toy, early), toy.job), policy) == []
    assert [removal.what for removal in plan(Workspace(at(toy, due), toy.job), policy)] == [run_id]


# ---------------------------------------------------------------- the command line


def told(toy: Toy, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        nightshift(*words),
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_command_line_refuses_the_night_under_way_and_takes_publications_back(toy: Toy) -> None:
    tonight = datetime.now(UTC).date()
    refused = told(toy, "run", toy.job.name, "--night", str(tonight))
    assert refused.returncode == 1
    assert "has not" not in refused.stdout
    assert "expected a night that is over" in refused.stderr
    assert "--unfinished" in refused.stderr
    assert "Traceback" not in refused.stderr
    run_id = score(toy)
    done = told(toy, "unpublish", toy.job.name, str(NIGHT), "--reason", "the source was wrong")
    assert done.returncode == 0
    assert f"run {run_id} is unpublished: the source was wrong" in done.stdout
    assert "Missing option" in told(toy, "unpublish", toy.job.name, str(NIGHT)).stderr
