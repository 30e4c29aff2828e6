"""Erasure beside whatever else goes on in a job: what reads rows, holds it off or waits; what it looks at may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from drift.measure import measure
from drift.watch import watch
from lifecycle.erasure import EntityKey, forget, plan
from lifecycle.retraining import snapshot
from lifecycle.shadow import shadow_run
from lifecycle.training import train
from scoring.errors import JobBusy, Permanent, WarehouseUnavailable
from scoring.interval import Nights
from scoring.metrics import ROWS_SCORED
from scoring.night.publish import release
from scoring.stores import lake
from scoring.stores.warehouse import Warehouse, erasing, erasures, locks, open_warehouse, retrainings, unerased
from scoring.stores.warehouse import connection as connections
from scoring.upkeep.measurements import measure_jobs
from tests.conftest import Toy
from tests.support.erasure import WHO, run
from tests.support.toy import FIRST, NIGHT, UNTIL

SEVENTEEN = {"id": "17"}


@pytest.fixture
def uses(toy: Toy) -> dict[str, Callable[[], object]]:
    """What reads the rows of a published night or of a window of training."""
    run_id = run(toy, NIGHT)
    window = {"night": NIGHT, "since": FIRST, "until": UNTIL, "forced": True, "decision_id": None}
    facts = {
        "job": toy.job.name,
        "trigger": "hand",
        "reason": "test",
        "started_at": toy.stores.clock(),
        "airflow_run_id": None,
    }
    retraining = retrainings.begin(toy.work.warehouse, {**facts, **window}).retraining_id
    return {
        "run": lambda: run(toy, NIGHT),
        "train": lambda: train(toy.work, Nights(FIRST, UNTIL)),
        "retraining": lambda: snapshot(toy.work, retraining),
        "shadow": lambda: shadow_run(toy.work, run_id),
        "drift": lambda: watch(toy.work, run_id),
        "performance": lambda: measure(toy.work, NIGHT),
        "release": lambda: release(toy.work, run_id),
    }


def test_what_reads_rows_holds_erasures_off(
    toy: Toy, uses: dict[str, Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    free: dict[str, list[bool]] = {name: [] for name in uses}
    shared = locks.shared

    for name, use in uses.items():

        @contextmanager
        def watched(warehouse: Warehouse, *names: str, name: str = name) -> Iterator[None]:
            with shared(warehouse, *names), erasing(warehouse, toy.job.name) as nobody:
                free[name].append(nobody)
                yield

        monkeypatch.setattr(locks, "shared", watched)
        use()
    assert all(free.values()), "each held a lock"
    assert not any(any(answers) for answers in free.values()), "and forget would have been refused meanwhile"


def test_what_begins_while_rows_are_erased_waits_and_says_for_whom(
    toy: Toy, uses: dict[str, Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SESSION", "-c lock_timeout=100ms -c timezone=UTC")
    patience = toy.stores
    toy.stores = replace(patience, warehouse=open_warehouse(patience.settings))
    try:
        with erasing(patience.warehouse, toy.job.name) as free:
            assert free
            for use in uses.values():
                with pytest.raises(WarehouseUnavailable, match=f"lock of forget {toy.job.name}.*held by pid"):
                    use()
    finally:
        toy.stores.warehouse.engine.dispose()
        toy.stores = patience


def test_forget_is_refused_while_somebody_reads_rows(toy: Toy) -> None:
    with unerased(toy.work.warehouse, toy.job.name), pytest.raises(JobBusy, match="a process that works on its rows"):
        forget(toy.work, EntityKey.of(toy.job, SEVENTEEN), "test", "tests")
    assert erasures.of_job(toy.work.warehouse, toy.job.name) == []


@pytest.mark.parametrize("reason", [f"{WHO} asked", f"a letter of {WHO.upper()}!"])
def test_reason_that_holds_a_value_of_the_key_is_refused_without_it(toy: Toy, reason: str) -> None:
    """Reasons stay on record for ever."""
    with pytest.raises(Permanent, match="found a value of the key") as caught:
        forget(toy.work, EntityKey(toy.job, {"id": WHO}), reason, "tests")
    assert WHO not in str(caught.value)
    assert erasures.of_job(toy.work.warehouse, toy.job.name) == []


def test_number_stands_in_a_sentence_only_as_a_word(toy: Toy) -> None:
    key = EntityKey.of(toy.job, SEVENTEEN)
    assert key.stands_in("row 17 of the list")
    assert not key.stands_in("request 170 of 2017")


def test_run_that_begins_and_files_that_go_while_rows_are_counted_do_no_harm(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``plan`` holds no lock."""
    run(toy, NIGHT)
    listed, stored = lake.Lake.files, erasures.stored_rows

    def files(self: lake.Lake, folder: str) -> list[str]:
        return [path for real in listed(self, folder) for path in (real, real.replace("features-", "features-9"))]

    def late(*arguments: Any) -> Any:
        run(toy, NIGHT + timedelta(days=1))
        return stored(*arguments)

    monkeypatch.setattr(lake.Lake, "files", files)
    monkeypatch.setattr(erasures, "stored_rows", late)
    counted = {item.store: item.rows for item in plan(toy.work, EntityKey.of(toy.job, SEVENTEEN)).items}
    assert counted["prediction history (table)"] == 2
    assert counted["rows of runs (lake)"] == 1


def test_counter_of_scored_rows_does_not_fall(toy: Toy) -> None:
    def scored() -> list[float]:
        samples = measure_jobs(toy.work.warehouse, [toy.job])
        return [sample.value for sample in samples if sample.metric is ROWS_SCORED]

    run(toy, NIGHT)
    before = scored()
    for number in ("17", "18"):
        forget(toy.work, EntityKey.of(toy.job, {"id": number}), "test", "tests")
    assert scored() == before
