"""Published nights scored again with a chosen version: a new publication each, the old one kept, and what it changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from lifecycle.training.train import train
from scoring.errors import NightError, VersionMissing
from scoring.interval import Nights
from scoring.night.request import NightRequest
from scoring.night.rescore import Rescored, rescore
from scoring.night.run import run_night
from scoring.stores.warehouse import Run, ledger
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.toy import FIRST, LABELS, NIGHT, ROWS, execute, train_champion

DAY = timedelta(days=1)


@pytest.fixture
def two(toy: Toy) -> Toy:
    """A toy job with versions 1 and 2, two nights published with version 1, and a hole between them."""
    train(toy.work, Nights(FIRST, FIRST + 3 * DAY))
    for night in (NIGHT, NIGHT + 2 * DAY):
        run_night(toy.work, NightRequest(night, datetime.now(UTC), "test"))
    return toy


def again(toy: Toy, last: date = NIGHT + 2 * DAY, version: int = 2) -> list[Rescored]:
    return list(rescore(toy.work, Nights.including(NIGHT, last), version, "a better model"))


def runs(toy: Toy, night: date = NIGHT) -> list[Run]:
    return ledger.runs_of(toy.stores.warehouse, toy.job.name, night)


def current(toy: Toy) -> list[tuple]:
    asked = f"select night, model_version, count(*) from {toy.job.name}_predictions group by 1, 2 order by 1"
    return toy.stores.warehouse.query(asked)[1]


def test_rescore_publishes_every_published_night_anew_and_leaves_the_others_alone(two: Toy) -> None:
    done = again(two)
    assert [(one.night, one.status) for one in done] == [
        (NIGHT, "published"),
        (NIGHT + DAY, "not published"),
        (NIGHT + 2 * DAY, "published"),
    ]
    assert current(two) == [(NIGHT, 2, ROWS), (NIGHT + 2 * DAY, 2, ROWS)]
    assert runs(two, NIGHT + DAY) == []
    before, after = runs(two)
    assert (before.status, after.status, after.origin, after.model_version) == ("superseded", "published", "rescore", 2)
    assert after.reason == "rescored with version 2: a better model"
    assert verify(two.work) == []


def test_rescore_keeps_what_was_published_before_in_the_history(two: Toy) -> None:
    _, moments = two.stores.warehouse.query("select now()")
    again(two, NIGHT)
    seen = f"visible_from <= '{moments[0][0]}' and (visible_until is null or visible_until > '{moments[0][0]}')"
    asked = f"select model_version, count(*) from {two.job.name}_predictions_as_of where night = '{NIGHT}' and {seen} group by 1"
    assert two.stores.warehouse.query(asked)[1] == [(1, ROWS)]


def test_rescore_says_what_it_changed(two: Toy) -> None:
    one, *_ = again(two, NIGHT)
    found = one.difference
    assert found is not None
    assert found.decisions_changed is not None
    assert (found.rows_compared, found.only_first, found.only_second, one.same_snapshot) == (ROWS, 0, 0, True)
    asked = f"""
        select count(*) filter (where a.probability <> b.probability), count(*) filter (where a.prediction <> b.prediction),
            avg(abs(a.probability - b.probability)), max(abs(a.probability - b.probability))
        from {two.job.name}_predictions as a join {two.job.name}_predictions_as_of as b using (at, id)
        where a.night = '{NIGHT}' and b.model_version = 1
    """
    ((changed, decisions, mean, largest),) = two.stores.warehouse.query(asked)[1]
    assert (found.rows_changed, found.decisions_changed) == (changed, decisions)
    assert (found.mean, found.largest) == (pytest.approx(mean), pytest.approx(largest))
    assert 0 < found.decisions_changed < found.rows_changed <= ROWS


def test_rescore_with_the_version_that_is_published_changes_no_row(two: Toy) -> None:
    one, *_ = again(two, NIGHT, version=1)
    found = one.difference
    assert found is not None
    assert len(runs(two)) == 2
    assert (found.rows_compared, found.rows_changed, found.decisions_changed, found.largest) == (ROWS, 0, 0, 0)


def test_rescore_says_that_the_source_has_other_rows_now(two: Toy) -> None:
    execute(two.source, f"delete from events where id < 5 and at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    one, *_ = again(two, NIGHT)
    assert one.same_snapshot is False
    assert one.difference is not None
    assert (one.difference.rows_compared, one.difference.only_first) == (ROWS - 5, 5)


def test_rescore_of_a_night_that_is_held_or_fails_keeps_what_is_shown_and_goes_on(two: Toy) -> None:
    run_night(two.work, NightRequest(NIGHT + DAY, datetime.now(UTC), "test"))
    execute(two.source, f"delete from events where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    execute(two.source, f"delete from events where id < 20 and at >= '{NIGHT + DAY}' and at < '{NIGHT + 2 * DAY}'")
    two.change(gate={"min_rows": ROWS - 10, "max_quarantine_share": 0.2})
    done = again(two)
    assert [one.status for one in done] == ["failed", "held", "published"]
    assert "EmptyNight: " in str(done[0].problem)
    assert "gate.min_rows" in str(done[1].problem)
    assert done[2].problem is None
    assert current(two) == [(NIGHT, 1, ROWS), (NIGHT + DAY, 1, ROWS), (NIGHT + 2 * DAY, 2, ROWS)]


def test_rescore_whose_old_files_are_missing_is_published_and_not_compared(two: Toy) -> None:
    (before,) = runs(two)
    two.stores.lake.remove(two.stores.lake.run_folder(two.job.name, NIGHT, before.run_id))
    one, *_ = again(two, NIGHT)
    assert (one.status, one.difference, one.same_snapshot) == ("published", None, None)
    assert one.problem == f"not compared: files of run {before.run_id} are missing"
    assert current(two)[0] == (NIGHT, 2, ROWS)


def test_rescore_is_refused_before_anything_is_scored(two: Toy) -> None:
    with pytest.raises(VersionMissing, match=r"model version 9 .*found versions \[1, 2\]"):
        again(two, version=9)
    with pytest.raises(NightError, match=rf"found from {NIGHT} to {NIGHT - DAY}; expected a first night not after"):
        again(two, last=NIGHT - DAY)
    assert len(runs(two)) == 1


def test_rescore_of_a_regression_changes_no_decision(untrained: Toy) -> None:
    untrained.change(task="regression", pipeline="tests.support.pipelines:build_linear")
    labels = untrained.stores.settings.sql_path(untrained.job.name, "labels")
    labels.write_text(LABELS.replace("id, y from", "id, case when y then 30.5 else 1 end as y from"))
    train_champion(untrained.work)
    train(untrained.work, Nights(FIRST, FIRST + 3 * DAY))
    run_night(untrained.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    one, *_ = again(untrained, NIGHT)
    assert one.difference is not None
    assert one.difference.decisions_changed is None
    assert one.difference.rows_changed > 100
    assert one.difference.largest > 0
