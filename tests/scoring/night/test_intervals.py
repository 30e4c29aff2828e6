"""Intervals around predicted values: from the job file to tables, files and measured coverage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from drift.measure import measure
from lifecycle.erasure import EntityKey, forget
from scoring.errors import Permanent
from scoring.interval import Nights
from scoring.night import NightRequest, export_file, publish, published_runs, rescore, run_night
from scoring.night.extract import extract
from scoring.night.interval_level import adapted
from scoring.night.score import score_chunk
from scoring.stores import RunFolder
from scoring.stores.registry import BAND_FILE, VersionRef
from scoring.stores.warehouse import Span, ledger, monitoring
from scoring.upkeep import verify
from tests.conftest import Toy
from tests.support.sharing import night, shared
from tests.support.toy import NIGHT, execute, train_champion

DAY = timedelta(days=1)
NUMBERS = "alter table events alter column y type double precision using coalesce(x, 0) + 3 * y::int"


@pytest.fixture
def numbers(untrained: Toy) -> Toy:
    """A regression job whose outcome differs from what can be known by a good deal."""
    execute(untrained.source, NUMBERS)
    regression(untrained)
    return untrained


def regression(toy: Toy, **changes: Any) -> None:
    toy.change(task="regression", pipeline="tests.support.pipelines:build_linear", **changes)


def scored(toy: Toy, night: Any = NIGHT) -> str:
    request = NightRequest(night, datetime.now(UTC), "test")
    run_night(toy.work, request)
    return request.run_id


def shown(toy: Toy, view: str = "predictions") -> pd.DataFrame:
    _, rows = toy.stores.warehouse.query(f"select * from {toy.job.name}_{view} order by night, id")
    columns, _ = toy.stores.warehouse.query(f"select * from {toy.job.name}_{view} limit 0")
    return pd.DataFrame(rows, columns=columns)


def test_interval_is_in_table_view_lake_and_export_and_holds_its_share(numbers: Toy, tmp_path: Any) -> None:
    regression(numbers, interval=0.8)
    train_champion(numbers.work)
    for day in (NIGHT, NIGHT + DAY):
        scored(numbers, day)
    table = shown(numbers)
    assert list(table.columns)[-2:] == ["lower", "upper"]
    assert (table["lower"] < table["prediction"]).all()
    assert (table["upper"] > table["prediction"]).all()
    lake = pq.read_table(numbers.stores.lake.current(numbers.job.name, NIGHT)).to_pandas().sort_values("id")
    assert lake["upper"].tolist() == table[table["night"] == NIGHT]["upper"].tolist()
    runs = published_runs(numbers.work, Nights.of(NIGHT)).runs
    export_file(numbers.work, runs, tmp_path / "out.parquet", "parquet")
    assert pq.read_table(tmp_path / "out.parquet")["lower"].to_pylist() == lake.sort_values("id")["lower"].tolist()
    assert verify(numbers.work) == []
    measure(numbers.work, NIGHT + 2 * DAY)
    first, second = monitoring.performance(numbers.stores.warehouse, Span(numbers.job.name), NIGHT + 2 * DAY)
    assert 0.7 < (first.metrics["coverage"]["value"] or 0) < 0.9
    assert second.rolling["7"]["interval_width"]["value"] == pytest.approx((table["upper"] - table["lower"]).mean())


def test_key_added_later_gives_an_old_version_intervals_and_old_rows_none(numbers: Toy, tmp_path: Any) -> None:
    trained = train_champion(numbers.work)
    before = scored(numbers)
    old = ledger.get(numbers.stores.warehouse, before)
    forget_band(numbers, trained.ref)
    regression(numbers, interval=0.9)
    after = scored(numbers, NIGHT + DAY)
    table = shown(numbers)
    assert table[table["night"] == NIGHT]["upper"].isna().all()
    assert table[table["night"] == NIGHT + DAY]["upper"].notna().all()
    assert list(shown(numbers, "predictions_as_of").columns)[-2:] == ["lower", "upper"]
    assert verify(numbers.work, repair=True) == []
    runs = published_runs(numbers.work, Nights.including(NIGHT, NIGHT + DAY)).runs
    export_file(numbers.work, runs, tmp_path / "out.csv", "csv")
    exported = pd.read_csv(tmp_path / "out.csv")
    assert exported["lower"].isna().sum() == old.rows_loaded
    measure(numbers.work, NIGHT + 2 * DAY)
    rows = monitoring.performance(numbers.stores.warehouse, Span(numbers.job.name), NIGHT + 2 * DAY)
    assert ["coverage" in row.metrics for row in rows] == [False, True]
    regression(numbers)  # and away again: what is published keeps its intervals, new nights have none
    scored(numbers, NIGHT + 2 * DAY)
    assert shown(numbers)["upper"].notna().sum() == ledger.get(numbers.stores.warehouse, after).rows_loaded
    numbers.stores.lake.remove(numbers.stores.lake.current(numbers.job.name, NIGHT + DAY))
    assert [finding.repaired for finding in verify(numbers.work, repair=True)] == [True]
    assert verify(numbers.work) == []


def forget_band(toy: Toy, ref: VersionRef) -> None:
    """Make a version one of before there were bands."""
    files = toy.stores.registry.files(ref)
    assert files.has(BAND_FILE)
    (files.folder / BAND_FILE).unlink()
    without = f"update model_manifests set files = files - '{BAND_FILE}' where job = '{toy.job.name}'"
    execute(toy.stores.warehouse.url, without)


def test_scored_again_in_chunks_or_whole_gives_the_same_hash(numbers: Toy) -> None:
    regression(numbers, interval={"level": 0.9, "adaptive": True})
    train_champion(numbers.work)
    first = ledger.get(numbers.stores.warehouse, scored(numbers))
    request = NightRequest(NIGHT, datetime.now(UTC), "test")
    extracted = extract(numbers.work, request)
    for number in reversed(range(extracted.chunks)):
        score_chunk(numbers.work, extracted.run_id, number)
    publish(numbers.work, extracted.run_id)
    again = ledger.get(numbers.stores.warehouse, extracted.run_id)
    assert again.predictions_hash == first.predictions_hash
    (outcome,) = rescore(numbers.work, Nights.of(NIGHT), first.model_version, "again")
    assert outcome.difference is not None
    assert outcome.difference.rows_changed == 0
    linear = "tests.support.pipelines:build_linear"
    with shared(numbers, task="regression", pipeline=linear, interval=0.9):
        assert night(numbers).predictions_hash == first.predictions_hash
        assert verify(numbers.work) == []


def test_adaptive_level_is_of_what_was_known_before_the_night(numbers: Toy) -> None:
    regression(numbers, interval={"level": 0.9, "adaptive": True})
    train_champion(numbers.work)
    execute(numbers.source, f"update events set y = y + 100 where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    scored(numbers)
    measure(numbers.work, NIGHT + DAY)
    run_id = scored(numbers, NIGHT + 2 * DAY)
    pinned = RunFolder(numbers.stores.lake, ledger.get(numbers.stores.warehouse, run_id)).pinned_interval(numbers.job)
    assert pinned is not None
    assert (pinned.nights, pinned.miss) == (1, adapted(0.1, [1.0]))
    measure(numbers.work, NIGHT + 2 * DAY)
    again = scored(numbers, NIGHT + DAY)  # at its end nothing was measured
    pinned = RunFolder(numbers.stores.lake, ledger.get(numbers.stores.warehouse, again)).pinned_interval(numbers.job)
    assert pinned is not None
    assert (pinned.nights, pinned.miss) == (0, 0.1)


def test_table_without_the_columns_is_not_taken_for_another_jobs(numbers: Toy) -> None:
    train_champion(numbers.work)
    scored(numbers)
    execute(numbers.stores.warehouse.url, f"alter table {numbers.job.name}_predictions_history add column other int")
    regression(numbers, interval=0.9)
    with pytest.raises(Permanent, match="keys and task of a job never change"):
        scored(numbers, NIGHT + DAY)


def test_forgotten_entity_leaves_the_intervals_of_the_others(numbers: Toy) -> None:
    regression(numbers, interval=0.9)
    train_champion(numbers.work)
    scored(numbers)
    before = shown(numbers)
    forget(numbers.work, EntityKey.of(numbers.job, {"id": "7"}), "asked for", "tests")
    assert shown(numbers).equals(before[before["id"] != 7].reset_index(drop=True))
    assert verify(numbers.work) == []
    execute(numbers.source, "delete from events where id = 7")
    scored(numbers)
    again = shown(numbers)
    assert again[["lower", "upper"]].equals(before[before["id"] != 7].reset_index(drop=True)[["lower", "upper"]])
