"""`nightshift nightly`: what a line of cron does in place of the DAGs, every step of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest
from pydantic import SecretStr

from lifecycle.shadow import pin
from lifecycle.training import train
from scoring.interval import Nights
from scoring.night.publish import unpublish
from scoring.settings import Settings
from scoring.stores.warehouse import alone, ledger, monitoring, overview, promotions, retrainings, shadows
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, nights, score
from tests.support.receivers import Receiver, receiving
from tests.support.shell import Shell, done, shell_of
from tests.support.toy import FIRST, NIGHT, ROWS, UNTIL, execute

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def shell(
    toy: Toy,
    receiver: Receiver,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """Run a command in an installation that has one night to score, and tells the receiver."""
    toy.change(**until(NIGHT))
    changed = settings.model_copy(update={"alert_urls": SecretStr(receiver.url)})
    with shell_of(changed, monkeypatch, capsys) as run:
        yield run


def until(last: date) -> dict[str, Any]:
    return {
        "schedule": {"timezone": "UTC", "first_night": FIRST, "last_night": last},
        "limits": {"late_after_minutes": None},
    }


def lived(said: Any) -> list[tuple[Any, ...]]:
    """Return night, status, verdict and decision of what a call did."""
    rows = json.loads(said.out).get("nights", [])
    return [(row["night"], row["status"], row["verdict"], row["decision"]) for row in rows]


def shown(toy: Toy) -> dict[date, str]:
    return ledger.published(toy.stores.warehouse, toy.job.name)


def told(receiver: Receiver, toy: Toy) -> list[str]:
    """Return night and kind of every alert that was sent."""
    return [line["message"].removeprefix(f"{toy.job.name}, night ").partition(":")[0] for line in receiver.heard]


def test_every_night_that_is_due_is_scored_judged_reported_measured_and_decided(
    toy: Toy, shell: Shell, receiver: Receiver
) -> None:
    toy.change(**until(NIGHT + 2 * DAY))
    said = shell("nightly", "--json")
    assert said.code == 0, said.err
    assert lived(said) == [(str(night), "published", "ok", "none") for night in nights(3)]
    runs = [ledger.get(toy.stores.warehouse, run_id) for run_id in shown(toy).values()]
    assert [(run.night, run.origin, run.rows_scored) for run in runs] == [
        (night, "scheduled", ROWS) for night in nights(3)
    ]
    judged = monitoring.drift(toy.stores.warehouse, Span(toy.job.name))
    assert all(row.report and toy.stores.lake.exists(toy.stores.lake.below(row.report)) for row in judged)
    assert [row.night for row in overview.measured(toy.stores.warehouse, Span(toy.job.name))] == nights(2)
    first_page = toy.stores.lake.below(toy.stores.lake.report(toy.job.name, NIGHT))
    assert "Classification" in toy.stores.lake.read_text(first_page)  # made anew when its outcomes came
    kept = shown(toy)
    assert done(shell("nightly", toy.job.name)) == f"{toy.job.name}: no night is due\n"
    assert shown(toy) == kept
    assert receiver.heard == []


def test_night_that_fails_is_tried_again_by_the_next_call_and_the_others_go_on(
    toy: Toy, shell: Shell, receiver: Receiver
) -> None:
    execute(toy.source, f"delete from events where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    toy.change(**until(NIGHT + DAY))
    said = shell("nightly", "--json")
    assert said.code == 1
    assert lived(said) == [(str(NIGHT), "failed", None, None), (str(NIGHT + DAY), "published", "ok", "none")]
    assert told(receiver, toy) == [f"{NIGHT}, failed"]
    assert f"nightshift explain {toy.job.name} {NIGHT}" in receiver.heard[0]["message"]
    add_nights(toy, [NIGHT])
    assert lived(shell("nightly", "--json")) == [(str(NIGHT), "published", "ok", "none")]


def test_held_and_unpublished_nights_wait_for_a_person(toy: Toy, shell: Shell, receiver: Receiver) -> None:
    score(toy, NIGHT)
    unpublish(toy.work, NIGHT, "wrong")
    toy.change(**until(NIGHT + DAY), gate={"min_rows": ROWS + 1})
    said = shell("nightly", "--json")
    assert (said.code, lived(said)) == (1, [(str(NIGHT + DAY), "held", "ok", None)])
    assert told(receiver, toy) == [f"{NIGHT + DAY}, held"]
    assert done(shell("nightly", toy.job.name)) == f"{toy.job.name}: no night is due\n"
    assert shown(toy) == {}


def test_night_without_rows_is_skipped_once(toy: Toy, shell: Shell) -> None:
    execute(toy.source, f"delete from events where at >= '{NIGHT}'")
    toy.change(**until(NIGHT), on_empty="skip")
    said = shell("nightly", "--json")
    assert (said.code, lived(said)) == (0, [(str(NIGHT), "skipped", None, None)])
    assert lived(shell("nightly", "--json")) == []


def test_retraining_that_is_decided_is_made_and_recorded_with_the_decision(
    toy: Toy, shell: Shell, receiver: Receiver
) -> None:
    due = {"max_age_nights": 1, "min_new_labelled_nights": 1}
    toy.change(**until(NIGHT + 2 * DAY), retraining=due)
    decisions = [decision for *_, decision in lived(shell("nightly", "--json"))]
    assert decisions == ["none", "none", "retrain"]
    (row,) = retrainings.of_job(toy.stores.warehouse, toy.job.name)
    assert (row.trigger, row.night, row.open) == ("decision", NIGHT + 2 * DAY, False)
    (decided,) = [row for row in monitoring.decisions(toy.stores.warehouse, Span(toy.job.name)) if row.retraining]
    assert (decided.decision_id, decided.retraining) == (row.decision_id, "done")
    assert told(receiver, toy) == [f"{NIGHT + 2 * DAY}, retraining"]


def test_what_an_earlier_call_left_undone_is_done(toy: Toy, shell: Shell) -> None:
    by_hand = score(toy, NIGHT)
    toy.change(**until(NIGHT + DAY))
    run_id = score(toy, NIGHT + DAY, origin="scheduled")  # and then the process was killed
    assert lived(shell("nightly", "--json")) == [(str(NIGHT + DAY), "published", "ok", "none")]
    assert shown(toy) == {NIGHT: by_hand, NIGHT + DAY: run_id}  # scored once
    assert overview.decision_of(toy.stores.warehouse, by_hand) is None  # a night by hand is left to the hand
    assert lived(shell("nightly", "--json")) == []


def test_versions_in_the_shadow_score_the_night_and_are_reviewed(toy: Toy, shell: Shell) -> None:
    score(toy, NIGHT)
    other = train(toy.work, Nights(FIRST + DAY, UNTIL)).ref.version
    pin(toy.work, other, 1)
    toy.change(**until(NIGHT + 2 * DAY))
    done(shell("nightly", toy.job.name))
    scored = shadows.nights(toy.stores.warehouse, toy.job.name, other)
    assert (scored[0].night, scored[0].status) == (NIGHT + DAY, "scored")
    (stay,) = shadows.of_job(toy.stores.warehouse, toy.job.name)
    assert stay.state in ("passed", "failed", "ended")


def turned(rows: pd.DataFrame) -> pd.DataFrame:
    """The world changed: what ended well ends badly now, so that a challenger is better."""
    return rows.assign(y=~rows["y"])


def changing(toy: Toy, last: date, **promotion: Any) -> None:
    """Let a challenger be trained after three nights and promoted as ``promotion`` says."""
    policy = {"min_nights": 2, "max_latency_ratio": 1000, "max_calibration_loss": 1, **promotion}
    due = {"max_age_nights": 2, "min_new_labelled_nights": 1}
    toy.change(**until(last), promotion=policy, retraining=due, training={"holdout_nights": 4})


@pytest.mark.nightly
def test_retraining_that_nobody_answers_is_refused_in_the_end(toy: Toy, shell: Shell, receiver: Receiver) -> None:
    add_nights(toy, nights(5), turned)
    changing(toy, NIGHT + 4 * DAY, promote="human")
    done(shell("nightly", toy.job.name))
    (row,) = retrainings.of_job(toy.stores.warehouse, toy.job.name)
    assert (row.state, row.stage) == ("running", "approve"), row.detail
    assert f"nightshift retrain resume {toy.job.name} {row.retraining_id}" in " ".join(
        heard["message"] for heard in receiver.heard
    )
    assert lived(shell("nightly", "--json")) == []  # it still waits
    changing(toy, NIGHT + 4 * DAY, promote="human", approval_hours=0.000001)
    said = shell("nightly", "--json")
    assert (said.code, lived(said)) == (0, [(str(row.night), "retraining", None, None)])
    after = retrainings.get(toy.stores.warehouse, row.retraining_id)
    assert (after.state, after.detail) == ("refused", "approval: nobody answered in time")
    kinds = [heard["title"].split()[-1] for heard in receiver.heard]
    assert (kinds.count("approval"), kinds.count("retraining"), kinds[-1]) == (1, 1, "retraining")
    assert "nobody answered in time" in receiver.heard[-1]["message"]


@pytest.mark.nightly
def test_challenger_that_did_well_in_the_shadow_becomes_champion(toy: Toy, shell: Shell) -> None:
    add_nights(toy, nights(9), turned)
    changing(toy, NIGHT + 8 * DAY, promote="shadow", shadow_nights=2)
    said = shell("nightly", "--json")
    assert said.code == 0, said.err
    (row,) = retrainings.of_job(toy.stores.warehouse, toy.job.name)
    assert row.state == "promoted", row.detail
    assert (str(row.night), "retraining", None, None) in lived(said)
    crowned = promotions.history_of(toy.stores.warehouse, toy.job.name)[-1]
    assert (crowned.model_version, crowned.retraining_id) == (row.model_version, row.retraining_id)
    newest = ledger.get(toy.stores.warehouse, shown(toy)[NIGHT + 8 * DAY])
    assert newest.model_version == row.model_version  # the nights after it were scored with it, in the same call


def test_second_call_leaves_the_job_to_the_first(toy: Toy, shell: Shell) -> None:
    with alone(toy.stores.warehouse, f"nightly {toy.job.name}") as free:
        assert free
        assert done(shell("nightly", toy.job.name)) == f"{toy.job.name}: another call is at work\n"
    assert shown(toy) == {}
    done(shell("nightly", toy.job.name))
    assert list(shown(toy)) == [NIGHT]


def test_job_file_that_is_broken_and_job_without_champion_stop_no_other(toy: Toy, shell: Shell) -> None:
    from tests.support.toy import write_job

    write_job(toy.folder, "early")
    (toy.folder / "jobs" / "broken.yaml").write_text("name: broken")
    said = shell("nightly")
    assert said.code == 1
    assert "JobFileError: broken.yaml" in said.err
    assert "early: no night is due" in said.out
    assert list(shown(toy)) == [NIGHT]


def test_night_that_is_late_is_told(toy: Toy, shell: Shell, receiver: Receiver) -> None:
    yesterday = datetime.now(UTC).date() - DAY
    schedule = {"timezone": "UTC", "first_night": yesterday}
    toy.change(schedule=schedule, limits={"late_after_minutes": 1})
    assert lived(shell("nightly", "--json")) == [(str(yesterday), "failed", None, None)]  # the source has no rows yet
    assert told(receiver, toy) == [f"{yesterday}, failed", f"{yesterday}, late"]


def test_receiver_that_refuses_stops_nothing(toy: Toy, shell: Shell, receiver: Receiver) -> None:
    receiver.status = 500
    toy.change(**until(NIGHT), gate={"min_rows": ROWS + 1})
    assert lived(shell("nightly", "--json")) == [(str(NIGHT), "held", "ok", None)]
    assert toy.stores.warehouse.query("select count(*) from alerts")[1] == [(0,)]


def test_performance_that_collapses_is_told_once(toy: Toy, shell: Shell, receiver: Receiver) -> None:
    toy.change(**until(NIGHT + DAY))
    add_nights(toy, nights(2), lambda rows: rows.assign(y=~rows["y"]))
    done(shell("nightly", toy.job.name))
    (line,) = (line["message"] for line in receiver.heard if ", performance: " in line["message"])
    assert line.startswith(
        f"{toy.job.name}, night {NIGHT}, performance: worse than always saying the training data's base rate"
    )
    done(shell("drift", "performance", toy.job.name, "--night", NIGHT + DAY))
    done(shell("nightly", toy.job.name))
    assert told(receiver, toy).count(f"{NIGHT}, performance") == 1
