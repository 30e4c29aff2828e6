"""Snapshot jobs: the same customers every night, each night once; what changed between two nights."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from lifecycle.checks.job import check_job
from lifecycle.checks.rows import check_rows
from scoring.errors import RunMissing, SourceQueryError
from scoring.interval import Nights
from scoring.night.changes import compare_runs
from scoring.night.difference import two_nights
from scoring.night.publish import Published
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.settings import RetentionPolicy
from scoring.stores.labels import read_labels
from scoring.stores.warehouse import Run, ledger
from scoring.stores.workspace import Workspace
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.customers import CUSTOMERS, customers_of
from tests.support.retention import FAR, at
from tests.support.runs import shown
from tests.support.toy import FIRST, NIGHT, execute, train_champion

pytestmark = pytest.mark.slow
DAY = timedelta(days=1)
NEXT = NIGHT + DAY


@pytest.fixture
def customers(untrained: Toy) -> Toy:
    """The toy job as one of customers, with a champion."""
    customers_of(untrained)
    train_champion(untrained.work)
    return untrained


def run(toy: Toy, night: date = NIGHT) -> Published:
    return run_night(toy.work, NightRequest(night, datetime.now(UTC), "test"))


def runs(toy: Toy) -> tuple[Run, Run]:
    return two_nights(toy.work, NIGHT, NEXT)


def test_every_customer_is_published_once_a_night_however_often_it_is_run(customers: Toy):
    for night in (NIGHT, NEXT, NIGHT):
        run(customers, night)
    for night in (NIGHT, NEXT):
        rows = shown(customers, "id", night)
        assert len(rows) == len(set(rows)) == CUSTOMERS
    assert verify(customers.work) == []


def test_a_customer_who_comes_twice_in_a_night_is_quarantined_and_one_of_the_night_before_is_not(customers: Toy):
    execute(customers.source, f"insert into states select * from states where day = '{NEXT}' and id = 'C0007'")
    assert [run(customers, night).rows for night in (NIGHT, NEXT)] == [CUSTOMERS, CUSTOMERS - 1]


def test_labels_of_a_night_are_those_of_its_customers(customers: Toy):
    assert read_labels(customers.work, Nights.of(NIGHT)).num_rows == CUSTOMERS


def test_sql_that_does_not_bind_the_night_is_refused(customers: Toy):
    path = customers.stores.settings.sql_path(customers.job.name, "features")
    path.write_text("select id, x, kind from states where day >= :interval_start and day < :interval_end")
    with pytest.raises(SourceQueryError, match="expected :night, and no others than :interval_end"):
        check_job(customers.work)


# ---------------------------------------------------------------- what check says


def test_check_counts_the_customers_who_were_there_the_night_before(customers: Toy):
    execute(customers.source, f"delete from states where day = '{FIRST + 7 * DAY}' and id < 'C0010'")
    assert check_rows(customers.work) == [
        f"night {FIRST + 8 * DAY} in UTC: 120 entities, 110 of them among those of the night before"
    ]


def test_check_notices_sql_that_gives_the_present_state_whatever_the_night(customers: Toy):
    path = customers.stores.settings.sql_path(customers.job.name, "features")
    path.write_text(f"select id, x, kind from states where day = '{NIGHT}' and :night is not null")
    _, note = check_rows(customers.work)
    assert note.startswith("all features are as the night before")


def test_check_counts_copies_and_entities_apart(customers: Toy):
    execute(customers.source, "insert into states select * from states")
    about, note = check_rows(customers.work)
    assert "120 entities, 120 of them among those of the night before" in about
    assert note.startswith(
        f"240 of 240 rows of night {FIRST + 8 * DAY} would go to quarantine: duplicate_key 240; more than"
    )


def test_check_counts_the_rows_that_would_go_to_quarantine(customers: Toy):
    execute(customers.source, "update states set x = -60 where id < 'C0030'")
    _, note = check_rows(customers.work)
    assert note == (
        f"30 of 120 rows of night {FIRST + 8 * DAY} would go to quarantine: x:below_min 30; more than "
        "gate.max_quarantine_share (20%), so that it would be held: --rows shows some"
    )


# ---------------------------------------------------------------- two nights


def test_two_nights_are_compared_customer_by_customer(customers: Toy):
    execute(customers.source, f"delete from states where day = '{NEXT}' and id = 'C0003'")
    run(customers), run(customers, NEXT)
    difference, changes = compare_runs(customers.work, *runs(customers), most=CUSTOMERS)
    assert (difference.rows_compared, difference.only_first, difference.only_second) == (CUSTOMERS - 1, 1, 0)
    predicted = {
        (key, night): (decision, chance)
        for night in (NIGHT, NEXT)
        for key, decision, chance in shown(customers, night=night)
    }
    turned: Counter[tuple[bool, bool]] = Counter()
    for change in changes.rows:
        (key,) = change.key
        before, after = predicted[key, NIGHT], predicted[key, NEXT]
        assert (change.before, *change.numbers_before, change.after, *change.numbers_after) == (*before, *after)
        assert change.gap == abs(before[1] - after[1])
        turned[change.before, change.after] += 1
    assert sum(changes.turned.values()) == difference.decisions_changed
    assert changes.turned
    assert changes.turned == {sides: count for sides, count in turned.items() if sides[0] != sides[1]}


def test_customers_with_another_class_come_first_and_then_those_who_changed_most(customers: Toy):
    run(customers), run(customers, NEXT)
    _, changes = compare_runs(customers.work, *runs(customers), most=40)
    order = [(change.before == change.after, -change.gap) for change in changes.rows]
    assert order == sorted(order)
    assert len(order) == 40
    assert order[0][0] is False
    assert order[-1][0] is True


def test_a_night_that_shows_nothing_cannot_be_compared(customers: Toy):
    run(customers)
    with pytest.raises(RunMissing, match=f"found no publication of {NEXT}.*Next: nightshift run"):
        two_nights(customers.work, NIGHT, NEXT)


def test_command_line_compares_two_nights(customers: Toy, shell):
    run(customers), run(customers, NEXT)
    told = shell("diff", customers.job.name, NIGHT, "--with", NEXT, "--rows", 3)
    assert told.code == 0
    for part in (
        "another decision",
        "rows that changed most",
        "difference (probability)",
        "decisions changed",
        str(NEXT),
    ):
        assert part in told.out
    assert shell("diff", customers.job.name, NIGHT, "some_run", "--with", NEXT).code == 2


# ---------------------------------------------------------------- nights that leave


def test_retention_takes_back_publications_beyond_the_newest_nights(customers: Toy):
    policy = RetentionPolicy()
    for night in (NIGHT, NEXT):
        run(customers, night)
    assert plan(customers.work, policy) == []
    kept = customers.job.model_copy(update={"keep_nights": 1})  # fewer than a job file may say
    work = Workspace(customers.stores, kept)
    (removal,) = plan(work, policy)
    assert (removal.kind, removal.night) == ("publication", NIGHT)
    run_id = ledger.published(customers.stores.warehouse, kept.name)[NIGHT]
    assert apply(work, [removal]) == [removal]
    assert apply(work, [removal]) == []
    assert set(ledger.published(customers.stores.warehouse, kept.name)) == {NEXT}
    assert "keep_nights" in str(ledger.get(customers.stores.warehouse, run_id).reason)
    far = Workspace(at(customers, FAR), kept)
    assert [(removal.kind, removal.what) for removal in plan(far, policy) if removal.kind == "run"] == [("run", run_id)]
