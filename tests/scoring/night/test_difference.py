"""Verify finds every disagreement of ledger, table and lake; two runs of a night are compared by key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lifecycle.training.train import train
from scoring.errors import NightHeld, RunMissing
from scoring.interval import Nights
from scoring.night.difference import Difference, diff_runs, two_runs
from scoring.night.publish import Published, discard
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.warehouse import Run, ledger
from scoring.upkeep.verify import Finding, verify
from tests.conftest import Toy
from tests.support.registry import installation
from tests.support.runs import shown
from tests.support.toy import FIRST, NIGHT, ROWS, UNTIL, execute

DAY = timedelta(days=1)


def run(toy: Toy, night: date = NIGHT, model_version: int | None = None) -> Published:
    return run_night(toy.work, NightRequest(night, datetime.now(UTC), "test", model_version=model_version))


def current(toy: Toy, night: date = NIGHT) -> Path:
    return Path(toy.stores.lake.current(toy.job.name, night))


def table_rows(toy: Toy) -> list[tuple]:
    with toy.stores.warehouse.transaction() as connection:
        rows = connection.exec_driver_sql(
            f"select * from {toy.job.name}_predictions_history order by night, run_number, id"
        )
        return [tuple(row) for row in rows]


def rewritten(toy: Toy, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of the lake object and leave its metadata as it is."""
    table = pq.read_table(current(toy))
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), current(toy))


def shifted(table: pa.Table) -> pa.Table:
    """Return the table with the probability of one row a little higher."""
    index = table.schema.names.index("probability")
    values = table.column(index).to_pylist()
    values[17] += 1e-9
    return table.set_column(index, "probability", pa.array(values))


def swapped(table: pa.Table) -> pa.Table:
    """Return the table with the probabilities of two rows exchanged: the same values, other keys."""
    index = table.schema.names.index("probability")
    values = table.column(index).to_pylist()
    values[3], values[4] = values[4], values[3]
    return table.set_column(index, "probability", pa.array(values))


# ---------------------------------------------------------------- verify


def test_verify_finds_nothing_when_all_agree(toy: Toy) -> None:
    assert verify(toy.work) == []
    for night in (NIGHT, NIGHT + DAY, NIGHT):
        run(toy, night)
    assert verify(toy.work) == []


DAMAGE: dict[str, tuple[Callable[[Toy], object], str]] = {
    "missing": (lambda toy: current(toy).unlink(), "no lake object"),
    "truncated": (lambda toy: current(toy).write_bytes(current(toy).read_bytes()[:-20]), "cannot be read"),
    "cut in the middle": (lambda toy: current(toy).write_bytes(current(toy).read_bytes()[:900]), "cannot be read"),
    "empty": (lambda toy: current(toy).write_bytes(b""), "cannot be read"),
    "no Parquet": (lambda toy: current(toy).write_bytes(b"x" * 5000), "cannot be read"),
    "a value changed": (lambda toy: rewritten(toy, shifted), r"rows \(200\) are not those that were scored \(200\)"),
    "values swapped": (lambda toy: rewritten(toy, swapped), r"rows \(200\) are not those that were scored \(200\)"),
    "a row lost": (lambda toy: rewritten(toy, lambda table: table.slice(1)), r"rows \(199\) are not those"),
    "a row twice": (
        lambda toy: rewritten(toy, lambda t: pa.concat_tables([t, t.slice(0, 1)])),
        r"rows \(201\) are not",
    ),
    "a column lost": (lambda toy: rewritten(toy, lambda table: table.drop_columns(["probability"])), "cannot be read"),
    "without metadata": (
        lambda toy: pq.write_table(pq.read_table(current(toy)).replace_schema_metadata(None), current(toy)),
        "of run None",
    ),
}


@pytest.fixture(scope="module")
def kept(data_dir: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A toy job with one published night, for all tests that leave it as it is."""
    with installation(data_dir, template, tmp_path_factory.mktemp("inspection_toy")) as toy:
        run(toy)
        yield toy


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_finds_a_lake_object_that_is(kept: Toy, what: str) -> None:
    damage, problem = DAMAGE[what]
    good = current(kept).read_bytes()
    rows, seen, pointer = table_rows(kept), shown(kept), ledger.published(kept.stores.warehouse, kept.job.name)
    damage(kept)
    (found,) = verify(kept.work)
    assert (found.night, found.repaired) == (NIGHT, False)
    assert re.search(problem, found.problem), found.problem
    assert verify(kept.work, repair=True) == [Finding(NIGHT, found.problem, True)]
    assert verify(kept.work) == []
    assert current(kept).read_bytes() == good
    assert (table_rows(kept), shown(kept)) == (rows, seen)
    assert ledger.published(kept.stores.warehouse, kept.job.name) == pointer


@pytest.mark.parametrize("what", ["truncated", "no Parquet", "missing"])
def test_running_a_night_again_replaces_a_lake_object_that_is(kept: Toy, what: str) -> None:
    DAMAGE[what][0](kept)
    assert run(kept).status == "published"
    assert verify(kept.work) == []


def test_verify_finds_a_lake_object_of_another_run(toy: Toy) -> None:
    first = run(toy)
    old = current(toy).read_bytes()
    second = run(toy)
    current(toy).write_bytes(old)
    (found,) = verify(toy.work, repair=True)
    assert found.problem == f"the lake object is of run {first.run_id}, published is {second.run_id}"
    facts = toy.stores.lake.facts(str(current(toy)))
    assert facts is not None
    assert facts["run_id"] == second.run_id
    assert verify(toy.work) == []


@pytest.mark.parametrize("night", [NIGHT + DAY, NIGHT - DAY])
def test_verify_finds_a_lake_object_of_a_night_that_is_not_published(toy: Toy, night: date) -> None:
    run(toy)
    current(toy, night).parent.mkdir(parents=True)
    current(toy, night).write_bytes(current(toy).read_bytes())
    expected = Finding(night, "a lake object of a night that is not published", False)
    assert verify(toy.work) == [expected]
    assert [found.repaired for found in verify(toy.work, repair=True)] == [True]
    assert not current(toy, night).exists()
    assert current(toy).exists()
    assert verify(toy.work) == []


@pytest.mark.parametrize("condition", ["id = 7", "true"])
def test_verify_finds_table_rows_that_were_deleted_and_repair_leaves_the_table(toy: Toy, condition: str) -> None:
    done = run(toy)
    with toy.stores.warehouse.transaction() as connection:
        connection.exec_driver_sql(f"delete from {toy.job.name}_predictions_history where {condition}")
    rows, lake = table_rows(toy), current(toy).read_bytes()
    problem = f"the table has {len(rows)} rows of run {done.run_id}, the ledger {ROWS}"
    for repair in (False, True, False):
        assert verify(toy.work, repair) == [Finding(NIGHT, problem, False)]
    assert (table_rows(toy), current(toy).read_bytes()) == (rows, lake)


def test_verify_finds_everything_on_every_night_in_the_order_of_nights(toy: Toy) -> None:
    for night in (NIGHT, NIGHT + DAY, NIGHT + 2 * DAY):
        run(toy, night)
    with toy.stores.warehouse.transaction() as connection:
        connection.exec_driver_sql(f"delete from {toy.job.name}_predictions_history where night = '{NIGHT + DAY}'")
    for night in (NIGHT + 2 * DAY, NIGHT + DAY):
        current(toy, night).unlink()
    current(toy, FIRST).parent.mkdir(parents=True)
    current(toy, FIRST).write_bytes(b"x")
    findings = verify(toy.work)
    assert [found.night for found in findings] == [FIRST, NIGHT + DAY, NIGHT + DAY, NIGHT + 2 * DAY]
    assert [found.repaired for found in verify(toy.work, repair=True)] == [True, False, True, True]


def test_verify_keeps_the_lake_object_when_the_runs_files_are_gone(toy: Toy) -> None:
    """What cannot be written anew is not removed: the damaged object stays, and so does the finding."""
    done = run(toy)
    toy.stores.lake.remove(toy.stores.lake.run_folder(toy.job.name, NIGHT, done.run_id))
    assert verify(toy.work) == []
    rewritten(toy, shifted)
    damaged = current(toy).read_bytes()
    assert [found.repaired for found in verify(toy.work, repair=True)] == [False]
    assert current(toy).read_bytes() == damaged


# ---------------------------------------------------------------- two runs


def difference(toy: Toy, first: Run, second: Run) -> Difference:
    return diff_runs(toy.work, first, second)


def chances(toy: Toy, run_id: str) -> dict[int, float]:
    """Return the probability of each id that a run gave, from the table."""
    with toy.stores.warehouse.transaction() as connection:
        rows = connection.exec_driver_sql(
            f"""select id, probability from {toy.job.name}_predictions_history as h
            join scoring_runs as r on r.run_number = h.run_number where r.run_id = '{run_id}'"""
        )
        return {row[0]: row[1] for row in rows}


def test_two_runs_are_the_last_two_that_were_scored(toy: Toy) -> None:
    runs = [run(toy) for _ in range(3)]
    execute(toy.source, "alter table events rename column kind to sort")
    with pytest.raises(Exception, match="kind"):
        run(toy)
    first, second = two_runs(toy.work, NIGHT)
    assert [first.run_id, second.run_id] == [done.run_id for done in runs[1:]]
    chosen = (runs[2].run_id, runs[0].run_id)
    assert tuple(one.run_id for one in two_runs(toy.work, NIGHT, chosen)) == chosen


def test_two_runs_says_what_there_is(toy: Toy) -> None:
    with pytest.raises(RunMissing, match=r"found scored runs \[\]; expected at least two"):
        two_runs(toy.work, NIGHT)
    done = run(toy)
    with pytest.raises(RunMissing, match=rf"\['{done.run_id}'\]; expected at least two"):
        two_runs(toy.work, NIGHT)
    with pytest.raises(RunMissing, match=r"expected \['.*', 'nothing'\].*explain"):
        two_runs(toy.work, NIGHT, (done.run_id, "nothing"))
    with pytest.raises(RunMissing):
        two_runs(toy.work, NIGHT + DAY, (done.run_id, done.run_id))


def test_run_differs_from_itself_and_from_its_repetition_by_nothing(toy: Toy) -> None:
    first, second = (ledger.get(toy.stores.warehouse, run(toy).run_id) for _ in range(2))
    for found in (difference(toy, first, first), difference(toy, first, second)):
        assert (found.rows_compared, found.rows_changed, found.only_first, found.only_second) == (ROWS, 0, 0, 0)
        assert (found.largest, found.mean) == (0.0, 0.0)


def test_another_model_version_differs_as_computed_directly(toy: Toy) -> None:
    train(toy.work, Nights(FIRST, UNTIL - 3 * DAY))
    first, second = (ledger.get(toy.stores.warehouse, run(toy, model_version=n).run_id) for n in (1, 2))
    one, two = chances(toy, first.run_id), chances(toy, second.run_id)
    gaps = np.array([abs(one[key] - two[key]) for key in one])
    found = difference(toy, first, second)
    assert (found.first.model_version, found.second.model_version) == (1, 2)
    assert (found.rows_compared, found.rows_changed) == (ROWS, int((gaps > 0).sum()))
    assert found.rows_changed > ROWS / 2
    assert (found.largest, found.mean) == pytest.approx((gaps.max(), gaps.mean()), abs=1e-15)
    other_way = difference(toy, second, first)
    assert (other_way.largest, other_way.mean) == pytest.approx((found.largest, found.mean), abs=1e-15)


def test_rows_of_one_run_only_are_counted_on_their_side(toy: Toy) -> None:
    first = ledger.get(toy.stores.warehouse, run(toy).run_id)
    execute(toy.source, f"delete from events where id < 3 and at >= '{NIGHT}'")
    execute(toy.source, f"insert into events values ('{NIGHT} 12:00:00Z', 5000, 1.5, 'a', true)")
    execute(toy.source, f"update events set x = 40 where id = 10 and at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    second = ledger.get(toy.stores.warehouse, run(toy).run_id)
    one, two = chances(toy, first.run_id), chances(toy, second.run_id)
    found = difference(toy, first, second)
    assert (found.rows_compared, found.rows_changed, found.only_first, found.only_second) == (ROWS - 3, 1, 3, 1)
    assert math.isclose(found.largest, abs(one[10] - two[10]), abs_tol=1e-15)
    assert math.isclose(found.mean, found.largest / (ROWS - 3), abs_tol=1e-15)


def test_held_and_discarded_runs_can_be_compared_too(toy: Toy) -> None:
    first = run(toy)
    toy.change(gate={"min_rows": 1000})
    with pytest.raises(NightHeld):
        run(toy)
    _, held = two_runs(toy.work, NIGHT)
    assert discard(toy.work, held.run_id) == ROWS
    found = difference(toy, *two_runs(toy.work, NIGHT))
    assert (found.first.run_id, found.second.run_id) == (first.run_id, held.run_id)
    assert (found.rows_compared, found.rows_changed) == (ROWS, 0)


def test_runs_without_a_row_in_common_have_no_difference(toy: Toy) -> None:
    first = ledger.get(toy.stores.warehouse, run(toy).run_id)
    execute(toy.source, f"update events set id = id + 10000 where at >= '{NIGHT}'")
    found = difference(toy, first, ledger.get(toy.stores.warehouse, run(toy).run_id))
    assert (found.rows_compared, found.rows_changed, found.only_first, found.only_second) == (0, 0, ROWS, ROWS)
    assert (found.largest, found.mean) == (0.0, 0.0)
