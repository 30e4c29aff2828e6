"""Nights that several tasks share: the same numbers as one process gives, once each, whatever dies in between."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from scoring.errors import EmptyNight, KeysRepeat, ReconciliationError, SourceQueryError, StageLost
from scoring.night.begun import as_begun
from scoring.night.publish import publish
from scoring.night.request import Extracted
from scoring.night.shards import score_chunks
from scoring.settings import HOME, RetentionPolicy, child_environment
from scoring.stores.installation import open_stores
from scoring.stores.warehouse import ledger
from scoring.stores.warehouse.load import loaded_chunks
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.crashes import DYING
from tests.support.runs import expected, run, shown
from tests.support.sharing import READ_BY_ONE, SCHEMA, STAGED, begin, groups, night, shared, tables
from tests.support.toy import NIGHT, ROWS, execute

OF_NIGHT = f"at >= '{NIGHT}' and at < '{NIGHT + timedelta(days=1)}'"
FACTS = ("snapshot_hash", "predictions_hash", "rows_extracted", "rows_quarantined", "rows_loaded", "unknown_categories")
CHILD = f"""{DYING}
from datetime import datetime, UTC
run_id, chunks = sys.argv[5], sys.argv[6]
from scoring.job.files import load_job
from scoring.night import score_chunks
from scoring.settings import load_settings
from scoring.stores import Workspace, open_stores
settings = load_settings()
stores = open_stores(settings, lambda: datetime.now(UTC))
score_chunks(Workspace(stores, load_job(settings.jobs_dir / (sys.argv[4] + ".yaml"))), run_id, map(int, chunks.split(",")))
"""
POINTS = {
    "a chunk read": ("scoring.night.shards", "write_chunk", 2),
    "a chunk scored": ("scoring.night.score", "profiled", 2),
    "rows sent and not committed": ("scoring.stores.warehouse.load", "_recording", 1),
}


@pytest.mark.parametrize("staged", [STAGED, READ_BY_ONE])
def test_shared_night_gives_the_numbers_of_one_process(toy: Toy, staged: bool):
    alone = ledger.get(toy.stores.warehouse, run(toy).run_id)
    with shared(toy, staged):
        together = night(toy)
        assert (alone.shards, together.shards) == (None, 3)
        for fact in FACTS:
            assert together.facts[fact] == alone.facts[fact], fact
        assert together.quarantine_reasons == alone.quarantine_reasons
        assert shown(toy) == expected(toy)
        assert verify(toy.work) == []
        if staged:
            assert tables(toy) == []


def test_quarantine_of_a_shared_night_is_that_of_one_process(toy: Toy):
    execute(toy.source, f"update events set x = -99 where mod(id, 40) = 3 and at >= '{NIGHT}'")
    alone = ledger.get(toy.stores.warehouse, run(toy).run_id)
    with shared(toy):
        together = night(toy)
    assert together.rows_quarantined == alone.rows_quarantined == ROWS // 40
    assert together.quarantine_reasons == alone.quarantine_reasons == {"x:below_min": ROWS // 40}
    assert together.snapshot_hash == alone.snapshot_hash


def test_night_in_which_keys_repeat_is_read_by_one_task_in_their_order(toy: Toy):
    execute(toy.source, f"insert into events select * from events where id < 5 and {OF_NIGHT}")
    alone = ledger.get(toy.stores.warehouse, run(toy).run_id)
    with shared(toy):
        for _ in range(2):  # the first finds out, the second knows
            together = night(toy)
            assert together.quarantine_reasons == alone.quarantine_reasons == {"duplicate_key": 10}
            assert together.predictions_hash == alone.predictions_hash
            assert tables(toy) == []


def test_keys_that_are_equal_only_as_stored_are_refused_and_then_read_by_one_task(toy: Toy):
    execute(toy.source, f"update events set at = '{NIGHT}' where id in (7, 8) and {OF_NIGHT}")
    path = toy.stores.settings.sql_path(toy.job.name, "features")
    with shared(toy):
        path.write_text(path.read_text().replace("id, x", "case id when 7 then '08' else id::text end as id, x"))
        with pytest.raises(KeysRepeat, match="run the night again"):
            night(toy)
        assert shown(toy) == []
        again = night(toy)
        assert again.quarantine_reasons == {"duplicate_key": 2}
        assert len(shown(toy)) == ROWS - 2


@pytest.mark.slow
@pytest.mark.parametrize("staged", [STAGED, READ_BY_ONE])
@pytest.mark.parametrize("point", POINTS)
def test_task_that_is_killed_and_tried_again_loads_its_rows_once(toy: Toy, commands: Path, point: str, staged: bool):
    if point == "a chunk read" and not staged:
        pytest.skip("the chunks are on the lake before the tasks begin")
    with shared(toy, staged, chunk_rows=20, shards=1 if staged else 3):  # 200 rows are few blocks
        begun = begin(toy)
        first, *others = groups(begun)
        die(commands, toy, begun, POINTS[point], first)
        assert loaded_chunks(toy.stores.warehouse, ledger.get(toy.stores.warehouse, begun.run_id)) == {}
        with pytest.raises(ReconciliationError):
            publish(toy.work, begun.run_id)
        assert shown(toy) == []
        for chunks in (first, *others, first):
            score_chunks(toy.work, begun.run_id, chunks)
        publish(toy.work, begun.run_id)
        assert shown(toy) == expected(toy)
        assert verify(toy.work) == []


def die(commands: Path, toy: Toy, begun: Extracted, point: tuple[str, str, int], chunks: range) -> None:
    """Score some chunks in a process of its own, which is killed at the point."""
    module, name, turn = point
    words = [module, name, str(turn), toy.job.name, begun.run_id, ",".join(map(str, chunks))]
    child = subprocess.run(
        [str(commands / "nightshift"), "-c", CHILD, *words],
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


def test_task_that_is_tried_again_after_its_commit_does_nothing(toy: Toy):
    with shared(toy):
        begun = begin(toy)
        first = groups(begun)[0]
        assert score_chunks(toy.work, begun.run_id, first) > 0
        execute(toy.source, f"drop table {SCHEMA}.{tables(toy)[0]}")
        assert score_chunks(toy.work, begun.run_id, first) == 0


def test_two_tries_of_one_task_at_the_same_time_load_its_rows_once(toy: Toy):
    with shared(toy):
        begun = begin(toy)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda chunks: score_chunks(toy.work, begun.run_id, chunks), groups(begun) * 2))
        publish(toy.work, begun.run_id)
        assert shown(toy) == expected(toy)


@pytest.fixture
def lake(toy: Toy, tmp_path: Path) -> Iterator[Toy]:
    """The toy with its events in two Parquet files a night, and shared nights."""
    engine = sa.create_engine(toy.source)
    rows = pd.read_sql("select * from events", engine)
    engine.dispose()
    for (day, part), some in rows.groupby([rows["at"].dt.date, rows["id"] % 2]):
        (tmp_path / f"lake/day={day}").mkdir(parents=True, exist_ok=True)
        some.to_parquet(tmp_path / f"lake/day={day}/{part}.parquet", index=False)
    url = SecretStr(f"duckdb:///:memory:?root={tmp_path / 'lake'}")
    toy.stores = open_stores(toy.stores.settings.model_copy(update={"sources": {"toy": url}}), toy.stores.clock)
    yield toy
    toy.stores.warehouse.engine.dispose()


def read_of_files(toy: Toy, **changes: Any) -> None:
    """Change the job, and let its SQL read the files."""
    toy.change(**{"gate": {"max_quarantine_share": 1}, **changes})
    files = "from read_parquet('{root}/*/*.parquet', hive_partitioning = true)"
    condition = 'where "at" >= :interval_start and "at" < :interval_end'
    (toy.folder / f"sql/{toy.job.name}/features.sql").write_text(f'select "at", id, x, kind {files} {condition}')


STRICT = {"features": {"x": {"type": "float", "min": -50, "max": 1}, "kind": {"type": "category"}}}


@pytest.mark.parametrize("dirt", [{}, STRICT])
def test_shared_night_of_files_gives_the_numbers_of_one_process(lake: Toy, dirt: dict[str, Any]):
    read_of_files(lake, **dirt)
    alone = ledger.get(lake.stores.warehouse, run(lake).run_id)
    read_of_files(lake, shards=3, chunk_rows=30, **dirt)
    begun = begin(lake)
    assert begun.rows_quarantined is None  # each task reads its rows
    for chunks in reversed(groups(begun)):
        score_chunks(lake.work, begun.run_id, chunks)
    publish(lake.work, begun.run_id)
    together = ledger.get(lake.stores.warehouse, begun.run_id)
    assert (together.shards, together.chunks) == (3, 7)
    for fact in FACTS:
        assert together.facts[fact] == alone.facts[fact], fact
    assert together.quarantine_reasons == alone.quarantine_reasons
    assert bool(together.rows_quarantined) == bool(dirt)
    assert verify(lake.work) == []


def test_shared_night_of_files_ends_with_the_files_of_the_job_that_it_began_with(lake: Toy):
    read_of_files(lake, shards=3, chunk_rows=30)
    begun = begin(lake)
    new = {"x": {"type": "float"}, "z": {"type": "float"}}
    lake.change(features=new, gate={"min_rows": 10**9})
    (lake.folder / f"sql/{lake.job.name}/features.sql").write_text("select nothing of the kind")
    work = as_begun(lake.work, begun.run_id)
    for chunks in groups(begun):
        score_chunks(work, begun.run_id, chunks)
    assert publish(work, begun.run_id).rows == ROWS


def test_keys_that_repeat_in_files_are_read_by_one_task_in_their_order(lake: Toy, tmp_path: Path):
    file = tmp_path / f"lake/day={NIGHT}/0.parquet"
    (file.parent / "again.parquet").write_bytes(file.read_bytes())
    read_of_files(lake)
    alone = ledger.get(lake.stores.warehouse, run(lake).run_id)
    read_of_files(lake, shards=3)
    together = night(lake)
    assert together.rows_quarantined == alone.rows_quarantined == ROWS
    assert (together.snapshot_hash, together.predictions_hash) == (alone.snapshot_hash, alone.predictions_hash)


@pytest.mark.parametrize("change", ["truncate", "drop table"])
def test_rows_that_a_crashed_server_lost_are_named_and_read_anew(toy: Toy, change: str):
    with shared(toy):
        begun = begin(toy)
        execute(toy.source, f"{change} {SCHEMA}.{tables(toy)[0]}")
        with pytest.raises(StageLost, match=r"found nothing[\s\S]*clear the task extract"):
            score_chunks(toy.work, begun.run_id, groups(begun)[0])
        night(toy)
        assert shown(toy) == expected(toy)


def test_chunk_that_is_not_loaded_stops_publishing(toy: Toy):
    with shared(toy):
        begun = begin(toy)
        for chunks in groups(begun):
            score_chunks(toy.work, begun.run_id, chunks)
        execute(toy.stores.warehouse.url, "delete from loaded_chunks where chunk = 1")
        with pytest.raises(ReconciliationError, match=r"chunks \[1\] of \d+ not loaded"):
            publish(toy.work, begun.run_id)


def test_rows_of_a_run_that_ended_are_dropped_by_the_next_attempt_and_by_retention(toy: Toy):
    with shared(toy):
        begun = begin(toy)
        ledger.record_failure(toy.stores.warehouse, begun.run_id, "killed", datetime.now(UTC))
        assert not staged_removals(toy, days=0)
        other = begin(toy)
        assert len(tables(toy)) == 1
        ledger.record_failure(toy.stores.warehouse, other.run_id, "killed", datetime.now(UTC))
        assert len(staged_removals(toy, days=2)) == 1
        assert tables(toy) == []


def staged_removals(toy: Toy, days: int) -> list[str]:
    """What retention removes from the source so many days later."""
    work = replace(toy.work, stores=replace(toy.stores, clock=lambda: datetime.now(UTC) + timedelta(days=days)))
    removals = [removal for removal in plan(work, RetentionPolicy()) if removal.kind == "rows in the source"]
    return [removal.what for removal in apply(work, removals)]


def test_night_without_rows_is_refused_before_it_is_shared(toy: Toy):
    execute(toy.source, "delete from events")
    with shared(toy), pytest.raises(EmptyNight):
        begin(toy)


def test_source_that_may_not_create_tables_says_what_to_do(toy: Toy):
    toy.change(shards=3)
    toy.stores = open_stores(toy.stores.settings.model_copy(update={"staging": {"toy": "absent"}}), toy.stores.clock)
    with pytest.raises(
        SourceQueryError, match=r"schema \"absent\" does not exist[\s\S]*unset the NIGHTSHIFT_STAGING variable"
    ):
        begin(toy)
    toy.stores.warehouse.engine.dispose()
