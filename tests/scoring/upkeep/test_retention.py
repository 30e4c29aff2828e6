"""What retention takes, and what it never takes however much time has passed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lifecycle.promotion import promote, rollback
from lifecycle.shadow.score import pin, shadow_run
from scoring.errors import ArtifactMismatch, EmptyNight, NightHeld, RunMissing, VersionMissing
from scoring.night.difference import diff_runs
from scoring.night.extract import extract
from scoring.night.publish import discard, publish, release
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.night.score import score_chunk
from scoring.settings import RetentionPolicy
from scoring.stores.registry.files import delete, sizes
from scoring.stores.registry.version import FACTS
from scoring.stores.warehouse import ledger, pruning, shadows
from scoring.stores.warehouse.liveness import held
from scoring.stores.workspace import Workspace
from scoring.upkeep.removal import Removal
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.registry import folder_of
from tests.support.retention import FAR, NOW, at, files
from tests.support.toy import NIGHT, ROWS, add, events, execute

DAY = timedelta(days=1)
POLICY = RetentionPolicy(versions_kept=1)


def run(toy: Toy, night: date = NIGHT, version: int | None = None, moment: datetime | None = None) -> str:
    stores = at(toy, moment or datetime.now(UTC))
    request = NightRequest(night, moment or datetime.now(UTC), "test", model_version=version)
    return run_night(Workspace(stores, toy.job), request).run_id


def planned(toy: Toy, kind: str = "run", moment: datetime = FAR, policy: RetentionPolicy = POLICY) -> list[str]:
    return [one.what for one in plan(Workspace(at(toy, moment), toy.job), policy) if one.kind == kind]


def everything_goes(toy: Toy) -> list[Removal]:
    """Apply plan after plan at a far moment until nothing is planned any more; return what was removed."""
    gone: list[Removal] = []
    while found := plan(Workspace(at(toy), toy.job), POLICY):
        done = apply(Workspace(at(toy), toy.job), found)
        assert done, f"planned and never done: {found}"
        gone += done
    return gone


def status(toy: Toy, run_id: str) -> tuple[str, bool]:
    found = ledger.get(toy.stores.warehouse, run_id)
    return found.status, found.pruned


def history(toy: Toy) -> dict[int, int]:
    """Return the rows of the history table by run number."""
    with toy.stores.warehouse.transaction() as connection:
        asked = f"select run_number, count(*) from {toy.job.name}_predictions_history group by 1"
        return {row[0]: row[1] for row in connection.exec_driver_sql(asked)}


def registered(toy: Toy, folder: Path, count: int = 1, **facts: Any) -> list[int]:
    """Register copies of the job's first version, with other facts; return their numbers."""
    first = toy.stores.registry.versions(toy.job.name)[0]
    shutil.copytree(folder_of(first), folder, dirs_exist_ok=True)
    known = replace(toy.stores.registry.facts(first), **facts)
    (folder / FACTS).write_text(json.dumps(known.as_json()))
    return [toy.stores.registry.register(toy.job.name, folder, known, {}).version for _ in range(count)]


def versions(toy: Toy) -> list[int]:
    return [ref.version for ref in toy.stores.registry.versions(toy.job.name)]


# ---------------------------------------------------------------- runs


def test_superseded_run_goes_with_its_rows_and_files_and_its_ledger_row_stays(toy: Toy) -> None:
    old, shown = run(toy), run(toy)
    (found,) = plan(Workspace(at(toy), toy.job), POLICY)
    size = toy.stores.lake.size(toy.stores.lake.run_folder(toy.job.name, NIGHT, old))
    assert (found.kind, found.what, found.night, found.bytes, found.rows) == ("run", old, NIGHT, size, ROWS)
    assert size > 1000
    assert found.reason == f"superseded since {datetime.now(UTC):%Y-%m-%d}, kept for 30 days"
    assert files(toy, old), "a plan changes nothing"
    assert history(toy) == {1: ROWS, 2: ROWS}, "a plan changes nothing"
    assert apply(Workspace(at(toy), toy.job), [found]) == [found]
    assert (files(toy, old), files(toy, shown), history(toy)) == (False, True, {2: ROWS})
    kept = ledger.get(toy.stores.warehouse, old)
    assert (kept.status, kept.pruned, kept.rows_loaded) == ("superseded", True, ROWS)
    assert kept.reason == f"run {shown} was published"
    assert kept.pruned_at == FAR
    assert plan(Workspace(at(toy), toy.job), POLICY) == []
    assert apply(Workspace(at(toy), toy.job), [found]) == [replace(found, rows=0)], "doing it again does no harm"
    assert ledger.get(toy.stores.warehouse, old) == kept
    assert verify(toy.work) == []


def test_published_run_is_never_removed_whatever_is_asked(toy: Toy) -> None:
    shown = run(toy)
    assert everything_goes(toy) == []
    assert apply(Workspace(at(toy), toy.job), [Removal("run", shown, NIGHT, 0, 0, "a mistake")]) == []
    assert (files(toy, shown), history(toy), status(toy, shown)) == (True, {1: ROWS}, ("published", False))


def test_run_that_became_published_after_the_plan_is_not_removed(toy: Toy) -> None:
    old, shown = run(toy), run(toy)
    found = plan(Workspace(at(toy), toy.job), POLICY)
    release(toy.work, old)
    assert apply(Workspace(at(toy), toy.job), found) == []
    assert (files(toy, old), status(toy, old), status(toy, shown)) == (
        True,
        ("published", False),
        ("superseded", False),
    )
    assert history(toy) == {1: ROWS, 2: ROWS}
    assert verify(toy.work) == []


def test_ledger_that_says_superseded_of_a_shown_run_does_not_make_it_go(toy: Toy) -> None:
    shown = run(toy)
    ledger.record(toy.stores.warehouse, shown, status="superseded")
    assert planned(toy) == []
    assert apply(Workspace(at(toy), toy.job), [Removal("run", shown, NIGHT, 0, 0, "a mistake")]) == []
    assert (files(toy, shown), history(toy)) == (True, {1: ROWS})


@pytest.mark.parametrize("what", ["held", "running"])
def test_run_that_is_not_over_is_never_removed(toy: Toy, what: str) -> None:
    if what == "held":
        toy.change(gate={"min_rows": 1000})
        with pytest.raises(NightHeld):
            run(toy)
    else:
        extract(toy.work, NightRequest(NIGHT, NOW, "test"))
    (found,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    assert found.status == what
    with held(toy.stores.warehouse, found.run_id, toy.job.name):  # somebody works on it
        assert everything_goes(toy) == []
        assert apply(Workspace(at(toy), toy.job), [Removal("run", found.run_id, NIGHT, 0, 0, "a mistake")]) == []
    assert files(toy, found.run_id)
    assert status(toy, found.run_id) == (what, False)


def failed(toy: Toy) -> None:
    toy.change(gate={"min_rows": 1000})
    with pytest.raises(NightHeld):
        run(toy)
    (found,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    ledger.record(toy.stores.warehouse, found.run_id, status="failed", reason="OSError: disk")


def discarded(toy: Toy) -> None:
    toy.change(gate={"min_rows": 1000})
    with pytest.raises(NightHeld):
        run(toy)
    (found,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    discard(toy.work, found.run_id)


def skipped(toy: Toy) -> None:
    toy.change(on_empty="skip")
    execute(toy.source, f"delete from events where at >= '{NIGHT}' and at < '{NIGHT + DAY}'")
    with pytest.raises(EmptyNight):
        run(toy)


def abandoned(toy: Toy) -> None:
    for moment in (NOW, NOW + timedelta(minutes=1)):
        extract(toy.work, NightRequest(NIGHT, moment, "manual", airflow_run_id="one"))
    _, second = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    publishing = NightRequest(NIGHT, NOW + timedelta(minutes=1), "manual", airflow_run_id="one")
    assert second.chunks is not None
    for number in range(second.chunks):
        score_chunk(toy.work, publishing.run_id, number)
    publish(toy.work, publishing.run_id)


@pytest.mark.parametrize("end", [failed, discarded, skipped, abandoned])
def test_run_that_ended_otherwise_goes_after_failed_days(toy: Toy, end: Callable[[Toy], None]) -> None:
    end(toy)
    first, *others = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    assert first.status == end.__name__
    assert first.finished_at is not None
    since = max(first.finished_at, NOW)
    policy = RetentionPolicy(failed_days=10, superseded_days=99)
    assert planned(toy, moment=since + 9 * DAY, policy=policy) == []
    assert planned(toy, moment=since + 11 * DAY, policy=policy) == [first.run_id]
    assert [one.what for one in everything_goes(toy)] == [first.run_id]
    assert not files(toy, first.run_id)
    assert status(toy, first.run_id) == (end.__name__, True)
    assert sum(history(toy).values()) == ROWS * len(others)


def test_time_of_a_superseded_run_begins_when_it_was_replaced(toy: Toy) -> None:
    old = run(toy, moment=NOW)
    run(toy, moment=NOW + 100 * DAY)
    assert planned(toy, moment=NOW + 129 * DAY) == []
    assert planned(toy, moment=NOW + 131 * DAY) == [old]


def test_as_of_answers_with_the_rows_that_are_kept(toy: Toy) -> None:
    run(toy), run(toy)
    asked = f"select count(*), count(distinct run_id) from {toy.job.name}_predictions_as_of"
    assert toy.stores.warehouse.query(asked)[1] == [(2 * ROWS, 2)]
    everything_goes(toy)
    assert toy.stores.warehouse.query(asked)[1] == [(ROWS, 1)]


def test_run_without_files_is_refused_where_they_are_needed(toy: Toy) -> None:
    old, shown = run(toy), run(toy)
    everything_goes(toy)
    one, two = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    said = f"run {old}: found its files were removed by retention. Next: .*run {toy.job.name} --night {NIGHT} --model-version 1"
    for asked in (
        lambda: release(toy.work, old),
        lambda: diff_runs(toy.work, one, two),
        lambda: diff_runs(toy.work, two, one),
        lambda: score_chunk(toy.work, old, 0),
    ):
        with pytest.raises(RunMissing, match=said):
            asked()
    assert ledger.published(toy.stores.warehouse, toy.job.name) == {NIGHT: shown}
    assert status(toy, old) == ("superseded", True)
    assert verify(toy.work) == []


def test_failed_run_without_files_cannot_be_published(toy: Toy) -> None:
    failed(toy)
    (found,) = ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)
    everything_goes(toy)
    with pytest.raises(RunMissing, match="its files were removed by retention"):
        publish(toy.work, found.run_id)
    with pytest.raises(RunMissing, match="its files were removed by retention"):  # it was read before they were
        ledger.flip(toy.stores.warehouse, found, ROWS, NOW, force=True)
    assert ledger.published(toy.stores.warehouse, toy.job.name) == {}


def test_removal_of_a_run_that_was_interrupted_is_completed(toy: Toy) -> None:
    old, _ = run(toy), run(toy)
    assert pruning.prune(toy.stores.warehouse, toy.job, ledger.get(toy.stores.warehouse, old), FAR) == ROWS
    (found,) = plan(Workspace(at(toy, NOW), toy.job), POLICY)
    assert (found.what, found.rows, found.reason) == (old, 0, "its removal was interrupted")
    apply(Workspace(at(toy, NOW), toy.job), [found])
    assert not files(toy, old)
    assert plan(Workspace(at(toy), toy.job), POLICY) == []


def test_job_that_never_ran_has_nothing_to_remove(untrained: Toy) -> None:
    assert everything_goes(untrained) == []


# ---------------------------------------------------------------- model versions


@pytest.fixture
def crowned(toy: Toy, tmp_path: Path) -> Toy:
    """Eight versions: 3 is champion after 2 and 1, two nights are published with 4, 5 has an alias, 6 and 7 nothing."""
    assert registered(toy, tmp_path / "version", 7) == [2, 3, 4, 5, 6, 7, 8]
    for version, night in ((2, NIGHT + DAY), (3, NIGHT + 2 * DAY)):
        promote(toy.work, version, "better", "tests", night)
    for night in (NIGHT, NIGHT + 2 * DAY):
        run(toy, night, 4)
    toy.stores.registry.set_alias(toy.job.name, "champion", 5)  # so that no alias holds what else must stay
    return toy


def test_versions_that_nothing_points_at_go_and_all_others_stay(crowned: Toy) -> None:
    pin(crowned.work, 7, nights=3)
    gone = everything_goes(crowned)
    assert [(one.kind, one.what, one.night, one.rows) for one in gone] == [
        ("model version", "1", None, 0),
        ("model version", "6", None, 0),
    ]
    assert min(one.bytes for one in gone) > 1000
    assert versions(crowned) == [2, 3, 4, 5, 7, 8]
    for ref in crowned.stores.registry.versions(crowned.job.name):
        crowned.stores.registry.load(ref, crowned.job)


@pytest.mark.parametrize(
    ("version", "why"),
    [(2, "the predecessor"), (3, "the champion"), (4, "published nights"), (5, "an alias"), (7, "the shadow")],
)
def test_version_is_held_when_it_is_removed_by(crowned: Toy, version: int, why: str) -> None:
    pin(crowned.work, 7, nights=3)
    asked = Removal("model version", str(version), None, 0, 0, f"held by {why}")
    assert apply(Workspace(at(crowned), crowned.job), [asked]) == []
    assert version in versions(crowned)


def test_challenger_that_the_job_file_names_by_its_number_stays(crowned: Toy) -> None:
    crowned.change(serve={"challenger": {"share": 0.05, "version": 6}})
    everything_goes(crowned)
    assert 6 in versions(crowned)
    assert 7 not in versions(crowned)


def test_ledger_that_says_pruned_of_a_shown_run_does_not_make_its_version_go(crowned: Toy) -> None:
    for run_id in ledger.published(crowned.stores.warehouse, crowned.job.name).values():
        ledger.record(crowned.stores.warehouse, run_id, status="superseded", pruned_at=FAR)
    assert planned(crowned, "model version") == ["1", "6", "7"]
    assert apply(Workspace(at(crowned), crowned.job), [Removal("model version", "4", None, 0, 0, "a mistake")]) == []


def test_rollback_works_after_retention(crowned: Toy) -> None:
    everything_goes(crowned)
    assert rollback(crowned.work, "worse", "tests").model_version == 2
    assert versions(crowned) == [2, 3, 4, 5, 8]
    assert rollback(crowned.work, "again", "tests", to=3).model_version == 3
    with pytest.raises(VersionMissing, match=r"found versions \[2, 3, 4, 5, 8\]"):
        promote(crowned.work, 1, "gone", "tests")


def test_version_promoted_after_the_plan_stays(crowned: Toy) -> None:
    found = plan(Workspace(at(crowned), crowned.job), POLICY)
    assert [one.what for one in found] == ["1", "6", "7"]
    promote(crowned.work, 6, "why not", "tests")
    assert [one.what for one in apply(Workspace(at(crowned), crowned.job), found)] == ["1", "7"]
    assert 6 in versions(crowned)


def test_champions_of_nights_to_come_stay_with_those_they_displace(toy: Toy, tmp_path: Path) -> None:
    registered(toy, tmp_path / "version", 5)
    for version, night in ((2, NIGHT + DAY), (3, NIGHT + 5 * DAY), (4, NIGHT + 9 * DAY)):
        promote(toy.work, version, "better", "tests", night)
    toy.stores.registry.set_alias(toy.job.name, "champion", 6)
    run(toy, NIGHT, 6)  # the next night is scored by 2, the one who displaced 1
    assert planned(toy, "model version") == ["5"]
    run(toy, NIGHT + 2 * DAY, 6)
    add(toy.source, events(NIGHT + 7 * DAY))
    run(toy, NIGHT + 7 * DAY, 6)  # now by 3, who displaced 2
    assert planned(toy, "model version") == ["1", "5"]


def test_version_of_a_run_that_can_be_published_stays(crowned: Toy) -> None:
    held = run(crowned, NIGHT + DAY, 6)
    run(crowned, NIGHT + DAY, 4)
    soon = NOW + 20 * DAY  # the superseded run is kept, and may be released
    policy = RetentionPolicy(versions_kept=1, version_days=1)
    assert planned(crowned, "model version", soon, policy) == ["1", "7"]
    assert planned(crowned, "model version") == ["1", "6", "7"], "it goes together with the run"
    assert status(crowned, held) == ("superseded", False)


@pytest.mark.parametrize(
    ("policy", "days", "gone"),
    [
        (RetentionPolicy(versions_kept=1), 179, []),
        (RetentionPolicy(versions_kept=1), 181, ["1", "6", "7"]),
        (RetentionPolicy(versions_kept=3), 181, ["1"]),
        (RetentionPolicy(), 4000, []),
    ],
)
def test_young_versions_and_the_newest_stay(crowned: Toy, policy: RetentionPolicy, days: int, gone: list[str]) -> None:
    assert planned(crowned, "model version", NOW + days * DAY, policy) == gone


def test_version_that_does_not_say_when_it_was_trained_stays(crowned: Toy, tmp_path: Path) -> None:
    (unknown,) = registered(crowned, tmp_path / "unknown", trained_at=None)
    registered(crowned, tmp_path / "newest")
    assert str(unknown) not in planned(crowned, "model version")


def test_removal_of_a_version_that_was_interrupted_is_completed(crowned: Toy) -> None:
    ref = crowned.stores.registry.resolve(crowned.job.name, 6)
    names = set(sizes(ref.uri, "unused")) - {FACTS}
    delete(ref.uri, "unused", sorted(names))  # what remove does first
    with pytest.raises(ArtifactMismatch):
        crowned.stores.registry.load(ref, crowned.job)
    assert "6" in planned(crowned, "model version")
    everything_goes(crowned)
    assert 6 not in versions(crowned)
    assert not folder_of(ref).exists()


# ---------------------------------------------------------------- training snapshots


def snapshot(toy: Toy, name: str, **facts: object) -> Path:
    """Make a training snapshot of two files; return its folder."""
    folder = Path(toy.stores.lake.below(f"snapshots/{toy.job.name}/{name}"))
    toy.stores.lake.write_text(str(folder / "rows-00000.parquet"), "x" * 5000)
    toy.stores.lake.write_json(str(folder / "snapshot.json"), facts)
    return folder


def test_snapshot_goes_unless_a_version_that_stays_names_it(toy: Toy, tmp_path: Path) -> None:
    made = {name: snapshot(toy, name, created_at=NOW.isoformat()) for name in ("aa", "bb", "cc", "dd")}
    registered(toy, tmp_path / "a", snapshot="aa")  # version 2 goes
    registered(toy, tmp_path / "b", snapshot={"hash": "bb", "rows": 5})
    registered(toy, tmp_path / "c", snapshot="snapshots/toy/cc")
    found = plan(Workspace(at(toy), toy.job), RetentionPolicy(versions_kept=2))
    assert [(one.kind, one.what) for one in found] == [
        ("model version", "2"),
        ("training snapshot", "aa"),
        ("training snapshot", "dd"),
    ]
    assert found[1].bytes > 5000
    assert found[1].reason.startswith(f"made on {NOW:%Y-%m-%d}, kept for 90 days")
    assert [one.what for one in apply(Workspace(at(toy), toy.job), found[::-1])] == ["2", "dd", "aa"], (
        "versions go first"
    )
    assert [name for name, folder in made.items() if folder.exists()] == ["bb", "cc"]
    assert apply(Workspace(at(toy), toy.job), found[1:]) == []


def test_snapshot_that_a_version_names_by_now_stays(toy: Toy, tmp_path: Path) -> None:
    folder = snapshot(toy, "aa", created_at=NOW.isoformat())
    found = plan(Workspace(at(toy), toy.job), POLICY)
    registered(toy, tmp_path / "a", snapshot="aa")
    assert ([one.what for one in found], apply(Workspace(at(toy), toy.job), found)) == (["aa"], [])
    assert folder.exists()


def test_snapshot_that_is_young_or_does_not_say_its_age_stays(toy: Toy) -> None:
    snapshot(toy, "young", created_at=(FAR - 89 * DAY).isoformat())
    snapshot(toy, "unknown")
    (Path(toy.stores.lake.below(f"snapshots/{toy.job.name}")) / "empty").mkdir()
    assert plan(Workspace(at(toy), toy.job), POLICY) == []
    snapshot(toy, "old", created_at=(FAR - 91 * DAY).replace(tzinfo=None).isoformat())
    assert planned(toy, "training snapshot") == ["old"]


def test_removal_of_a_snapshot_that_was_interrupted_is_completed(toy: Toy) -> None:
    folder = snapshot(toy, "aa", created_at=NOW.isoformat())
    (folder / "rows-00000.parquet").unlink()
    assert [one.what for one in everything_goes(toy)] == ["aa"]
    assert not folder.exists()


def test_file_that_a_killed_process_began_goes_after_a_day(toy: Toy) -> None:
    run_id = run(toy)
    lake, name = toy.stores.lake, toy.job.name
    folders = [lake.run_folder(name, NIGHT, run_id), lake.current(name, NIGHT), lake.below(lake.report(name, NIGHT))]
    left = [Path(folders[0], ".writing-a"), *(Path(path).with_name(".writing-b") for path in folders[1:])]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1")
    before = set(lake.files(lake.below("runs"))) | set(lake.files(lake.below("predictions")))
    assert planned(toy, "file", datetime.now(UTC) + DAY / 2) == []
    assert sorted(planned(toy, "file", datetime.now(UTC) + DAY * 2)) == sorted(map(str, left))
    assert sorted(one.what for one in everything_goes(toy) if one.kind == "file") == sorted(map(str, left))
    after = set(lake.files(lake.below("runs"))) | set(lake.files(lake.below("predictions")))
    assert before - after == {str(path) for path in left[:2]}
    assert verify(toy.work) == []


def shadow_of(toy: Toy, version: int) -> dict[str, Any]:
    """Return the facts of a version in the shadow of version 3."""
    ref = toy.stores.registry.resolve(toy.job.name, version)
    about = {
        "job": toy.job.name,
        "model_version": version,
        "model_sha256": ref.sha256,
        "model_uri": ref.uri,
        "nights": 3,
    }
    return {
        **about,
        "role": "challenger",
        "champion_version": 3,
        "retraining_id": None,
        "started_at": toy.stores.clock(),
    }


def test_predictions_in_the_shadow_go_after_their_days_and_what_they_came_to_stays(crowned: Toy) -> None:
    night = NIGHT + DAY
    shadows.start(crowned.stores.warehouse, {**shadow_of(crowned, 7), "first_night": night})
    shadows.start(crowned.stores.warehouse, {**shadow_of(crowned, 6), "first_night": night})
    shadow_run(crowned.work, run(crowned, night))
    kept = POLICY.model_copy(update={"shadow_days": 10})
    soon, late = (datetime.now(UTC) + timedelta(days=days) for days in (9, 11))
    assert planned(crowned, "shadow predictions", soon, kept) == []
    assert planned(crowned, "shadow predictions", late, kept) == ["6", "7"]
    found = [one for one in plan(Workspace(at(crowned, late), crowned.job), kept) if one.kind == "shadow predictions"]
    assert [one.rows for one in apply(Workspace(at(crowned, late), crowned.job), found)] == [ROWS, ROWS]
    counted = f"select count(*) from {crowned.job.name}_shadow_predictions"
    assert crowned.stores.warehouse.query(counted)[1] == [(0,)]
    assert len(shadows.nights(crowned.stores.warehouse, crowned.job.name)) == 2
