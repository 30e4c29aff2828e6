"""One night from the source to what analysts see, on real PostgreSQL and a real registry."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from scoring.errors import (
    ChampionMissing,
    EmptyNight,
    LakeRefused,
    NightHeld,
    Permanent,
    ReconciliationError,
    RegistryUnavailable,
    RunMissing,
    VersionMissing,
)
from scoring.night.chunk import ChunkPredictions
from scoring.night.extract import extract
from scoring.night.publish import Published, discard, load_run, publish, release
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.night.score import score_chunk
from scoring.settings import HOME, child_environment
from scoring.stores.installation import open_stores
from scoring.stores.run_folder import Part, RunFolder
from scoring.stores.warehouse import ledger
from scoring.stores.warehouse.load import count_rows
from scoring.stores.warehouse.schema import ensure_partition
from tests.conftest import Toy
from tests.support.runs import expected, request, run, shown
from tests.support.toy import NIGHT, ROWS, add, events, execute, train_champion


def test_run_publishes_every_row_everywhere(toy: Toy) -> None:
    done = run(toy)
    assert (done.status, done.rows) == ("published", ROWS)
    rows = shown(toy)
    assert [row[:2] for row in rows] == [row[:2] for row in expected(toy)]
    assert np.allclose([row[2] for row in rows], [row[2] for row in expected(toy)], rtol=0, atol=1e-15)
    lake = pq.read_table(done.lake_object).sort_by("id")
    assert lake.num_rows == ROWS
    assert lake.column("probability").to_pylist() == [row[2] for row in rows]
    assert set(lake.column("run_id").to_pylist()) == {done.run_id}
    assert lake.schema.names == toy.stores.warehouse.query(f"select * from {toy.job.name}_predictions limit 0")[0]


def test_ledger_row_holds_counts_hashes_and_seconds(toy: Toy) -> None:
    found = ledger.get(toy.stores.warehouse, run(toy).run_id)
    assert (found.status, found.stage, found.attempt, found.chunks) == ("published", "done", 1, 4)
    assert found.rows_extracted == found.rows_scored == found.rows_loaded == ROWS
    assert found.rows_quarantined == 0
    assert found.quarantine_reasons == {}
    for number in (found.seconds_extract, found.seconds_score, found.seconds_publish, found.rows_per_second):
        assert number is not None
        assert number > 0
    for digest in (found.snapshot_hash, found.predictions_hash, found.model_sha256, found.sql_sha256):
        assert digest is not None
        assert len(digest) == 64
    assert found.library_versions["scikit-learn"]
    assert found.code_version == "test"


def test_run_again_gives_the_same_rows_once_and_keeps_history(toy: Toy) -> None:
    first = run(toy)
    before = shown(toy)
    second = run(toy)
    assert shown(toy) == before
    assert len(before) == ROWS
    assert {row[0] for row in shown(toy, "run_id")} == {second.run_id}
    one, two = (ledger.get(toy.stores.warehouse, done.run_id) for done in (first, second))
    assert (one.status, two.status, two.attempt) == ("superseded", "published", 2)
    assert one.predictions_hash == two.predictions_hash
    assert one.snapshot_hash == two.snapshot_hash
    counts = toy.stores.warehouse.query(
        f"select run_id, count(*), count(visible_until) from {toy.job.name}_predictions_as_of group by 1 order by 3 desc"
    )[1]
    assert counts == [(first.run_id, ROWS, ROWS), (second.run_id, ROWS, 0)]


def test_chunk_size_changes_nothing(toy: Toy) -> None:
    small = ledger.get(toy.stores.warehouse, run(toy).run_id)
    toy.change(chunk_rows=100_000)
    large = ledger.get(toy.stores.warehouse, run(toy).run_id)
    assert (small.chunks, large.chunks) == (4, 1)
    assert (small.predictions_hash, small.snapshot_hash) == (large.predictions_hash, large.snapshot_hash)


def test_publish_again_changes_nothing(toy: Toy) -> None:
    done = run(toy)
    before = toy.stores.warehouse.query("select * from publications")
    assert publish(toy.work, done.run_id) == done
    assert toy.stores.warehouse.query("select * from publications") == before


def test_empty_night_fails_with_zero_rows(toy: Toy) -> None:
    with pytest.raises(EmptyNight, match="found 0 rows"):
        run(toy, date(2024, 12, 31))
    (found,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, date(2024, 12, 31))
    assert found.status == "failed"
    assert found.reason is not None
    assert "0 rows" in found.reason


def test_empty_night_is_skipped_when_the_job_says_so(toy: Toy) -> None:
    toy.change(on_empty="skip")
    with pytest.raises(EmptyNight):
        run(toy, date(2024, 12, 31))
    (found,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, date(2024, 12, 31))
    assert found.status == "skipped"


def test_bad_rows_go_to_quarantine_with_every_reason(toy: Toy) -> None:
    execute(toy.source, f"update events set x = -99, kind = null where id = 7 and at >= '{NIGHT}'")
    execute(toy.source, f"update events set x = 'NaN' where id = 8 and at >= '{NIGHT}'")
    found = ledger.get(toy.stores.warehouse, run(toy).run_id)
    assert (found.rows_extracted, found.rows_quarantined, found.rows_scored) == (ROWS, 2, ROWS - 2)
    assert found.quarantine_reasons == {"x:below_min": 1, "kind:null": 1, "x:not_finite": 1}
    folder = toy.stores.lake.run_folder(toy.job.name, NIGHT, found.run_id)
    kept = [
        row
        for n in range(4)
        if toy.stores.lake.exists(p := f"{folder}/quarantine-{n:05d}.parquet")
        for row in pq.read_table(p).to_pylist()
    ]
    assert {row["id"]: sorted(row["reasons"]) for row in kept} == {
        "7": ["kind:null", "x:below_min"],
        "8": ["x:not_finite"],
    }
    assert {7, 8}.isdisjoint(row[0] for row in shown(toy))


def test_duplicate_keys_are_quarantined_with_all_copies_also_across_chunks(toy: Toy) -> None:
    twice = events(NIGHT).iloc[[63, 64]]  # the last row of a chunk and the first of the next
    add(toy.source, twice)
    toy.change(chunk_rows=64)
    found = ledger.get(toy.stores.warehouse, run(toy).run_id)
    assert (found.rows_extracted, found.rows_quarantined) == (ROWS + 2, 4)
    assert found.quarantine_reasons == {"duplicate_key": 4}


def test_unknown_categories_are_scored_and_counted(toy: Toy) -> None:
    execute(toy.source, f"update events set kind = 'never seen' where id < 5 and at >= '{NIGHT}'")
    found = ledger.get(toy.stores.warehouse, run(toy).run_id)
    assert found.rows_quarantined == 0
    assert found.unknown_categories is not None
    assert found.unknown_categories["kind"] >= 5


def test_gate_holds_a_night_and_what_was_published_stays(toy: Toy) -> None:
    first = run(toy)
    execute(toy.source, f"update events set kind = null where id < 100 and at >= '{NIGHT}'")
    with pytest.raises(NightHeld, match=r"50\.0% of rows quarantined"):
        run(toy)
    assert {row[0] for row in shown(toy, "run_id")} == {first.run_id}
    assert len(shown(toy)) == ROWS
    held = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)[-1]
    assert held.status == "held"
    assert count_rows(toy.stores.warehouse, toy.job, held) == 100


def test_release_publishes_a_held_night_and_publish_then_agrees(toy: Toy) -> None:
    toy.change(gate={"min_rows": 1000})
    with pytest.raises(NightHeld, match=r"gate\.min_rows is 1000"):
        run(toy)
    (held,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    assert release(toy.work, held.run_id).status == "published"
    assert len(shown(toy)) == ROWS
    assert publish(toy.work, held.run_id).status == "published"


def test_discard_drops_the_rows_of_a_held_night(toy: Toy) -> None:
    toy.change(gate={"min_rows": 1000})
    with pytest.raises(NightHeld):
        run(toy)
    (held,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    assert discard(toy.work, held.run_id) == ROWS
    assert shown(toy) == []
    assert ledger.get(toy.stores.warehouse, held.run_id).status == "discarded"
    with pytest.raises(RunMissing, match="discarded"):
        publish(toy.work, held.run_id)
    with pytest.raises(RunMissing):
        discard(toy.work, held.run_id)


def test_absurd_predictions_are_held(toy: Toy) -> None:
    execute(toy.source, f"update events set x = x + 1000 where at >= '{NIGHT}'")
    with pytest.raises(NightHeld, match="reference sd from the reference mean"):
        run(toy)
    assert shown(toy) == []


def run_of(toy: Toy, done: Published) -> str:
    """Return the run that the lake object of a publication is of."""
    facts = toy.stores.lake.facts(done.lake_object)
    assert facts is not None
    return facts["run_id"]


def test_a_run_that_hung_does_not_replace_a_later_one(toy: Toy) -> None:
    hung = extract(toy.work, request())
    for chunk in range(hung.chunks):
        score_chunk(toy.work, hung.run_id, chunk)
    later = run(toy)
    assert publish(toy.work, hung.run_id).status == "superseded"
    assert {row[0] for row in shown(toy, "run_id")} == {later.run_id}
    assert run_of(toy, later) == later.run_id
    assert release(toy.work, hung.run_id).status == "published"
    assert {row[0] for row in shown(toy, "run_id")} == {hung.run_id}
    assert run_of(toy, later) == hung.run_id


def blocked(toy: Toy, asked: NightRequest, part: Part, chunk: int) -> str:
    """Put a folder where one of the run's files is to appear, so that writing it fails."""
    lake = toy.stores.lake
    path = f"{lake.run_folder(toy.job.name, asked.night, asked.run_id)}/{part}-{chunk:05d}.parquet"
    (Path(path) / "in the way").mkdir(parents=True)
    return path


@pytest.mark.parametrize("chunk", [0, 2, 3])
@pytest.mark.parametrize("part", ["features", "predictions"])
@pytest.mark.timeout(60)
def test_chunk_that_fails_ends_the_run_with_its_own_error_and_loads_nothing(toy: Toy, part: Part, chunk: int) -> None:
    asked = request()
    path = blocked(toy, asked, part, chunk)
    with pytest.raises(LakeRefused, match=re.escape(path)):
        run_night(toy.work, asked)
    found = ledger.get(toy.stores.warehouse, asked.run_id)
    assert found.status == "failed"
    assert found.reason is not None
    assert path in found.reason
    assert found.rows_loaded is None
    assert count_rows(toy.stores.warehouse, toy.job, found) == 0
    assert shown(toy) == []
    assert run(toy).status == "published"


@pytest.mark.timeout(60)
def test_load_that_fails_midway_ends_the_run_with_its_error_and_loads_nothing(toy: Toy) -> None:
    table = f"{toy.job.name}_predictions_history"
    ensure_partition(toy.stores.warehouse, toy.job, NIGHT)
    warehouse = toy.stores.warehouse.url
    execute(warehouse, f"alter table {table} add constraint low check (id <> 150)")
    asked = request()
    with pytest.raises(Permanent, match='violates check constraint "low"'):
        run_night(toy.work, asked)
    found = ledger.get(toy.stores.warehouse, asked.run_id)
    assert found.status == "failed"
    assert found.reason is not None
    assert 'check constraint "low"' in found.reason
    assert count_rows(toy.stores.warehouse, toy.job, found) == 0
    assert shown(toy) == []
    execute(warehouse, f"alter table {table} drop constraint low")
    assert publish(toy.work, asked.run_id).status == "published"
    assert shown(toy) == expected(toy)


def test_chunks_are_loaded_while_later_ones_are_extracted(toy: Toy) -> None:
    """The last chunk is extracted only once rows of the first were sent, which a publish after all of them could not do."""
    sent = threading.Event()
    extracted: list[bool] = []

    def told(stage: str, rows: int) -> None:
        if stage == "publish":
            sent.set()
        if stage == "extract":
            extracted.append(len(extracted) < 2 or sent.wait(30))

    done = run_night(toy.work, request(), told)
    assert (done.status, extracted) == ("published", [True] * 4)
    assert shown(toy) == expected(toy)


def test_run_and_tasks_give_the_same_rows_and_facts(toy: Toy) -> None:
    begun = extract(toy.work, request())
    for chunk in range(begun.chunks):
        score_chunk(toy.work, begun.run_id, chunk)
    publish(toy.work, begun.run_id)
    one, two = (ledger.get(toy.stores.warehouse, run_id) for run_id in (begun.run_id, run(toy).run_id))
    for fact in ("rows_scored", "rows_loaded", "predictions_hash", "snapshot_hash", "chunks", "stage"):
        assert one.facts[fact] == two.facts[fact], fact


def test_seconds_of_publishing_do_not_count_waiting_for_chunks(toy: Toy) -> None:
    begun = extract(toy.work, request())
    for chunk in range(begun.chunks):
        score_chunk(toy.work, begun.run_id, chunk)
    found = ledger.get(toy.stores.warehouse, begun.run_id)

    def slowly() -> Iterator[ChunkPredictions]:
        for number in range(begun.chunks):
            time.sleep(0.5)
            yield ChunkPredictions(number, RunFolder(toy.stores.lake, found).predictions([number]))

    began = time.monotonic()
    done = load_run(toy.work, found, slowly())
    assert done.rows == ROWS
    assert 0 < done.seconds <= time.monotonic() - began - 2


def test_missing_chunk_stops_publishing(toy: Toy) -> None:
    begun = extract(toy.work, request())
    score_chunk(toy.work, begun.run_id, 0)
    with pytest.raises(ReconciliationError, match=r"chunks \[1, 2, 3\] of 4 not scored"):
        publish(toy.work, begun.run_id)
    assert shown(toy) == []
    assert ledger.get(toy.stores.warehouse, begun.run_id).status == "failed"


def test_lost_rows_stop_publishing(toy: Toy) -> None:
    begun = extract(toy.work, request())
    for chunk in range(begun.chunks):
        score_chunk(toy.work, begun.run_id, chunk)
    lake = toy.stores.lake
    path = f"{lake.run_folder(toy.job.name, NIGHT, begun.run_id)}/predictions-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(ReconciliationError, match=f"{ROWS} scored, {ROWS - 1} loaded"):
        publish(toy.work, begun.run_id)
    assert shown(toy) == []


def test_night_uses_the_version_that_was_champion_then(toy: Toy) -> None:
    (first,) = toy.stores.registry.versions(toy.job.name)
    second = train_champion(toy.work, NIGHT + timedelta(days=1)).ref
    assert ledger.get(toy.stores.warehouse, run(toy, NIGHT).run_id).model_version == first.version
    later = run(toy, NIGHT + timedelta(days=1))
    assert ledger.get(toy.stores.warehouse, later.run_id).model_version == second.version
    assert {row[0] for row in shown(toy, "model_version", NIGHT + timedelta(days=1))} == {second.version}


def test_model_version_can_be_chosen(toy: Toy) -> None:
    second = train_champion(toy.work, NIGHT + timedelta(days=1)).ref
    assert (
        ledger.get(toy.stores.warehouse, run(toy, model_version=second.version).run_id).model_version == second.version
    )
    with pytest.raises(VersionMissing, match="version 999"):
        run(toy, model_version=999)


@pytest.fixture
def cut_off(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """The toy job with its champion, in an installation whose registry does not answer."""
    from mlflow.store.db import utils

    monkeypatch.setattr(utils, "MAX_RETRY_COUNT", 1)  # MLflow's own: ten tries, 101 seconds
    gone = SecretStr("postgresql+psycopg://registry@127.0.0.1:1/registry")
    stores = open_stores(toy.stores.settings.model_copy(update={"registry_url": gone}), toy.stores.clock)
    yield Toy(stores, toy.job, toy.source, toy.folder)
    stores.warehouse.engine.dispose()


def test_night_needs_no_registry(toy: Toy, cut_off: Toy) -> None:
    (ref,) = toy.stores.registry.versions(toy.job.name)
    begun = extract(cut_off.work, request())
    for chunk in range(begun.chunks):
        score_chunk(cut_off.work, begun.run_id, chunk)
    assert publish(cut_off.work, begun.run_id).status == "published"
    assert shown(cut_off) == expected(toy)
    found = ledger.get(cut_off.stores.warehouse, begun.run_id)
    assert (found.model_version, found.model_sha256) == (ref.version, ref.sha256)


def test_registry_is_asked_for_a_promotion_older_than_its_artifact_columns(toy: Toy, cut_off: Toy) -> None:
    for column in ("model_sha256", "model_uri"):
        with toy.stores.warehouse.transaction() as connection:
            connection.exec_driver_sql(f"update model_promotions set {column} = null")
        with pytest.raises(RegistryUnavailable):
            run(cut_off)
        assert run(toy).status == "published"


def test_registry_is_asked_for_a_version_that_is_named(cut_off: Toy) -> None:
    with pytest.raises(RegistryUnavailable):
        run(cut_off, model_version=1)


CHILD = """
import sys
from cli.main import main
sys.argv = ["nightshift", "run", *sys.argv[1:]]
try:
    main()
finally:
    print("mlflow" in sys.modules)
"""


def test_run_does_not_import_mlflow(toy: Toy) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, toy.job.name, "--night", str(NIGHT)],
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (child.returncode, child.stdout.splitlines()[-1:]) == (0, ["False"]), child.stderr
    assert shown(toy) == expected(toy)


def test_night_before_the_first_champion_fails(toy: Toy) -> None:
    with pytest.raises(ChampionMissing, match="effective from"):
        run(toy, NIGHT - timedelta(days=1))


@pytest.mark.slow
def test_readers_never_see_half_a_night_during_twenty_publishes(toy: Toy) -> None:
    run(toy)
    seen: set[tuple] = set()
    stop = threading.Event()
    view = f"{toy.job.name}_predictions"

    def read() -> int:
        reads = 0
        while not stop.is_set():
            rows = toy.stores.warehouse.query(
                f"select count(*), count(distinct id), count(distinct run_id) from {view} where night = '{NIGHT}'"
            )[1]
            seen.update(rows)
            reads += 1
        return reads

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for _ in range(20):
                run(toy)
        finally:
            stop.set()
        assert sum(reader.result() for reader in readers) > 20
    assert seen == {(ROWS, ROWS, 1)}


def test_nights_run_side_by_side(toy: Toy) -> None:
    nights = [NIGHT, NIGHT, NIGHT + timedelta(days=1), NIGHT + timedelta(days=2)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda night: run(toy, night), nights))
    assert sorted(one.status for one in done)[0] in ("published", "superseded")
    counts = toy.stores.warehouse.query(
        f"select night, count(*) from {toy.job.name}_predictions group by 1 order by 1"
    )[1]
    assert counts == [(night, ROWS) for night in sorted(set(nights))]
