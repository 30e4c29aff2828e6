"""What analysts read: metrics as columns, decisions by threshold, newest predictions, missing nights, comments on columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from drift.performance import UNITS, outcomes_of
from scoring.errors import EmptyNight, NightshiftError
from scoring.interval import DataInterval
from scoring.night.publish import unpublish
from scoring.rows.prediction import prediction_schema
from scoring.stores.installation import Stores
from scoring.stores.warehouse import Run, Warehouse, ledger
from scoring.stores.warehouse.load import load
from scoring.stores.warehouse.schema import ensure_job
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live, nights, score
from tests.support.toy import FIRST, NIGHT, ROWS, execute, write_job

SILENT = """
select c.relname, a.attname
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
  and has_table_privilege('nightshift_analyst', c.oid, 'select')
  and coalesce(col_description(c.oid, a.attnum), '') = ''
"""


def asked(warehouse: Warehouse, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query of the analyst."""
    columns, rows = warehouse.query(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def done_by_owner(warehouse: Warehouse, statement: str) -> None:
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(statement)


# ---------------------------------------------------------------- comments


@pytest.mark.parametrize(
    ("task", "label"),
    [("binary", {}), ("multiclass", {"classes": ["Low end", "mid", "top"]}), ("regression", {})],
)
def test_every_column_that_an_analyst_may_read_says_what_it_means(toy: Toy, task: str, label: dict[str, Any]) -> None:
    job = write_job(toy.folder, f"{task}_job", task=task, label={"column": "y", **label})
    ensure_job(toy.stores.warehouse, job)
    assert asked(toy.stores.warehouse, SILENT) == []
    done_by_owner(toy.stores.warehouse, f"comment on column {job.name}_predictions_newest.night is null")
    assert asked(toy.stores.warehouse, SILENT) == [{"relname": f"{job.name}_predictions_newest", "attname": "night"}]


# ---------------------------------------------------------------- metrics


def test_metrics_are_columns_with_intervals_and_stay_in_json(toy: Toy) -> None:
    live(toy, nights(3))
    rows = asked(toy.stores.warehouse, "select * from performance_by_night order by night")
    assert [row["night"] for row in rows] == nights(2)
    for row in rows:
        for name in UNITS:
            values = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
            kept = row["metrics"].get(name, {})
            assert values == [kept.get(part) for part in ("value", "low", "high")], name
        assert 0 < row["auc_low"] < row["auc"] < row["auc_high"] < 1
        assert row["mae"] is row["accuracy"] is None


def test_metrics_of_seven_and_28_nights_are_columns_too(toy: Toy) -> None:
    live(toy, nights(3))
    measured = asked(toy.stores.warehouse, "select * from performance_by_night order by night")
    rows = asked(toy.stores.warehouse, "select * from performance_by_window order by night, last_nights")
    assert [(row["night"], row["last_nights"], row["nights_measured"]) for row in rows] == [
        (night, window, number) for number, night in enumerate(nights(2), start=1) for window in (7, 28)
    ]
    for row in rows:
        (night,) = (night for night in measured if night["night"] == row["night"])
        kept = night["rolling"][str(row["last_nights"])]
        for name in set(UNITS) & set(kept):
            values = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
            assert values == [kept[name][part] for part in ("value", "low", "high")], name
        assert {name for name in UNITS if row[name] is None} == {name for name in UNITS if name not in kept}


def test_verdicts_are_words_and_numbers(toy: Toy) -> None:
    live(toy, [NIGHT])
    add_nights(toy, [NIGHT + DAY], lambda rows: rows.assign(kind="d"))
    live(toy, [NIGHT + DAY])
    calm, far = asked(toy.stores.warehouse, "select * from drift_by_night order by night")
    assert calm["reason"].startswith("this night could only have shown shifts above")
    assert (calm["fault"], calm["columns_unusual"]) == (None, 0)
    assert far["reason"] == "; ".join(far["reasons"])
    assert (far["farthest_column"], far["columns_unusual"] > 0) == ("kind", True)
    assert far["farthest_ratio"] == pytest.approx(far["score"])
    assert far["farthest_distance"] > far["farthest_threshold"]
    for name in ("log_loss", "brier", "auc", "base_rate"):
        assert calm[f"estimated_{name}"] == calm["estimate"][name]


# ---------------------------------------------------------------- decisions by threshold


def counted(work: Workspace, night: date, threshold: float) -> dict[str, float]:
    """Return what a threshold decides, row by row from the published predictions and the outcomes."""
    outcomes = outcomes_of(work, ledger.get(work.warehouse, ledger.published(work.warehouse, work.job.name)[night]))
    chosen = np.asarray(outcomes.predictions.column("probability")) >= threshold
    true = np.asarray(outcomes.outcome)
    return {
        "true_positives": int((chosen & true).sum()),
        "false_positives": int((chosen & ~true).sum()),
        "false_negatives": int((~chosen & true).sum()),
        "true_negatives": int((~chosen & ~true).sum()),
    }


def test_decisions_by_threshold_are_those_of_the_rows(toy: Toy) -> None:
    execute(toy.source, f"update events set y = null where id < 30 and at >= '{NIGHT}'")
    live(toy, nights(3))
    rows = asked(toy.stores.warehouse, "select * from decisions_by_threshold order by night, threshold")
    assert [float(row["threshold"]) for row in rows[:19]] == [percent / 100 for percent in range(5, 100, 5)]
    assert {row["night"] for row in rows} == set(nights(3))
    for row in rows[:38]:
        night, threshold = row["night"], float(row["threshold"])
        view = f"{toy.job.name}_predictions where night = '{night}' and probability >= {threshold}"
        assert row["positives"] == toy.stores.warehouse.query(f"select count(*) from {view}")[1][0][0]
        assert row["share_positive"] == row["positives"] / ROWS
        expected = counted(toy.work, night, threshold)
        assert {name: row[name] for name in expected} == expected
        assert sum(expected.values()) == row["rows_labelled"] == ROWS - 30
        chosen, true = row["true_positives"] + row["false_positives"], row["true_positives"] + row["false_negatives"]
        assert row["precision"] == (row["true_positives"] / chosen if chosen else None)
        assert row["recall"] == row["true_positives"] / true
    for row in rows[38:]:  # judged, and not measured yet
        assert (row["rows"], row["known_at"], row["recall"], row["true_positives"]) == (ROWS, None, None, None)


def test_decisions_of_a_run_that_was_neither_judged_nor_measured_are_not_there(toy: Toy) -> None:
    live(toy, nights(2))
    score(toy, NIGHT)  # replaces what was judged and measured
    assert {row["night"] for row in asked(toy.stores.warehouse, "select * from decisions_by_threshold")} == {
        NIGHT + DAY
    }


# ---------------------------------------------------------------- the newest prediction of every key


MOMENT = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def entities(stores: Stores, tmp_path: Path) -> Workspace:
    """A job whose keys come every night, without source or model."""
    job = write_job(tmp_path, "shops", kind="snapshot", time_column=None, key={"Region": "string", "id": "int"})
    ensure_job(stores.warehouse, job)
    return Workspace(stores, job)


def publish(work: Workspace, night: date, ids: Sequence[int], probability: float) -> Run:
    """Load made-up predictions of a night, for keys of two regions, and publish them."""
    interval = DataInterval.of_night(night, "UTC")
    before = len(ledger.find(work.warehouse, sa.true()))
    facts: dict[str, Any] = {"run_id": f"{night}-{before}", "job": work.job.name, "night": night, "origin": "test"}
    facts |= {"interval_start": interval.start, "interval_end": interval.end, "model_version": 1, "model_sha256": "a"}
    facts |= {"job_sha256": "b", "sql_sha256": "c", "code_version": "test", "library_versions": {}}
    run = ledger.start(work.warehouse, {**facts, "started_at": MOMENT + before * DAY})
    schema = prediction_schema(work.job)
    keys = [pa.array([region for region in "ns" for _ in ids]), pa.array([*ids, *ids], pa.int64())]
    chances = np.full(len(keys[0]), probability)
    batch = pa.RecordBatch.from_arrays([*keys, pa.array(chances >= 0.5), pa.array(chances)], schema=schema)
    load(work.warehouse, work.job, run, [batch], schema)
    assert ledger.flip(work.warehouse, run, batch.num_rows, work.clock()) == "published"
    return ledger.get(work.warehouse, run.run_id)


def newest(work: Workspace, where: str = "region = 's'") -> dict[int, tuple[date, float, str]]:
    """Return night, probability and run of the newest prediction by id."""
    view = f"{work.job.name}_predictions_newest"
    rows = asked(work.warehouse, f"select * from {view} where {where} order by id")
    assert len({(row["region"], row["id"]) for row in rows}) == len(rows)
    return {row["id"]: (row["night"], row["probability"], row["run_id"]) for row in rows}


def test_newest_prediction_is_that_of_the_last_published_night_with_the_key(entities: Workspace) -> None:
    february = FIRST + 31 * DAY
    publish(entities, FIRST, [1, 2, 3], 0.1)
    again = publish(entities, FIRST, [1, 2], 0.2)  # 3 is gone from the night
    last = publish(entities, february, [2, 4], 0.9)
    expected = {1: (FIRST, 0.2, again.run_id), 2: (february, 0.9, last.run_id), 4: (february, 0.9, last.run_id)}
    assert newest(entities) == newest(entities, "region = 'n'") == expected
    assert newest(entities, "region = 'n' and id = 2") == {2: expected[2]}
    unpublish(entities, february, "wrong")
    assert newest(entities) == {1: expected[1], 2: (FIRST, 0.2, again.run_id)}


def test_newest_prediction_of_a_key_is_read_from_the_index(entities: Workspace) -> None:
    for month in range(3):
        publish(entities, FIRST + month * 31 * DAY, range(5_000), 0.5)
    with entities.warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
    query = "explain (analyze, format json) select * from shops_predictions_newest where region = 'n' and id = 77"
    with entities.warehouse.transaction() as connection:
        ((plan,),) = connection.exec_driver_sql(query).all()
    nodes, reads = [plan[0]["Plan"]], []
    for node in nodes:
        nodes += node.get("Plans", [])
        if node.get("Index Name", node.get("Relation Name", "")).startswith("shops_predictions_history"):
            reads.append(node)
    assert reads
    assert "Seq Scan" not in {node["Node Type"] for node in reads}
    assert all("_pkey" in node["Index Name"] for node in reads if "Index Name" in node)
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) <= 6


def test_job_that_is_older_than_the_view_gets_it(toy: Toy) -> None:
    score(toy, NIGHT)
    name = f"{toy.job.name}_predictions_newest"
    done_by_owner(toy.stores.warehouse, f"drop view {name}")
    done_by_owner(toy.stores.warehouse, f"comment on column {toy.job.name}_predictions.scored_at is null")
    ensure_job(toy.stores.warehouse, toy.job)
    assert len(asked(toy.stores.warehouse, f"select * from {name}")) == ROWS
    assert asked(toy.stores.warehouse, SILENT) == []
    history, view = (
        {column["name"]: column.get("comment") for column in sa.inspect(toy.stores.warehouse.engine).get_columns(table)}
        for table in (f"{toy.job.name}_predictions_history", name)
    )
    assert view["prediction"] == history["prediction"]
    assert "champion from night" in str(view["prediction"])  # what promotion wrote, not what a new table says


# ---------------------------------------------------------------- missing nights


def missing(toy: Toy) -> tuple[int, list[str]]:
    (row,) = asked(toy.stores.warehouse, f"select * from scoring_status where job = '{toy.job.name}'")
    return row["nights_missing"], row["missing"]


def until(night: date, **more: Any) -> dict[str, Any]:
    return {"schedule": {"timezone": "UTC", "first_night": FIRST, "last_night": night, **more}}


def registered(toy: Toy, **changes: Any) -> None:
    ensure_job(toy.stores.warehouse, toy.change(**changes))


def test_missing_nights_are_ranges_from_the_champions_first_night_on(toy: Toy) -> None:
    registered(toy, **until(NIGHT + 2 * DAY))
    assert missing(toy) == (3, [f"{NIGHT} to {NIGHT + 2 * DAY}"])  # the nights before were trained on
    score(toy, NIGHT + DAY)
    assert missing(toy) == (2, [f"{NIGHT}", f"{NIGHT + 2 * DAY}"])
    score(toy, NIGHT)
    score(toy, NIGHT + 2 * DAY)
    assert missing(toy) == (0, [])
    unpublish(toy.work, NIGHT, "wrong")
    assert missing(toy) == (1, [f"{NIGHT}"])


def test_missing_nights_are_looked_for_in_the_last_30(toy: Toy) -> None:
    registered(toy, **until(NIGHT + 99 * DAY))
    assert missing(toy) == (30, [f"{NIGHT + 70 * DAY} to {NIGHT + 99 * DAY}"])


def test_night_that_was_skipped_is_not_missing_one_that_failed_or_is_held_is(toy: Toy) -> None:
    execute(toy.source, f"delete from events where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    registered(toy, **until(NIGHT + DAY), gate={"min_rows": 10_000}, on_empty="fail")
    for night in nights(2):
        with pytest.raises(NightshiftError):
            score(toy, night)
    assert missing(toy) == (2, [f"{NIGHT} to {NIGHT + DAY}"])
    toy.change(on_empty="skip", **until(NIGHT + DAY))
    with pytest.raises(EmptyNight):
        score(toy, NIGHT)
    assert missing(toy) == (1, [f"{NIGHT + DAY}"])


def test_provisional_night_is_missing_until_it_is_scored_after_its_end(toy: Toy) -> None:
    registered(toy, **until(NIGHT))
    run_id = score(toy, NIGHT)
    done_by_owner(toy.stores.warehouse, f"update scoring_runs set provisional = true where run_id = '{run_id}'")
    assert missing(toy) == (1, [f"{NIGHT}"])
    score(toy, NIGHT)
    assert missing(toy) == (0, [])


def test_nothing_is_missing_of_a_job_without_champion_or_that_is_retired(untrained: Toy) -> None:
    registered(untrained, **until(NIGHT))
    assert missing(untrained) == (0, [])
    done_by_owner(
        untrained.stores.warehouse,
        f"""insert into model_promotions (job, model_version, effective_from, kind, reason, promoted_by, promoted_at)
        values ('{untrained.job.name}', 1, '{NIGHT}', 'promotion', '', '', now())""",
    )
    assert missing(untrained) == (1, [f"{NIGHT}"])
    done_by_owner(untrained.stores.warehouse, f"update jobs set retired_at = now() where job = '{untrained.job.name}'")
    assert missing(untrained) == (0, [])


def test_day_that_the_zone_left_out_is_not_missing(untrained: Toy) -> None:
    """Samoa went over the date line and had no 30 December 2011."""
    first = date(2011, 12, 20)
    zone = {"timezone": "Pacific/Apia", "first_night": first, "last_night": date(2011, 12, 31)}
    registered(untrained, schedule=zone)
    done_by_owner(
        untrained.stores.warehouse,
        f"""insert into model_promotions (job, model_version, effective_from, kind, reason, promoted_by, promoted_at)
        values ('{untrained.job.name}', 1, '{first}', 'promotion', '', '', now())""",
    )
    assert missing(untrained) == (11, ["2011-12-20 to 2011-12-31"])
