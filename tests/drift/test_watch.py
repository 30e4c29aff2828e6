"""Nights lived through on a real warehouse: verdicts, performance, decisions, and replays of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

from drift import decide as deciding
from drift.decide import conclude
from drift.measure import alarm_of, measure
from drift.replay import replay
from drift.runs import published_run, reference_of
from drift.watch import watch
from scoring.errors import NightHeld, RunMissing
from scoring.interval import ALL_NIGHTS, Nights
from scoring.job.files import changed_job
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.profile import Profile, profiled
from scoring.stores import RunFolder
from scoring.stores.warehouse import ledger, monitoring
from scoring.stores.warehouse.span import Span
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, columns, judged, live, nights, score, shown_run
from tests.support.toy import NIGHT, ROWS, UNTIL, events, execute, train_champion


def measured(toy: Toy, known_at, first=None):
    return monitoring.performance(
        toy.stores.warehouse, Span(toy.job.name, Nights.since(first) if first else ALL_NIGHTS), known_at
    )


# ---------------------------------------------------------------- verdict


def test_profile_on_record_is_the_profile_of_all_rows(toy: Toy) -> None:
    """The chunks of 64 rows add up to the night."""
    run_id = score(toy, NIGHT)
    watch(toy.work, run_id)
    lake = toy.stores.lake
    folder = lake.run_folder(toy.job.name, NIGHT, run_id)
    features, predictions = (
        pa.concat_tables(
            [pa.Table.from_batches(list(lake.batches(f"{folder}/{kind}-{number:05d}.parquet"))) for number in range(4)]
        )
        for kind in ("features", "predictions")
    )
    ref = RunFolder(lake, shown_run(toy, NIGHT)).version_ref()
    bins = reference_of(toy.work, ref).bins
    whole = Profile.of(bins, profiled(features, predictions, toy.job), ROWS)
    (row,) = monitoring.profiles(toy.stores.warehouse, Span(toy.job.name), 1)
    found = Profile.from_dict(row.profile)
    assert found.rows == ROWS
    assert found.columns.keys() == {"x", "kind", "prediction", "probability_grid"}
    for name, counts in whole.columns.items():
        assert (found.columns[name].bins, found.columns[name].nulls) == (counts.bins, counts.nulls)
        assert found.columns[name].total == pytest.approx(counts.total)


def test_normal_night_is_ok_and_looking_again_changes_nothing(toy: Toy) -> None:
    run_id = score(toy, NIGHT)
    first = watch(toy.work, run_id)
    before = judged(toy, NIGHT)
    again = watch(toy.work, run_id)
    assert (first.verdict, first) == ("ok", again)
    after = judged(toy, NIGHT)
    assert after == replace(before, evaluated_at=after.evaluated_at)
    assert columns(toy, NIGHT).keys() == {"x", "kind", "prediction"}
    assert (after.baseline_nights, after.model_version, after.rows) == (6, 1, ROWS)
    assert after.estimate is not None
    assert after.estimate.keys() == {"log_loss", "brier", "auc", "base_rate"}


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        (lambda rows: rows.assign(x=rows["x"] * 30), "x", "x: values"),
        (lambda rows: rows.assign(x=np.nan), "x", "x: all 200 values are null"),
        (lambda rows: rows.assign(x=0.25), "x", "x: all 200 values are the same one"),
        (lambda rows: rows.assign(x=rows["x"].abs() + 1000), "x", "every value lies outside the range"),
        (lambda rows: rows.assign(kind=rows["kind"].replace({"a": "A"})), "kind", "kind: values"),
        (
            lambda rows: rows.assign(kind=rows["kind"].replace({"a": "b"})),
            "kind",
            "kind: values are spread differently",
        ),
    ],
    ids=["scaled", "all null", "constant", "out of range", "renamed", "lost"],
)
def test_gross_fault_is_an_alert_on_its_first_night(toy: Toy, change, column: str, words: str) -> None:
    add_nights(toy, [NIGHT], change)
    toy.change(gate={"max_mean_shift_sd": 99, "max_quarantine_share": 1})
    watched = watch(toy.work, score(toy, NIGHT))
    assert watched.verdict == "alert", watched.reasons
    assert any(words in reason for reason in watched.reasons), watched.reasons
    found = columns(toy, NIGHT)
    assert found[column].status in ("gross", "fault")
    assert found.keys() == {"x", "kind", "prediction"}
    assert all(np.isfinite([row.value, row.ratio, row.threshold]).all() for row in found.values())


def test_quarantined_nulls_count_against_their_column(toy: Toy) -> None:
    """``kind`` may not be null, so the rows are gone from the profile; the verdict still sees them."""
    add_nights(toy, [NIGHT], lambda rows: rows.assign(kind=rows["kind"].where(np.arange(len(rows)) % 10 > 0)))
    watched = watch(toy.work, score(toy, NIGHT))
    assert watched.verdict == "alert"
    assert "kind: rows were quarantined" in watched.reasons[0]


def test_seasonal_column_never_alarms_alone(toy: Toy) -> None:
    seasonal = {"type": "float", "nullable": True, "min": -50, "drift": "seasonal"}
    toy.change(features={"x": seasonal, "kind": {"type": "category"}}, gate={"max_mean_shift_sd": 99})
    add_nights(toy, [NIGHT], lambda rows: rows.assign(x=rows["x"] + 2))
    watch(toy.work, score(toy, NIGHT))
    assert columns(toy, NIGHT)["x"].status == "gross"
    assert all("x:" not in reason for reason in judged(toy, NIGHT).reasons)


def test_broken_night_is_not_learnt_as_normal(toy: Toy) -> None:
    toy.change(gate={"max_mean_shift_sd": 99})
    add_nights(toy, nights(3), lambda rows: rows.assign(kind=rows["kind"].replace({"a": "A", "b": "B"})))
    live(toy, nights(3))
    assert [judged(toy, day).verdict for day in nights(3)] == ["alert"] * 3
    assert [judged(toy, day).baseline_nights for day in nights(3)] == [6, 6, 6]


@pytest.mark.slow
def test_change_that_lasts_a_week_is_learnt(toy: Toy) -> None:
    toy.change(gate={"max_mean_shift_sd": 99})
    days = nights(9)
    add_nights(toy, days, lambda rows: rows.assign(kind=rows["kind"].replace({"a": "A", "b": "B"})))
    live(toy, days)
    assert [judged(toy, day).verdict for day in days[:7]] == ["alert"] * 7
    assert judged(toy, days[7]).baseline_nights == 13
    assert judged(toy, days[7]).verdict != "alert"


def test_held_night_is_judged(toy: Toy) -> None:
    toy.change(gate={"min_rows": 10_000})
    with pytest.raises(NightHeld):
        score(toy, NIGHT)
    run = published_run(toy.work, NIGHT)
    assert run.status == "held"
    assert watch(toy.work, run.run_id).verdict == "ok"


def test_run_that_was_not_scored_is_refused(toy: Toy) -> None:
    run_id = score(toy, NIGHT)
    ledger.record(toy.stores.warehouse, run_id, status="failed")
    with pytest.raises(RunMissing, match="found status failed"):
        watch(toy.work, run_id)
    with pytest.raises(RunMissing, match="no published and no held run"):
        published_run(toy.work, NIGHT + DAY)


def test_run_without_profiles_says_what_to_do(toy: Toy) -> None:
    run_id = score(toy, NIGHT)
    folder = toy.stores.lake.run_folder(toy.job.name, NIGHT, run_id)
    toy.stores.lake.remove(f"{folder}/profile-00001.json")
    with pytest.raises(RunMissing, match=r"1 of 4 chunks have none.*score the night again"):
        watch(toy.work, run_id)


# ---------------------------------------------------------------- performance


def test_performance_is_that_of_the_published_rows(toy: Toy) -> None:
    score(toy, NIGHT)
    assert measure(toy.work, NIGHT) == []  # labels mature a day later
    assert measure(toy.work, NIGHT + DAY) == [NIGHT]
    (row,) = measured(toy, NIGHT + DAY)
    shown = pq.read_table(toy.stores.lake.current(toy.job.name, NIGHT)).sort_by("id").to_pandas()
    truth = events(NIGHT).sort_values("id")["y"].to_numpy()
    chances = shown["probability"].to_numpy()
    assert row.metrics["log_loss"]["value"] == pytest.approx(metrics.log_loss(truth, chances))
    assert row.metrics["brier"]["value"] == pytest.approx(metrics.brier_score_loss(truth, chances))
    assert row.metrics["auc"]["value"] == pytest.approx(metrics.roc_auc_score(truth, chances), abs=2e-3)
    assert all(one["low"] <= one["value"] <= one["high"] for name, one in row.metrics.items() if "error" not in name)
    assert (row.rows_labelled, row.share_labelled, row.known_at) == (ROWS, 1.0, NIGHT + DAY)


def test_measuring_again_keeps_the_row_and_late_labels_make_a_new_one(toy: Toy) -> None:
    execute(toy.source, f"update events set y = null where id < 50 and at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    score(toy, NIGHT)
    assert measure(toy.work, NIGHT + DAY) == [NIGHT]
    assert measure(toy.work, NIGHT + DAY) == []
    assert measure(toy.work, NIGHT + 2 * DAY) == []
    execute(toy.source, f"update events set y = true where id < 50 and at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    assert measure(toy.work, NIGHT + 3 * DAY) == [NIGHT]
    execute(toy.source, f"update events set y = not y where id = 7 and at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    assert measure(toy.work, NIGHT + 3 * DAY) == [NIGHT]  # corrected: the same row is replaced
    assert [row.rows_labelled for row in measured(toy, NIGHT + DAY)] == [150]  # as it was known then
    assert [row.rows_labelled for row in measured(toy, NIGHT + 3 * DAY)] == [200]
    count = toy.stores.warehouse.query("select count(*) from performance_results")[1]
    assert count == [(2,)]
    view = toy.stores.warehouse.query("select night, known_at, rows_labelled from performance_by_night")[1]
    assert view == [(NIGHT, NIGHT + 3 * DAY, 200)]


def test_rolling_metrics_are_those_of_all_rows_of_the_nights(toy: Toy) -> None:
    for day in nights(3):
        score(toy, day)
    assert measure(toy.work, NIGHT + 3 * DAY) == nights(3)
    row = measured(toy, NIGHT + 3 * DAY)[-1]
    frames = [pq.read_table(toy.stores.lake.current(toy.job.name, day)).to_pandas() for day in nights(3)]
    truth = np.concatenate(
        [events(day).set_index("id").loc[f["id"], "y"] for day, f in zip(nights(3), frames, strict=True)]
    )
    chances = pd.concat(frames)["probability"]
    assert row.rolling["7"]["nights"] == 3
    assert row.rolling["7"]["log_loss"]["value"] == pytest.approx(metrics.log_loss(truth, chances))


def test_regression_is_measured(untrained: Toy) -> None:
    execute(untrained.source, "alter table events alter column y type double precision using x + 1")
    untrained.change(task="regression", pipeline="tests.support.pipelines:build_linear")
    train_champion(untrained.work)
    live(untrained, nights(2))
    (row,) = measured(untrained, NIGHT + DAY)
    assert row.metrics.keys() == {"mae", "rmse", "bias"}
    assert row.metrics["mae"]["value"] < 0.5
    assert judged(untrained, NIGHT).estimate is None


# ---------------------------------------------------------------- decision and replay

EAGER = {
    "drift_weight": 1.0,
    "max_loss": 9.0,
    "cooldown_nights": 4,
    "min_new_labelled_nights": 1,
    "max_age_nights": 2,
    "budget": 2,
}


def test_backfill_decides_nothing_and_the_first_decision_stands(toy: Toy) -> None:
    toy.change(retraining=EAGER)
    found = live(toy, nights(2), origin="backfill")
    assert {(row.decision, row.reason) for row in found} == {("none", "not evaluated: backfill")}
    day = NIGHT + 2 * DAY
    (first,) = live(toy, [day])
    again = conclude(Workspace(toy.stores, changed_job(toy.job, ["retraining.enabled=false"])), first.run_id)
    assert again == first


@pytest.mark.slow
def test_replaying_gives_the_decisions_of_living_through_it(toy: Toy) -> None:
    """Thirteen nights with an old model, a cooldown, a budget and a broken night; later labels change nothing."""
    toy.change(retraining=EAGER, gate={"max_mean_shift_sd": 99})
    days = nights(13)
    add_nights(toy, days)
    add_nights(toy, days[7:8], lambda rows: rows.assign(x=np.nan))
    lived = live(toy, days)
    decisions = [row.decision for row in lived]
    assert decisions == ["none"] * 3 + [
        "retrain",
        "none",
        "none",
        "hold",
        "hold",
        "retrain",
        "none",
        "none",
        "hold",
        "hold",
    ]
    assert "cooldown" in lived[6].reason
    assert "broken" in lived[7].reason
    assert "budget" in lived[12].reason
    execute(toy.source, f"update events set y = not y where at >= '{NIGHT}'")
    measure(toy.work, days[-1] + 20 * DAY, nights=Nights.since(NIGHT))  # labels are corrected much later
    again = list(replay(toy.work, Nights.including(days[0], days[-1])))
    assert [(one.decision.decision, one.decision.reason) for one in again] == [
        (row.decision, row.reason) for row in lived
    ]
    assert [one.recorded for one in again] == decisions
    assert [(one.verdict.verdict, list(one.verdict.reasons)) for one in again] == [
        (judged(toy, day).verdict, judged(toy, day).reasons) for day in days
    ]
    part = list(replay(toy.work, Nights.including(days[6], days[-1])))  # nights before are taken as recorded
    assert [(one.decision.decision, one.verdict.verdict) for one in part] == [
        (one.decision.decision, one.verdict.verdict) for one in again[6:]
    ]


@pytest.mark.slow
def test_retraining_that_runs_forbids_another_until_it_must_have_been_killed(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.change(retraining={**EAGER, "cooldown_nights": 1, "max_age_nights": 1, "budget": 9})
    days = nights(6)
    add_nights(toy, days)
    asked = live(toy, days[:3])[-1]
    assert asked.decision == "retrain"
    monitoring.record_retraining(toy.stores.warehouse, asked.decision_id, "running")
    assert "a retraining is running" in live(toy, days[3:5])[-1].reason
    monkeypatch.setattr(deciding, "STALE_NIGHTS", 3)
    assert live(toy, days[5:])[-1].decision == "retrain"


@pytest.mark.slow
def test_replay_with_other_settings_writes_nothing(toy: Toy) -> None:
    toy.change(retraining=EAGER)
    add_nights(toy, nights(4))
    live(toy, nights(4))
    before = toy.stores.warehouse.query("select * from retraining_decisions order by decision_id")[1]
    other = changed_job(toy.job, ["retraining.max_age_nights=null"])
    assert {
        one.decision.decision for one in replay(Workspace(toy.stores, other), Nights.including(NIGHT, NIGHT + 3 * DAY))
    } == {"none"}
    assert toy.stores.warehouse.query("select * from retraining_decisions order by decision_id")[1] == before


@pytest.mark.slow
def test_break_in_performance_is_a_reason_the_night_three_nights_of_it_are_known(toy: Toy) -> None:
    """The outcome turns round; inputs stay as they are, so drift sees nothing."""
    toy.change(retraining={"min_new_labelled_nights": 3, "max_age_nights": None})
    days = nights(6)
    add_nights(toy, days, lambda rows: rows.assign(y=~rows["y"]))
    lived = live(toy, days)
    assert "alert" not in [judged(toy, day).verdict for day in days]
    (asked,) = (row for row in lived if row.decision == "retrain")
    assert [row.decision for row in lived[:3]] == ["none", "hold", "hold"]
    assert "worse than always saying the training data's base rate" in lived[1].reason  # as soon as it is measured
    assert "only 1 night with labels came since the change, 3 are needed" in lived[1].reason
    assert asked.night == days[3]  # three measured nights
    assert asked.reason.startswith(
        f"3 nights in a row, since {days[0]}, were worse than a constant; night {days[2]} was "
    )
    assert asked.inputs["changed_on"] == str(days[0])
    assert "measured loss of performance: excess_log_loss" in asked.inputs["evidence"][1]
    assert asked.inputs["loss"]["low"] > 0


@pytest.mark.slow
def test_a_break_that_no_retraining_mends_is_asked_about_again_when_its_nights_have_doubled(toy: Toy) -> None:
    """The version stays champion, as after a refusal; the cooldown does not count. Replaying decides alike."""
    toy.change(retraining={"max_age_nights": None, "max_loss": 99.0})
    days = nights(8)
    add_nights(toy, days, lambda rows: rows.assign(y=~rows["y"]))
    lived = live(toy, days)
    decisions = ["none", "hold", "hold", "retrain", "hold", "hold", "retrain", "hold"]  # with 3 nights, then with 6
    assert [row.decision for row in lived] == decisions
    assert "when 3 nights were known since the change, it is asked for again when there are 6" in lived[4].reason
    assert "asked for again when there are 12, now there are 7" in lived[7].reason
    again = list(replay(toy.work, Nights.including(days[0], days[-1])))
    assert [(row.decision.decision, row.decision.reason) for row in again] == [
        (row.decision, row.reason) for row in lived
    ]


@pytest.mark.slow
def test_verdict_on_performance_is_recorded_and_the_last_alert_is_told(untrained: Toy) -> None:
    """A holdout of three nights says how far nights differ; the outcome turns round on the second night."""
    toy, days = untrained, nights(5)
    toy.change(training={"holdout_nights": 3})
    train_champion(toy.work)
    add_nights(toy, days[:1])
    add_nights(toy, days[1:], lambda rows: rows.assign(y=~rows["y"]))
    live(toy, days)
    rows = measured(toy, days[-1])
    assert [row.verdict for row in rows] == ["ok", "alert", "alert", "alert"]
    assert rows[0].judgement is not None
    assert rows[0].judgement["windows"].keys() == {"night"}
    assert rows[2].judgement["windows"].keys() == {"night", "7"}
    assert "worse than always saying the training data's base rate" in rows[1].reasons[0]
    view = toy.stores.warehouse.query("select night, verdict, reasons from performance_by_night order by night")[1]
    assert view == [(row.night, row.verdict, row.reasons) for row in rows]
    assert alarm_of(toy.work, days[:1], days[-1]) is None
    night, words = alarm_of(toy.work, days[:3], days[-1]) or (None, "")
    assert (night, words) == (days[2], "; ".join(rows[2].reasons))
    run_night(toy.work, NightRequest(days[0] - DAY, toy.stores.clock(), "cli", model_version=1))  # it was trained on it
    measure(toy.work, days[-1], nights=Nights.of(days[0] - DAY))
    (seen,) = measured(toy, days[-1], days[0] - DAY)[:1]
    assert (seen.verdict, seen.reasons) == (None, ["not judged: version 1 was trained on this night or on later ones"])


@pytest.mark.slow
def test_labels_after_the_night_do_not_reach_its_decision(toy: Toy) -> None:
    """What is known at the end of a night are the labels of nights that matured by then."""
    days = nights(5)
    add_nights(toy, days)
    lived = live(toy, days)
    assert [row.inputs["new_labelled_nights"] for row in lived] == [0, 1, 2, 3, 4]
    assert lived[-1].inputs["trained_until"] == str(UNTIL)
    assert lived[0].inputs["loss"] is None
    assert days[-1] - timedelta(days=4) == NIGHT


def test_replay_evaluates_a_backfill_as_if_it_had_been_scheduled(toy: Toy) -> None:
    add_nights(toy, nights(4))
    decided = live(toy, nights(4), origin="backfill")
    assert {row.reason for row in decided} == {"not evaluated: backfill"}
    policy = {"max_age_nights": 1, "min_new_labelled_nights": 1}
    other = toy.job.model_copy(update={"retraining": toy.job.retraining.model_copy(update=policy)})
    again = list(replay(Workspace(toy.stores, other), Nights.including(NIGHT, NIGHT + 3 * DAY)))
    assert [one.decision.decision for one in again].count("retrain") == 1
    assert not any("backfill" in one.decision.reason for one in again)
    assert {one.recorded for one in again} == {"none"}  # what is on record stays


def test_backfill_judged_out_of_order_ends_with_the_verdicts_of_replay(toy: Toy) -> None:
    """Night 3 is judged before nights 1 and 2, as happens with nights side by side, and before it the change that it is in."""
    toy.change(gate={"max_mean_shift_sd": 99})
    days = nights(5)
    add_nights(toy, days, lambda rows: rows.assign(x=rows["x"] + 0.3))
    runs = {day: score(toy, day, origin="backfill") for day in days}
    at_once = {}
    for day in (days[place] for place in (0, 3, 2, 4, 1)):
        watch(toy.work, runs[day])
        at_once[day] = judged(toy, day).score
    on_record = [(judged(toy, day).verdict, judged(toy, day).reasons, judged(toy, day).score) for day in days]
    again = list(replay(toy.work, Nights.including(days[0], days[-1])))
    assert on_record == [(one.verdict.verdict, list(one.verdict.reasons), one.verdict.score) for one in again]
    assert [at_once[day] for day in days] != [score for *_, score in on_record]  # the order mattered


def test_lived_nights_keep_the_verdict_that_they_were_lived_with(toy: Toy) -> None:
    """A night that is backfilled later does not change what was decided on then."""
    toy.change(gate={"max_mean_shift_sd": 99})
    days = nights(3)
    add_nights(toy, days, lambda rows: rows.assign(x=rows["x"] + 0.3))
    live(toy, days[2:], origin="scheduled")
    before = judged(toy, days[2])
    for day in days[:2]:
        watch(toy.work, score(toy, day, origin="backfill"))
    assert judged(toy, days[2]) == before


def test_two_nights_judged_side_by_side_know_each_other(toy: Toy) -> None:
    toy.change(gate={"max_mean_shift_sd": 99})
    days = nights(4)
    add_nights(toy, days, lambda rows: rows.assign(x=rows["x"] + 0.3))
    runs = [score(toy, day, origin="backfill") for day in days]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda run_id: watch(toy.work, run_id), [runs[1], runs[0], runs[3], runs[2]]))
    again = list(replay(toy.work, Nights.including(days[0], days[-1])))
    assert [(judged(toy, day).verdict, judged(toy, day).score) for day in days] == [
        (one.verdict.verdict, one.verdict.score) for one in again
    ]


def test_another_champion_with_another_threshold_raises_no_alarm_on_predictions(toy: Toy) -> None:
    """A version's nights are compared with what it said itself, and with probabilities, which no threshold moves."""
    days = nights(4)
    add_nights(toy, days)
    live(toy, days[:2])
    toy.change(label={"column": "y", "threshold": 0.05})
    train_champion(toy.work, until=days[2])
    live(toy, days[2:])
    for day in days[2:]:
        shown = pq.read_table(toy.stores.lake.current(toy.job.name, day)).to_pandas()
        assert shown["prediction"].mean() > 0.9  # at 0.05 nearly all are positive
        assert judged(toy, day).model_version == 2
        assert columns(toy, day)["prediction"].status == "ok"
        assert judged(toy, day).verdict == "ok"
