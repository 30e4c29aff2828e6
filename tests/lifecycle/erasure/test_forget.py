"""Erasure: a customer's rows are gone from every store, and everything that was true of the rest is still true."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from drift.report import write_report
from lifecycle.erasure import EntityKey, forget, plan
from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.redaction import Redaction
from lifecycle.training import load, take
from scoring.errors import Permanent
from scoring.interval import Nights
from scoring.night.publish import release
from scoring.night.rescore import rescore
from scoring.rows.summary import Summary
from scoring.stores import RunFolder, lake
from scoring.stores.registry import HOLDOUT_FILE, loading, stored_files
from scoring.stores.warehouse import Manifest, Run, actions_of, count_rows, erasures, ledger, manifests
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.erasure import BROKEN, CUSTOMERS, NOTE, SCORED, TRAINED, WHO, Lived, live, places, run
from tests.support.shell import Shell, done, refused
from tests.support.toy import FIRST, execute, train_champion

pytestmark = pytest.mark.slow


@pytest.fixture
def lived(untrained: Toy) -> Lived:
    return live(untrained)


def key(lived: Lived, who: str = WHO) -> EntityKey:
    return EntityKey.of(lived.toy.job, {"id": who})


STORES = {
    "rows of runs (lake)": 3,
    "predictions of runs (lake)": 3,
    "predictions in the shadow (lake)": 1,
    "quarantine (lake)": 1,
    "prediction history (table)": 3,
    "predictions in the shadow (table)": 1,
    "published nights (lake)": 2,
    "training snapshots (lake)": 11,
    "reference samples (model versions)": 11,
    "holdouts (model versions)": 4,
}


def test_forget_leaves_no_value_in_any_store_and_the_rest_as_it_was(untrained: Toy, shell: Shell) -> None:
    lived = live(untrained, write_report)
    toy, job = lived.toy, lived.toy.job.name
    runs = ledger.of_job(toy.work.warehouse, job)
    recorded = {ref.version: toy.work.registry.files(ref).manifest for ref in toy.work.registry.versions(job)}
    before = places(toy, WHO, NOTE)
    files = [
        "features",
        "predictions",
        "quarantine",
        "shadow",
        "rows.parquet",
        "reference.parquet",
        "golden",
        "backtest",
    ]
    files += ["model_card.json", "model_card.html", "reference_profile", "drift.html"]
    assert [name for name in files if not any(name in place for place in before)] == []
    tables = {f"{job}_predictions_history_2024", f"{job}_shadow_predictions", "alerts", "scoring_runs"}
    assert tables <= set(before)
    shown = json.loads(done(shell("forget", job, "--key", f"id={WHO}", "--json")))["stores"]
    assert {row["store"]: row["rows"] for row in shown if row["store"] in STORES} == STORES
    assert places(toy, WHO, NOTE) == before, "nothing goes without --apply"
    said = shell("forget", job, "--key", f"id={WHO}", "--apply", "--reason", "a letter of May")
    assert "not touched: the source" in done(said)
    assert places(toy, WHO, NOTE) == []
    (row,) = erasures.of_job(toy.work.warehouse, job)
    (action,) = (one for one in actions_of(toy.work.warehouse, job) if one.action == "erased")
    assert (action.subject, action.reason, action.done_by) == (f"erasure {row.erasure_id}", row.reason, row.done_by)
    assert (row.key_columns, row.key_check, row.reason) == (["id"], None, "a letter of May")
    (action,) = [each for each in actions_of(toy.work.warehouse, job) if each.action == "erased"]
    assert (action.subject, action.reason) == (f"erasure {row.erasure_id}", "a letter of May")
    assert row.finished_at is not None
    assert row.counts == {item["store"]: item["rows"] for item in shown}
    assert "0 in 0 stores" in done(shell("forget", job, "--key", f"id={WHO}"))
    loading.loaded.clear()
    require_consistent_runs(lived, runs)
    require_whole_versions(lived, recorded)


def require_consistent_runs(lived: Lived, runs: list[Run]) -> None:
    """Raise unless files, tables and ledger of all runs agree, and every run can be published again."""
    toy, work = lived.toy, lived.toy.work
    assert verify(work) == []
    for before in runs:
        after = ledger.get(work.warehouse, before.run_id)
        gone = (1, 0) if before.night != BROKEN else (0, 1)
        assert (after.rows_scored, after.rows_quarantined) == (CUSTOMERS - 1, 0), "one row less, scored or quarantined"
        assert (before.rows_scored, before.rows_quarantined) == (CUSTOMERS - 1 + gone[0], gone[1])
        assert after.rows_extracted == after.rows_loaded == count_rows(work.warehouse, toy.job, after) == CUSTOMERS - 1
        folder = RunFolder(work.lake, after)
        predictions = [batch for batch in folder.predictions() if batch.num_rows]
        summary = sum((Summary.of(batch, toy.job) for batch in predictions), Summary())
        assert sum((part.summary for part in folder.scored()), Summary()).rows == summary.rows == CUSTOMERS - 1
        assert (after.predictions_hash == before.predictions_hash) == (before.night == BROKEN)
    assert release(work, lived.superseded).status == "published"
    assert verify(work) == []
    assert [again.status for again in rescore(work, Nights.of(SCORED[0]), 1, "test")] == ["published"]


def require_whole_versions(lived: Lived, recorded: dict[int, Manifest | None]) -> None:
    """Raise unless every version loads, and its holdout is that of its snapshot row by row."""
    toy, work = lived.toy, lived.toy.work
    for ref in work.registry.versions(toy.job.name):
        assert work.registry.load(ref, toy.job).ref == ref
        after = manifests.newest(work.warehouse, ref.job, ref.version, ref.uri)
        old = recorded[ref.version]
        assert after is not None
        assert old is not None
        assert after.files["pipeline.joblib"] == old.files["pipeline.joblib"]
        assert after.files["reference.parquet"] != old.files["reference.parquet"]
        snapshot = load(work, str(work.registry.facts(ref).snapshot))
        labelled, holdout = snapshot.rows.labelled, work.registry.table(ref, HOLDOUT_FILE)
        assert holdout is not None
        rows = labelled.filter(pc.greater_equal(labelled.column("nightshift_night"), pc.min(holdout.column("night"))))
        assert holdout.column("outcome").equals(rows.column(labelled.column_names[-1])), "row by row as before"
        assert holdout.num_rows == 2 * (CUSTOMERS - 1)
        categories = work.registry.categories(ref)
        assert (categories["kind"], categories["note"]) == (["a", "b", "c"], ["(erased)", "other", "usual"])


WRITES: list[tuple[Any, str]] = [
    (lake.Lake, "write"),
    (lake.Lake, "write_json"),
    (lake.Lake, "write_text"),
    (lake.Lake, "remove"),
    (stored_files, "put"),
    (manifests, "record"),
    *((erasures, name) for name in ("start", "begin_run", "settle_run", "end_run", "finish")),
]


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Give a function after which the process dies right after its n-th write."""
    left = [0]

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **more: Any) -> Any:
            result = real(*arguments, **more)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return result

        return write

    for owner, name in WRITES:
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))

    def after(writes: int) -> None:
        left[0] = writes

    yield after


def test_forget_killed_after_any_write_goes_on(lived: Lived, dying: Callable[[int], None]) -> None:
    """Every try dies one write later than the one before, on what that left; versions can be loaded at any time."""
    toy, writes = lived.toy, 0
    for writes in range(1, 200):
        dying(writes)
        try:
            forget(toy.work, key(lived), "test", "tests")
            break
        except KeyboardInterrupt:
            dying(0)
            if writes % 10 == 0:
                assert len(erasures.of_job(toy.work.warehouse, toy.job.name)) == 1
                for ref in toy.work.registry.versions(toy.job.name):
                    toy.work.registry.facts(ref)
    assert writes > 10
    assert places(toy, WHO, NOTE) == []
    assert verify(toy.work) == []
    (row,) = erasures.of_job(toy.work.warehouse, toy.job.name)
    assert row.finished_at is not None
    loading.loaded.clear()
    for ref in toy.work.registry.versions(toy.job.name):
        assert toy.work.registry.load(ref, toy.job).ref == ref
        load(toy.work, str(toy.work.registry.facts(ref).snapshot))


def test_forget_waits_for_nobody_who_works_on_the_job(lived: Lived, shell: Shell) -> None:
    warehouse, name = lived.toy.work.warehouse, lived.toy.job.name
    ledger.record(
        warehouse, lived.superseded, status="running", airflow_run_id="manual", seen_at=lived.toy.stores.clock()
    )
    message = refused(shell("forget", name, "--key", f"id={WHO}", "--apply"), "JobBusy")
    assert f"run {lived.superseded} of night {SCORED[0]}" in message
    assert "nothing was erased" in message
    assert erasures.of_job(warehouse, name) == []
    ledger.record(warehouse, lived.superseded, status="superseded")
    require_source_gives_them_again(lived)


def require_source_gives_them_again(lived: Lived) -> None:
    """The source is not ours: a run reads what is there, and a training of the same window keeps what it read."""
    forget(lived.toy.work, key(lived), "test", "tests")
    run(lived.toy, SCORED[0])
    assert [item.store for item in plan(lived.toy.work, key(lived)).items if "lake" in item.store] == [
        "rows of runs (lake)",
        "predictions of runs (lake)",
        "published nights (lake)",
    ]
    again = take(lived.toy.work, Nights(FIRST, TRAINED))
    kept = load(lived.toy.work, again.hash)
    assert kept.rows.table.num_rows == again.rows.table.num_rows == 6 * CUSTOMERS


def test_key_that_is_none_is_refused_without_its_value(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    assert "expected one or several of ['at', 'id']" in refused(shell("forget", name, "--key", "x=7"), "Permanent")
    said = shell("forget", name, "--key", "id=seven-of-nine")
    assert "key column id" in refused(said, "Permanent")
    assert "seven" not in said.err
    assert shell("forget", name, "--key", "id").code == 2
    assert shell("forget", name, "--key", "id=1", "--key", "id=2").code == 2
    with pytest.raises(Permanent):
        EntityKey.of(toy.job, {})


def test_part_of_a_key_forgets_all_rows_that_match_it(toy: Toy) -> None:
    """Key of time and number: the number alone is one row of every night."""
    for night in (SCORED[0], SCORED[1]):
        run(toy, night)
    part, whole = (
        EntityKey.of(toy.job, {"id": "17"}),
        {item.store: item.rows for item in plan(toy.work, EntityKey.of(toy.job, {"id": "17"})).items},
    )
    assert whole["prediction history (table)"] == whole["published nights (lake)"] == 2
    assert whole["training snapshots (lake)"] == 6
    forget(toy.work, part, "test", "tests")
    assert plan(toy.work, part).items == []
    assert verify(toy.work) == []
    assert {item.store for item in plan(toy.work, EntityKey.of(toy.job, {"id": "18"})).items} >= {
        "prediction history (table)"
    }


def test_version_still_fits_the_job_file_that_allows_a_text_of_the_entity(untrained: Toy) -> None:
    features = {"x": {"type": "float", "nullable": True}, "kind": {"type": "category", "allowed": [*"abc", "theirs"]}}
    execute(untrained.source, "update events set kind = 'theirs' where id = 17 and at < '2024-01-02'")
    untrained.change(features=features)
    ref = train_champion(untrained.work).ref
    entity = EntityKey.of(untrained.job, {"id": "17"})
    assert any("texts in files of model versions" in item.store for item in plan(untrained.work, entity).items)
    forget(untrained.work, entity, "test", "tests")
    assert plan(untrained.work, entity).items == []
    assert untrained.work.registry.load(ref, untrained.job).categories["kind"] == ["a", "b", "c", "(erased)"]


def test_category_that_others_have_is_no_text_of_the_entity(plain_job: Any) -> None:
    """Of a row that stands alone in its file nothing says yet what is its own."""
    inventory = Inventory(EntityKey.of(plain_job, {"id": "17"}))
    assert inventory.look(pa.table({"id": [17, 17], "kind": ["usual", "its own"]})) == 2
    assert inventory.candidates == {"usual", "its own"}
    inventory.compare(pa.table({"id": [17, 18], "kind": ["its own", "usual"]}))
    assert inventory.texts == {"its own"}
    inventory.share(["its own"])
    assert inventory.texts == set()


@pytest.mark.parametrize("text", ["5", "1,000", "ok", "-3.5"])
def test_number_or_short_text_goes_only_where_it_stands_alone(text: str) -> None:
    redaction = Redaction({text})
    sentence = f"a share of {text} rows"
    assert redaction.value({"a": [text, sentence]}) == {"a": ["(erased)", sentence]}
    assert redaction.page(sentence) == sentence


def test_check_of_a_key_says_nothing_and_knows_it_again(plain_job: Any) -> None:
    one, other = (EntityKey.of(plain_job, {"id": value}) for value in ("17", "18"))
    first, second = one.check(), one.check()
    assert first != second
    assert one.fits(first)
    assert not other.fits(first)
    assert not one.fits(None)
    assert "17" not in repr(one)
