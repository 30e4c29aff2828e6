"""Training snapshots: named by what they hold, kept once, and the same rows give the same model."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from lifecycle.training.snapshot import load, take
from lifecycle.training.train import recipe_of, train_on
from scoring.errors import TrainingDataError
from scoring.interval import Nights
from scoring.job.files import find_job
from scoring.settings import HOME, Settings
from scoring.stores import embedded
from scoring.stores.installation import open_stores
from scoring.stores.workspace import Workspace
from tests.conftest import Toy, drop_database, new_database
from tests.support.toy import FIRST, ROWS, TRAIN_NIGHTS, UNTIL, execute

WINDOW = Nights(FIRST, UNTIL)


def test_same_rows_have_the_same_hash_and_are_kept_once(untrained: Toy) -> None:
    first = take(untrained.work, WINDOW)
    facts = Path(untrained.stores.lake.snapshot_folder(untrained.job.name, first.hash)) / "snapshot.json"
    before = facts.stat().st_mtime_ns
    again = take(Workspace(untrained.stores, untrained.change(chunk_rows=7)), WINDOW)
    assert again.hash == first.hash
    assert facts.stat().st_mtime_ns == before
    kept = load(untrained.work, first.hash)
    assert kept.rows.table.equals(first.rows.table)
    assert kept.window == WINDOW
    assert (kept.rows.extracted, kept.rows.reasons) == (TRAIN_NIGHTS * ROWS, {})


@pytest.mark.parametrize(
    "change", ["set x = 7 where id = 3", "set y = null where id = 3", "set kind = 'd' where id = 3"]
)
def test_other_rows_have_another_hash(untrained: Toy, change: str) -> None:
    first = take(untrained.work, WINDOW)
    execute(untrained.source, f"update events {change} and at < '2024-01-02'")
    assert take(untrained.work, WINDOW).hash != first.hash


def test_other_window_has_another_hash_also_without_other_rows(untrained: Toy) -> None:
    first = take(untrained.work, WINDOW)
    execute(untrained.source, f"delete from events where at >= '{UNTIL}'")
    assert take(untrained.work, Nights(FIRST, date(2024, 2, 1))).hash != first.hash


def test_snapshot_that_was_changed_is_not_trained_on(untrained: Toy) -> None:
    taken = take(untrained.work, WINDOW)
    lake = untrained.stores.lake
    path = f"{lake.snapshot_folder(untrained.job.name, taken.hash)}/rows.parquet"
    rows = taken.rows.table.slice(1)
    lake.write(path, rows.schema, rows.to_batches(), {})
    with pytest.raises(TrainingDataError, match=f"snapshot {taken.hash} .* found rows with hash"):
        load(untrained.work, taken.hash)
    with pytest.raises(TrainingDataError, match="no files"):
        load(untrained.work, "0" * 16)


def test_recipe_is_what_makes_a_version_out_of_rows(untrained: Toy) -> None:
    first = recipe_of(untrained.job)
    assert recipe_of(untrained.change(gate={"min_rows": 5}, description="Other words.")) == first
    assert recipe_of(untrained.change(pipeline="tests.support.pipelines:build_memory")) != first
    assert recipe_of(untrained.change(training={"holdout_nights": 3})) != first


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flight_delay", pytest.param("flight_duration", marks=pytest.mark.nightly)])
def test_same_snapshot_gives_the_same_artifact_for_the_demo_jobs(
    data_dir: Path, template: str, flights: str, tmp_path: Path, name: str
) -> None:
    warehouse = new_database(data_dir, template)
    settings = Settings(
        data_dir=tmp_path,
        sources={"demo": SecretStr(embedded.url(data_dir / "postgres", flights))},
        warehouse_url=SecretStr(warehouse),
        registry_url=SecretStr(embedded.url(data_dir / "postgres", "registry")),
        code_version="test",
    )
    stores = open_stores(settings, lambda: datetime.now(UTC))
    job = find_job(HOME / "jobs", name)
    taken = take(Workspace(stores, job), Nights(date(2013, 1, 2), date(2013, 1, 24)))
    trained = [
        train_on(Workspace(stores, job), snapshot) for snapshot in (taken, load(Workspace(stores, job), taken.hash))
    ]
    assert trained[0].ref.sha256 == trained[1].ref.sha256
    assert trained[0].ref.version != trained[1].ref.version
    assert isinstance(taken.rows.table, pa.Table)
    assert trained[0].rows > 15_000
    stores.warehouse.engine.dispose()
    drop_database(data_dir, warehouse)
