"""The clock of a machine jumps between the steps of a night, or between two runs of it: each row once, in every question."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scoring.night.extract import extract
from scoring.night.publish import publish, release
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.night.score import score_chunk
from scoring.stores.warehouse import abandon_dead, ledger
from tests.conftest import Toy
from tests.support.faults import reader_of, require_healed
from tests.support.runs import expected, run, shown
from tests.support.toy import NIGHT, ROWS

NOW = datetime.now(UTC) + timedelta(hours=3)
"""A moment after every run of these tests that goes by the real clock."""
DAY = timedelta(days=1)


def at(toy: Toy, moment: datetime) -> Toy:
    """Return the toy on a machine whose clock stands at a moment."""
    return replace(toy, stores=replace(toy.stores, clock=lambda: moment))


def steps(toy: Toy, *moments: datetime) -> str:
    """Extract, score and publish the night as tasks of Airflow do, each with the clock at another moment."""
    extracting, scoring, publishing = (at(toy, moment) for moment in moments)
    begun = extract(extracting.work, NightRequest(NIGHT, moments[0], "airflow", airflow_run_id="scheduled"))
    abandon_dead(scoring.stores.warehouse, moments[1], toy.job.name)
    for chunk in range(begun.chunks):
        score_chunk(scoring.work, begun.run_id, chunk)
    abandon_dead(publishing.stores.warehouse, moments[2], toy.job.name)
    return publish(publishing.work, begun.run_id).status


def visible(toy: Toy, moment: datetime) -> list[tuple[int, int, int]]:
    """Return rows, keys and runs that the night had at a moment, by the record of publications."""
    counts = "count(*), count(distinct id), count(distinct run_id)"
    then = f"visible_from <= '{moment.isoformat()}' and coalesce(visible_until > '{moment.isoformat()}', true)"
    question = f"select {counts} from {toy.job.name}_predictions_as_of where night = '{NIGHT}' and {then}"
    return toy.stores.warehouse.query(question)[1]


@pytest.mark.parametrize(
    "days",
    [
        (0, -1, -1),
        *(
            pytest.param(days, marks=pytest.mark.nightly)
            for days in ((0, 1, 0), (0, 0, -1), (1, 0, 0), (0, 4, 4), (0, 4, -4))
        ),
    ],
)
def test_clock_jumps_between_the_steps_of_a_night(toy: Toy, days: tuple[int, int, int]) -> None:
    with reader_of(toy):
        status = steps(toy, *(NOW + DAY * number + timedelta(minutes=1) for number in days))
    assert status == "published"
    assert shown(toy) == expected(toy)
    for hours in range(-24 * 5, 24 * 5, 12):
        assert visible(toy, NOW + timedelta(hours=hours, minutes=1))[0] in ((ROWS, ROWS, 1), (0, 0, 0))
    toy.stores = at(toy, NOW + 10 * DAY).stores
    require_last(toy)


def require_last(toy: Toy) -> None:
    """Assert that the night is healed by a run that begins later than all others."""
    done = run_night(toy.work, NightRequest(NIGHT, toy.stores.clock(), "test"))
    assert done.status == "published"
    assert shown(toy) == expected(toy)


def test_run_whose_clock_is_behind_replaces_nothing_until_it_is_released(toy: Toy) -> None:
    first = run(toy)
    behind = at(toy, NOW - DAY)
    with reader_of(toy):
        done = run_night(behind.work, NightRequest(NIGHT, NOW - DAY, "test"))
    assert done.status == "superseded"
    row = ledger.get(toy.stores.warehouse, done.run_id)
    assert "began later and is published" in str(row.reason)
    assert row.run_id not in set(ledger.published(toy.stores.warehouse, toy.job.name).values())
    assert release(toy.work, done.run_id).status == "published"
    assert shown(toy) == expected(toy)
    assert first.run_id != done.run_id
    require_healed(toy)
