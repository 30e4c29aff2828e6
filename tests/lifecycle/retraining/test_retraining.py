"""Retrainings on a real warehouse and registry: what makes a challenger champion, and what does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.promotion import promote
from lifecycle.retraining import tasks
from lifecycle.retraining.record import RetrainingRequest, abandon, announce, begin
from lifecycle.retraining.tasks import evaluate, resume, retrain
from lifecycle.shadow.review import Reviewed, review
from lifecycle.shadow.score import pin, shadow_run
from lifecycle.training.train import train
from lifecycle.training.window import training_window
from scoring.errors import RegistryUnavailable, RetrainingFailed, RetrainingRunning, TrainingDataError
from scoring.interval import Nights
from scoring.stores.warehouse import Retraining, ledger, monitoring, promotions, retrainings, shadows
from scoring.stores.warehouse.promotions import champion_at
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live, nights, score
from tests.support.registry import record_anew
from tests.support.toy import FIRST, NIGHT, ROWS, UNTIL, execute

pytestmark = pytest.mark.slow

NEW = 21
"""Nights after the champion's training."""
LAST = NIGHT + (NEW - 1) * DAY
Change = Callable[[pd.DataFrame], pd.DataFrame]


def turned(rows: pd.DataFrame) -> pd.DataFrame:
    """The world changed: what ended well ends badly now."""
    return rows.assign(y=~rows["y"])


def noise(rows: pd.DataFrame) -> pd.DataFrame:
    """Outcomes that nothing explains."""
    random = np.random.default_rng(int(rows["at"].iloc[0].timestamp()))
    return rows.assign(y=random.random(len(rows)) < 0.5)


def same(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


def change(toy: Toy, **changes: dict[str, Any]) -> None:
    """Give the job other settings, on top of a holdout of two weeks; small models take no time, so that is no guard."""
    usual: dict[str, Any] = {"training": {"holdout_nights": 14}, "promotion": {"max_latency_ratio": 1000}}
    toy.change(**{name: {**usual.get(name, {}), **changes.get(name, {})} for name in {*usual, *changes}})


@pytest.fixture
def lived(toy: Toy) -> Toy:
    """A champion, and its first night published."""
    change(toy)
    score(toy, NIGHT)
    return toy


def asked(toy: Toy, night: date = LAST, **facts: Any) -> Retraining:
    return retrain(toy.work, RetrainingRequest("a test", night=night, **facts))


def detail_of(row: Retraining) -> str:
    """Return what a retraining says of its end, which it must."""
    assert row.detail is not None
    return row.detail


def champion(toy: Toy, night: date = date.max) -> int | None:
    return champion_at(promotions.history_of(toy.stores.warehouse, toy.job.name), night)


def versions(toy: Toy) -> list[int]:
    return [ref.version for ref in toy.stores.registry.versions(toy.job.name)]


def card_of(toy: Toy, version: int) -> dict[str, Any]:
    found = retrainings.card(toy.stores.warehouse, toy.job.name, version)
    assert found is not None
    return found


# ---------------------------------------------------------------- better, equal, worse, leaky


def test_better_challenger_takes_the_crown_from_the_next_night_on_that_it_was_not_trained_on(lived: Toy) -> None:
    add_nights(lived, nights(NEW), turned)
    row = asked(lived)
    assert (row.state, row.stage, row.model_version, row.champion_version) == ("promoted", "done", 2, 1), row
    assert (champion(lived, row.until - DAY), champion(lived, row.until)) == (1, 2)
    assert lived.stores.registry.aliases(lived.job.name) == {"champion": 2}
    made = promotions.history_of(lived.stores.warehouse, lived.job.name)[-1]
    assert (made.retraining_id, made.promoted_by) == (
        row.retraining_id,
        "nightshift",
    )
    assert "gain in log loss" in made.reason
    gain = card_of(lived, 2)["evaluation"]["gain"]
    assert gain["low"] > 0.1
    assert gain["nights"] == 10  # half of the 20 nights whose labels had matured
    (one,) = shadows.running(lived.stores.warehouse, lived.job.name)
    assert (one.role, one.model_version, one.first_night, one.nights) == (
        "predecessor",
        1,
        row.until,
        14,
    )


def test_equal_challenger_ties_and_the_champion_stays(lived: Toy) -> None:
    """Same data up to the holdout: nothing new to learn, so both say the same and gain exactly nothing."""
    add_nights(lived, nights(NEW))
    row = asked(lived, since=FIRST, until=UNTIL + 7 * DAY)
    gain = card_of(lived, 2)["evaluation"]["gain"]
    assert (gain["value"], gain["low"], gain["high"], gain["nights"]) == (0, 0, 0, 7)
    assert row.state == "refused"
    assert "a tie keeps the champion" in detail_of(row)
    assert champion(lived) == 1
    assert lived.stores.registry.aliases(lived.job.name) == {"champion": 1, "challenger": 2}


def test_challenger_of_an_unchanged_world_is_not_promoted(lived: Toy) -> None:
    change(lived, promotion={"min_gain": 0.01})
    add_nights(lived, nights(NEW))
    assert asked(lived).state == "refused"
    assert champion(lived) == 1


def test_challenger_trained_on_noise_is_refused(lived: Toy) -> None:
    """Outcomes were shuffled for a week: what learnt from them is worse on the sound nights that followed."""
    add_nights(lived, nights(NEW))
    add_nights(lived, nights(10), noise)
    row = asked(lived, since=NIGHT)
    gain = card_of(lived, 2)["evaluation"]["gain"]
    assert row.state == "refused"
    assert gain["high"] < 0
    assert champion(lived) == 1


def test_leaky_challenger_that_saw_the_holdout_has_no_nights_left_to_win_on(lived: Toy, monkeypatch) -> None:
    """It remembers every row, so on nights that it was fitted on it is perfect; these nights are dropped."""
    add_nights(lived, nights(NEW))
    lived.change(pipeline="tests.support.pipelines:build_memory", training={"holdout_nights": 14}, promotion={})
    train(lived.work, Nights(FIRST, LAST))
    leak_holdout(lived, 2)
    row = begin(lived.work, RetrainingRequest("leak", night=LAST))
    facts = lived.stores.registry.facts(lived.stores.registry.resolve(lived.job.name, 2))
    retrainings.record(lived.stores.warehouse, row.retraining_id, model_version=2, snapshot=facts.snapshot)
    evaluate(lived.work, row.retraining_id)
    assert not tasks.gate(lived.work, row.retraining_id)
    found = retrainings.get(lived.stores.warehouse, row.retraining_id)
    assert "0 holdout nights that neither version has seen (14 of 14 dropped" in detail_of(found)
    assert champion(lived) == 1


def leak_holdout(toy: Toy, version: int) -> None:
    """Put the predictions of the pipeline that saw everything in place of the honest ones, and say so in the facts."""
    import pyarrow.parquet as pq

    from lifecycle.training.fit import batch_of
    from lifecycle.training.snapshot import load
    from scoring.rows.prediction import predict

    ref = toy.stores.registry.resolve(toy.job.name, version)
    folder = Path(ref.uri.removeprefix("file://"))
    facts = json.loads((folder / "facts.json").read_text())
    kept = pq.read_table(folder / "holdout.parquet")
    rows = load(toy.work, facts["snapshot"]).rows.labelled
    late = rows.slice(rows.num_rows - kept.num_rows)
    said = predict(toy.stores.registry.load(ref, toy.job).pipeline, batch_of(late), toy.job)
    leaky = kept
    for name in ("prediction", "probability"):
        leaky = leaky.set_column(leaky.schema.get_field_index(name), name, said.column(name))
    pq.write_table(leaky, folder / "holdout.parquet")
    (folder / "facts.json").write_text(json.dumps({**facts, "evaluated_until": facts["until"]}))
    record_anew(toy.stores, ref)


def test_nights_that_the_champion_saw_do_not_count(lived: Toy) -> None:
    add_nights(lived, nights(NEW), turned)
    late = train(lived.work, Nights(FIRST, LAST - 4 * DAY)).ref
    promote(lived.work, late.version, "by hand", "tests")
    row = asked(lived)
    assert row.state == "refused"
    assert "4 holdout nights that neither version has seen (3 of 7 dropped" in detail_of(row)


def test_guards_refuse_a_better_challenger(lived: Toy) -> None:
    change(lived, promotion={"max_size_ratio": 0.1, "max_latency_ratio": 1000, "segments": ["kind"]})
    add_nights(lived, nights(NEW), turned)
    row = asked(lived)
    assert row.state == "refused"
    assert detail_of(row).startswith("gate: size × ")
    assert row.gate is not None
    passed = {check["name"]: check["passed"] for check in row.gate["checks"]}
    assert passed == {
        "nights": True,
        "gain": True,
        "calibration": True,
        "segment kind a": True,
        "segment kind b": True,
        "segment kind c": True,
        "latency": True,
        "size": False,
    }


@pytest.mark.parametrize(
    ("task", "label", "outcome", "pipeline"),
    [
        (
            "multiclass",
            {"classes": ["no", "perhaps", "yes"]},
            "case when id % 5 = 0 then 'perhaps' when y then 'yes' else 'no' end",
            "tests.support.toy:build_pipeline",
        ),
        ("regression", {}, "case when y then 1.5 else 0.5 end", "tests.support.pipelines:build_linear"),
    ],
)
def test_other_tasks_are_compared_and_shadowed_too(
    untrained: Toy, task: str, label: Any, outcome: str, pipeline: str
) -> None:
    usual = {"training": {"holdout_nights": 14}, "promotion": {"max_latency_ratio": 1000, "segments": ["kind"]}}
    untrained.change(
        task=task, label={"column": "y", **label}, pipeline=pipeline, gate={"max_mean_shift_sd": 99}, **usual
    )
    labels = untrained.stores.labels_query(untrained.job).path
    labels.write_text(f"""select at, id, {outcome} as y from events
        where at >= :interval_start and at < :interval_end and y is not null""")
    assert asked(untrained, UNTIL).state == "promoted"
    add_nights(untrained, nights(NEW + 3), turned)
    score(untrained, LAST)
    row = asked(untrained)
    assert (row.state, champion(untrained)) == ("promoted", 2), row.detail
    shadowed(untrained, nights(2, LAST + DAY))
    (first, _) = shadows.nights(untrained.stores.warehouse, untrained.job.name, 1)
    assert first.sums is not None
    assert first.disagreement is not None
    assert first.sums["champion"] < first.sums["shadow"]
    assert first.disagreement["mean_absolute"] > 0.05
    assert (first.disagreement["decisions_changed"] is None) == (task == "regression")
    assert len(first.disagreement["segments"]) == 3


# ---------------------------------------------------------------- first version, snapshot, window


@pytest.mark.parametrize(("floor", "state"), [(0.6, "promoted"), (0.99, "refused")])
def test_first_version_needs_only_the_floors(untrained: Toy, floor: float, state: str) -> None:
    change(untrained, promotion={"floors": {"auc": floor, "brier": 0.25}})
    add_nights(untrained, nights(NEW))
    row = asked(untrained)
    assert row.state == state
    assert untrained.stores.registry.aliases(untrained.job.name) == (
        {"champion": 1} if state == "promoted" else {"challenger": 1}
    )
    assert ("auc is" in detail_of(row)) == (state == "refused")
    assert card_of(untrained, 1)["evaluation"]["champion"] is None


def test_first_version_worse_than_the_base_rate_is_refused(untrained: Toy) -> None:
    """The holdout's outcomes are the contrary of what the nights before teach."""
    change(untrained)
    add_nights(untrained, nights(NEW), turned)
    row = asked(untrained, since=FIRST, until=UNTIL + 2 * DAY + 12 * DAY)
    assert row.state == "refused"
    assert "always saying the base rate of the nights before has" in detail_of(row)
    assert champion(untrained) is None
    assert untrained.stores.registry.aliases(untrained.job.name) == {"challenger": 1}


def test_unchanged_snapshot_says_so_and_stops(lived: Toy) -> None:
    add_nights(lived, nights(NEW))
    first = asked(lived)
    again = asked(lived)
    assert (again.state, again.snapshot, again.model_version) == ("unchanged", first.snapshot, None)
    assert "version 2 was trained on the same rows" in detail_of(again)
    assert versions(lived) == [1, 2]
    assert asked(lived, force=True).model_version == 3
    digests = {ref.sha256 for ref in lived.stores.registry.versions(lived.job.name)[1:]}
    assert len(digests) == 1  # the same rows give the same artifact
    execute(lived.source, f"update events set y = not y where id = 7 and at >= '{LAST - 2 * DAY}'")
    assert asked(lived).state != "unchanged"
    change(lived, training={"reference_rows": 500})
    assert asked(lived).state != "unchanged"  # another recipe


def test_labels_that_have_not_matured_are_left_out(lived: Toy) -> None:
    change(lived, label={"column": "y", "delay_days": 3})
    add_nights(lived, nights(NEW))
    row = asked(lived, until=LAST + 9 * DAY)
    assert (row.until, row.since) == (LAST - 2 * DAY, LAST - 92 * DAY)
    data = card_of(lived, 2)["data"]
    assert data["until"] == str(LAST - 2 * DAY)
    assert data["rows"] <= (6 + NEW - 3) * ROWS


def test_window_slides_or_expands(toy: Toy) -> None:
    night = FIRST + 200 * DAY
    assert training_window(toy.job, night) == Nights(night - 90 * DAY, night)
    assert training_window(toy.change(training={"window": "expanding"}), night) == Nights(FIRST, night)


def test_too_much_quarantine_is_never_trained_on(lived: Toy) -> None:
    add_nights(lived, nights(NEW), lambda rows: rows.assign(x=rows["x"].where(rows["id"] % 4 > 0, -99)))
    with pytest.raises(
        TrainingDataError, match=r"rows \(19\.\d%\) in quarantine .*at most training.max_quarantine_share, 5"
    ):
        asked(lived)
    (row,) = retrainings.of_job(lived.stores.warehouse, lived.job.name)
    assert (row.state, row.stage) == ("failed", "snapshot")
    assert versions(lived) == [1]


def test_calibration_is_part_of_the_version(untrained: Toy) -> None:
    change(untrained, training={"calibration": "sigmoid", "calibration_nights": 5})
    add_nights(untrained, nights(NEW))
    assert asked(untrained).state == "promoted"
    ref = untrained.stores.registry.resolve(untrained.job.name, 1)
    assert type(untrained.stores.registry.load(ref, untrained.job).pipeline).__name__ == "CalibratedClassifierCV"


def test_version_without_refit_is_the_one_that_was_judged(lived: Toy) -> None:
    change(lived, training={"refit": False})
    add_nights(lived, nights(NEW), turned)
    assert asked(lived).state == "promoted"
    data = card_of(lived, 2)["data"]
    assert (data["fitted_until"], data["until"]) == (str(LAST - 10 * DAY), str(LAST))


# ---------------------------------------------------------------- two at once, crashes, an unreachable registry


def test_two_at_the_same_moment_train_once(lived: Toy) -> None:
    add_nights(lived, nights(NEW), turned)
    found: list[Any] = []

    def one(run: str) -> None:
        try:
            found.append(asked(lived, airflow_run_id=run).state)
        except RetrainingRunning as error:
            found.append(type(error).__name__)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["RetrainingRunning", "promoted"]
    assert versions(lived) == [1, 2]
    assert champion(lived) == 2
    assert asked(lived, airflow_run_id="three").state == "unchanged"


STAGES = ("snapshot", "train", "evaluate", "gate", "promote")
SAMPLE = "train"
"""The stage that is tried with every change; the others run at night."""


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=[pytest.mark.nightly] if stage != SAMPLE else []) for stage in STAGES]
)
def test_crash_after_the_work_of_each_task_changes_nothing_when_it_runs_again(
    lived: Toy, stage: str, monkeypatch
) -> None:
    """The process dies once the task's work is done and before the record says so; the task then runs again."""
    add_nights(lived, nights(NEW), turned)
    real = retrainings.record
    written = {
        "snapshot": {"snapshot"},
        "train": {"model_version", "champion_version"},
        "evaluate": {"champion_version"},
        "gate": {"gate"},
        "promote": {"state", "detail", "stage", "finished_at"},
    }

    def dying(warehouse: Any, retraining_id: int, **facts: Any) -> None:
        if set(facts) == written[stage] and facts.get("state") != "running":
            raise KeyboardInterrupt
        real(warehouse, retraining_id, **facts)

    request = RetrainingRequest("a test", night=LAST, airflow_run_id="run")
    with monkeypatch.context() as broken:
        broken.setattr(retrainings, "record", dying)
        with pytest.raises(KeyboardInterrupt):
            retrain(lived.work, request)
    (row,) = retrainings.of_job(lived.stores.warehouse, lived.job.name)
    assert row.finished_at is None
    assert row.stage == stage
    again = retrain(lived.work, request)
    assert (again.retraining_id, again.state, again.model_version) == (row.retraining_id, "promoted", 2)
    assert versions(lived) == [1, 2]
    assert [one.model_version for one in promotions.history_of(lived.stores.warehouse, lived.job.name)] == [1, 2]
    (watched,) = shadows.of_job(lived.stores.warehouse, lived.job.name)
    assert (watched.role, watched.state) == ("predecessor", "running")


def test_registry_that_does_not_answer_leaves_everything_and_is_tried_again(lived: Toy, monkeypatch) -> None:
    add_nights(lived, nights(NEW), turned)
    request = RetrainingRequest("a test", night=LAST, airflow_run_id="run")
    real = lived.stores.registry.set_alias

    def down(*arguments: Any) -> None:
        raise RegistryUnavailable("model registry", found="connection refused")

    monkeypatch.setattr(type(lived.stores.registry), "set_alias", down)
    with pytest.raises(RegistryUnavailable):
        retrain(lived.work, request)
    (row,) = retrainings.of_job(lived.stores.warehouse, lived.job.name)
    assert row.state == "failed"
    assert "connection refused" in detail_of(row)
    assert champion(lived) == 1
    assert RegistryUnavailable.retryable
    monkeypatch.setattr(type(lived.stores.registry), "set_alias", lambda self, *arguments: real(*arguments))
    again = retrain(lived.work, request)
    assert (again.state, versions(lived), champion(lived)) == ("promoted", [1, 2], 2)


def test_retraining_whose_process_is_gone_forbids_others_until_it_is_abandoned(lived: Toy) -> None:
    add_nights(lived, nights(NEW))
    row = begin(lived.work, RetrainingRequest("gone", night=LAST))
    with pytest.raises(RetrainingRunning, match=f"retraining {row.retraining_id} is in stage snapshot.*abandon"):
        asked(lived)
    abandon(lived.stores, row.retraining_id, "tests")
    assert asked(lived).state == "refused"
    with pytest.raises(RetrainingFailed, match="stage snapshot: abandoned by tests"):
        announce(lived.stores, row.retraining_id)


def test_champion_that_changed_since_the_comparison_is_not_replaced(lived: Toy, monkeypatch) -> None:
    add_nights(lived, nights(NEW), turned)
    other = train(lived.work, Nights(FIRST, UNTIL)).ref
    real = tasks.gate

    def gate(*arguments: Any) -> bool:
        passed = real(*arguments)
        promote(lived.work, other.version, "meanwhile", "somebody")
        return passed

    monkeypatch.setattr(tasks, "gate", gate)
    with pytest.raises(RetrainingFailed, match=f"found version {other.version} is champion now; expected version 1"):
        asked(lived)
    assert champion(lived) == other.version


# ---------------------------------------------------------------- shadow, rollback


def shadowed(toy: Toy, days: list[date]) -> list[Reviewed]:
    """Score the nights, also in the shadow, and review after each."""
    found = []
    for day in days:
        run_id = score(toy, day)
        shadow_run(toy.work, run_id)
        found += review(toy.work, day)
    return found


def test_challenger_in_the_shadow_is_promoted_after_its_nights(lived: Toy) -> None:
    change(lived, promotion={"promote": "shadow", "shadow_nights": 3})
    add_nights(lived, nights(NEW + 5), turned)
    score(lived, LAST)
    row = asked(lived)
    assert (row.state, row.stage, champion(lived)) == ("running", "shadow", 1)
    following = nights(3, LAST + DAY)
    assert shadowed(lived, following) == []  # the last night's labels come a day later
    published = [ledger.published(lived.stores.warehouse, lived.job.name)[day] for day in following]
    assert {ledger.get(lived.stores.warehouse, run_id).model_version for run_id in published} == {1}
    (done,) = shadowed(lived, [LAST + 4 * DAY])
    assert (done.state, done.role, done.model_version) == ("passed", "challenger", 2)
    row = resume(lived.work, row.retraining_id, "tests")
    assert (row.state, champion(lived, LAST + 4 * DAY), champion(lived)) == ("promoted", 1, 2)
    rows = shadows.nights(lived.stores.warehouse, lived.job.name, 2)
    assert [one.night for one in rows] == [*following, LAST + 4 * DAY]
    assert rows[0].sums is not None
    assert rows[0].disagreement is not None
    assert rows[0].rows == rows[0].sums["rows"] == ROWS
    assert rows[0].sums["shadow"] < rows[0].sums["champion"]
    assert 0.2 < rows[0].disagreement["decisions_changed"] < 1
    counted = (
        f"select count(*), count(distinct id) from {lived.job.name}_shadow_predictions where night = '{following[0]}'"
    )
    assert lived.stores.warehouse.query(counted)[1] == [(ROWS, ROWS)]


def test_challenger_that_does_worse_in_the_shadow_is_refused(lived: Toy) -> None:
    change(lived, promotion={"promote": "shadow", "shadow_nights": 3})
    add_nights(lived, nights(NEW), turned)
    add_nights(lived, nights(5, LAST + DAY))  # the world turned back
    score(lived, LAST)
    row = asked(lived)
    (done,) = shadowed(lived, nights(4, LAST + DAY))
    assert done.state == "failed"
    row = resume(lived.work, row.retraining_id, "tests")
    assert row.state == "refused"
    assert detail_of(row).startswith("shadow: ")
    assert champion(lived) == 1


def test_shadow_that_fails_is_on_record_and_touches_no_publication(lived: Toy) -> None:
    train(lived.work, Nights(FIRST, UNTIL))
    pin(lived.work, 2, nights=3)
    ref = lived.stores.registry.resolve(lived.job.name, 2)
    (Path(ref.uri.removeprefix("file://")) / "pipeline.joblib").write_bytes(b"broken")
    run_id = score(lived, NIGHT + DAY)
    with pytest.raises(Exception, match="sha256"):
        shadow_run(lived.work, run_id)
    (row,) = shadows.nights(lived.stores.warehouse, lived.job.name)
    assert row.status == "failed"
    assert row.reason is not None
    assert "ArtifactMismatch" in row.reason
    assert ledger.published(lived.stores.warehouse, lived.job.name)[NIGHT + DAY] == run_id


def test_predecessor_that_does_better_takes_the_crown_back(lived: Toy) -> None:
    change(lived, promotion={"min_nights": 3})
    add_nights(lived, nights(NEW), turned)
    score(lived, LAST)
    assert asked(lived).state == "promoted"
    add_nights(lived, nights(7, LAST + DAY))  # the world turned back
    (back,) = shadowed(lived, nights(4, LAST + DAY))
    assert (back.rolled_back, back.model_version, back.role) == (True, 1, "predecessor")
    made = promotions.history_of(lived.stores.warehouse, lived.job.name)[-1]
    assert (made.kind, made.model_version, made.promoted_by) == ("rollback", 1, "nightshift")
    assert "over 2 nights" in made.reason
    assert made.effective_from == LAST + 4 * DAY
    assert (champion(lived, LAST + 3 * DAY), champion(lived)) == (2, 1)
    (one,) = shadows.of_job(lived.stores.warehouse, lived.job.name)
    assert one.evidence is not None
    assert (one.state, one.evidence["gain"]["nights"]) == ("passed", 2)
    assert shadowed(lived, nights(2, LAST + 5 * DAY)) == []


def test_backfill_takes_no_crown_away(lived: Toy) -> None:
    change(lived, promotion={"min_nights": 3})
    add_nights(lived, nights(NEW), turned)
    score(lived, LAST)
    asked(lived)
    add_nights(lived, nights(5, LAST + DAY))
    for day in nights(4, LAST + DAY):
        shadow_run(lived.work, score(lived, day, "backfill"))
        assert review(lived.work, day, may_roll_back=False) == []
    assert champion(lived) == 2


def test_predecessor_that_is_not_better_ends_after_its_nights(lived: Toy) -> None:
    change(lived, promotion={"predecessor_nights": 3, "min_nights": 3})
    add_nights(lived, nights(NEW + 5), turned)
    score(lived, LAST)
    asked(lived)
    (ended,) = shadowed(lived, nights(4, LAST + DAY))
    assert (ended.state, ended.rolled_back) == ("ended", False)
    assert "no reason to go back" in ended.detail
    assert champion(lived) == 2
    assert shadows.running(lived.stores.warehouse, lived.job.name) == []


# ---------------------------------------------------------------- with the governor


def test_decision_says_how_its_retraining_went(lived: Toy) -> None:
    change(lived, retraining={"max_age_nights": 1, "min_new_labelled_nights": 1, "max_loss": 9.0, "drift_weight": 1.0})
    decided = live(lived, nights(3))
    assert decided[-1].decision == "retrain"
    row = retrain(
        lived.work,
        RetrainingRequest(decided[-1].reason, "decision", NIGHT + 2 * DAY, decision_id=decided[-1].decision_id),
    )
    (found,) = monitoring.decisions(lived.stores.warehouse, Span(lived.job.name, Nights.since(NIGHT + 2 * DAY)))
    assert (found.retraining, found.trained_version, row.trigger) == ("done", 2, "decision")


def test_governor_holds_while_a_retraining_by_hand_is_open(lived: Toy) -> None:
    change(lived, retraining={"max_age_nights": 1, "min_new_labelled_nights": 1, "max_loss": 9.0, "drift_weight": 1.0})
    begin(lived.work, RetrainingRequest("by hand", night=NIGHT))
    decided = live(lived, nights(3))
    assert decided[-1].decision == "hold"
    assert "a retraining is running" in decided[-1].reason
