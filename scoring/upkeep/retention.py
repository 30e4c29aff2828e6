"""Removes what is old and unused: rows and files of runs, predictions in the shadow, model versions, training snapshots.

The ledger keeps every run's row. ``<job>_predictions_as_of`` reads the rows of superseded runs, so it answers for the
last ``superseded_days`` days in full, and for times before that only with what has not been replaced since.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from scoring.errors import ChampionMissing
from scoring.night import KEPT_FEWER, left_stages, over, unpublish, unstage
from scoring.settings import RetentionPolicy
from scoring.stores import SNAPSHOT_FACTS, SNAPSHOT_ROWS, RunFolder, Stores, Workspace, no_erasure
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import (
    Retraining,
    Run,
    abandon_dead,
    ledger,
    previous_champion,
    promotions,
    pruning,
    retrainings,
    shadows,
)
from scoring.upkeep import old_requests
from scoring.upkeep.removal import Kind, Removal


def plan(work: Workspace, policy: RetentionPolicy) -> list[Removal]:
    """Return what may be removed of a job: publications, runs, shadow predictions, model versions, training snapshots.

    Also what killed processes left: tables in the source with rows of shared nights, files that they had begun to write.
    Nothing is removed here. Runs that nobody works on any more are recorded as abandoned first.

    Never among them: a run that is published, held or running; a version that is champion at a night still to come or
    its predecessor, has an alias, is among the newest, in the shadow or of an open retraining, scored a published night
    or a run that has its files; a snapshot that a version which stays was trained on, or an open retraining reads.
    """
    abandon_dead(work.warehouse, work.clock(), work.job.name)
    runs = _old_runs(work, policy)
    used = _versions_in_use(work, {run.what for run in runs})
    versions = _old_versions(work, policy, used)
    leaving = {int(version.what) for version in versions}
    shadowed = _old_shadow_rows(work, policy)
    left = [*_left_stages(work), *_left_files(work)]
    asked = old_requests.removals(work, policy)
    return [
        *_old_publications(work),
        *runs,
        *left,
        *shadowed,
        *asked,
        *versions,
        *_old_snapshots(work, policy, leaving),
    ]


@no_erasure
def apply(work: Workspace, removals: Iterable[Removal]) -> list[Removal]:
    """Carry out the planned removals that are still allowed, and return those that were. Safe to repeat after a crash.

    Each is checked again right before: a run under its night's lock, which publishing takes too, a version under the
    lock that promotions take. A run's rows are removed first, together with its mark in the ledger, then its files, which
    ``plan`` finds as long as any are there. ``Registry.remove`` and ``Lake.remove_folder`` say what a crash leaves of the
    others.
    """
    removed: list[Removal] = []
    for removal in sorted(removals, key=lambda removal: list(_REMOVE).index(removal.kind)):
        result = _REMOVE[removal.kind](work, removal)
        removed += [result] if result is not None else []
    return removed


def _old_publications(work: Workspace) -> list[Removal]:
    """Return the removals of publications that are not among the newest ``keep_nights`` of the job."""
    keep = work.job.keep_nights
    if keep is None:
        return []
    published = sorted(ledger.published(work.warehouse, work.job.name).items())
    reason = f"not among the newest {keep} nights, {KEPT_FEWER}"
    return [Removal("publication", run_id, night, 0, 0, reason) for night, run_id in published[:-keep]]


def _old_runs(work: Workspace, policy: RetentionPolicy) -> list[Removal]:
    """Return the removals of runs that are old enough, and of runs whose removal was interrupted."""
    ended = pruning.ended_runs(work.warehouse, work.job.name)
    if not ended:
        return []
    replaced = pruning.last_visible(work.warehouse, work.job.name)
    rows = pruning.row_counts(work.warehouse, work.job)
    folders = work.lake.run_folders(work.job.name)
    removals = []
    for run in ended:
        folder, row_count = folders.get(run.run_id), rows.get(run.run_number, 0)
        left = "its removal was interrupted" if folder or row_count else None
        reason = left if run.pruned else _why_old(work.stores, policy, run, replaced)
        if reason is not None:
            size = work.lake.size(folder) if folder else 0
            removals.append(Removal("run", run.run_id, run.night, size, row_count, reason))
    return removals


def _left_stages(work: Workspace) -> list[Removal]:
    """Return the removals of tables in the source that a run which ended has left there, of failed ones after a day."""
    removals = []
    for _, run in left_stages(work):
        failed_lately = run.status == "failed" and not _older(work.stores, run.finished_at or run.started_at, 1)
        if over(work, run) and not failed_lately:
            reason = f"{run.status}: nobody reads its rows in the source any more"
            removals.append(Removal("rows in the source", run.run_id, run.night, 0, run.rows_extracted or 0, reason))
    return removals


def _left_files(work: Workspace) -> list[Removal]:
    """Return the removals of files that never got their name, and that nobody has written to for a day."""
    unfinished = work.lake.unfinished(work.job.name).items()
    left = [path for path, changed in unfinished if _older(work.stores, changed, 1)]
    return [Removal("file", path, None, work.lake.size(path), 0, "who began to write it was killed") for path in left]


def _why_old(stores: Stores, policy: RetentionPolicy, run: Run, replaced: dict[str, datetime]) -> str | None:
    """Return why a run is old enough to go, counted from when it ended or was last visible, or None if it is too young."""
    days = policy.superseded_days if run.status in ("superseded", "unpublished") else policy.failed_days
    since = max(run.finished_at or run.started_at, replaced.get(run.run_id, run.started_at))
    over = stores.clock() - since > timedelta(days=days)
    return f"{run.status} since {since:%Y-%m-%d}, kept for {days} days" if over else None


def _versions_in_use(work: Workspace, removed_runs: Collection[str] = ()) -> set[int]:
    """Return the versions that an alias, the job file, a shadow, a retraining, a run or a promotion still needs.

    Runs in ``removed_runs`` do not count.
    """
    named, challenger = set(work.registry.aliases(work.job.name).values()), work.job.serve.challenger
    named |= {challenger.version} if challenger is not None and challenger.version is not None else set()
    named |= {row.model_version for row in shadows.running(work.warehouse, work.job.name)}
    named |= {row.model_version for row in _open_retrainings(work) if row.model_version is not None}
    return named | pruning.versions_with_files(work.warehouse, work.job.name, removed_runs) | _champions_to_come(work)


def _open_retrainings(work: Workspace) -> list[Retraining]:
    return [row for row in retrainings.of_job(work.warehouse, work.job.name) if row.open]


def _old_shadow_rows(work: Workspace, policy: RetentionPolicy) -> list[Removal]:
    """Return the removals of old predictions in the shadow, one per night and version. Their measurements are kept."""
    before = work.clock() - timedelta(days=policy.shadow_days)
    reason = f"scored in the shadow before {before:%Y-%m-%d}, kept for {policy.shadow_days} days"
    groups = pruning.old_shadow_rows(work.warehouse, work.job, before)
    return [Removal("shadow predictions", str(version), night, 0, rows, reason) for night, version, rows in groups]


def _champions_to_come(work: Workspace) -> set[int]:
    """Return the champions of the next night to be scored and of every later night, and their predecessors.

    The next night is the one after the last published night that is over. It lies far back when past nights are replayed.
    """
    history = promotions.history_of(work.warehouse, work.job.name)
    yesterday = work.clock().date() - timedelta(days=1)  # UTC's yesterday: in some timezones that day has not ended yet
    settled = ledger.settled(work.warehouse, work.job.name, work.clock())
    following = min(yesterday, max(settled) + timedelta(days=1)) if settled else date.min
    by_then = [promotion for promotion in history if promotion.effective_from <= following]
    crowned = {promotion.model_version for promotion in history if promotion.effective_from > following}
    champion = promotions.champion_at(history, following)
    crowned |= {champion} if champion is not None else set()
    for part in (history, by_then):
        with suppress(ChampionMissing):  # the first champion displaced nobody
            crowned.add(previous_champion(part, work.job))
    return crowned


def _old_versions(work: Workspace, policy: RetentionPolicy, used: set[int]) -> list[Removal]:
    removals = []
    for ref in work.registry.versions(work.job.name)[: -policy.versions_kept]:
        trained_at = work.registry.facts(ref).trained_at if ref.version not in used else None
        if trained_at is not None and _older(work.stores, trained_at, policy.version_days):
            reason = f"trained on {trained_at:%Y-%m-%d}, kept for {policy.version_days} days, and nothing uses it"
            removals.append(Removal("model version", str(ref.version), None, work.registry.size(ref), 0, reason))
    return removals


def _old_snapshots(work: Workspace, policy: RetentionPolicy, leaving: set[int]) -> list[Removal]:
    """Return the removals of old training snapshots that no remaining version and no open retraining needs.

    A snapshot that does not say when it was made is left alone.
    """
    old = {}
    for name, folder in work.lake.snapshots(work.job.name).items():
        made_at = work.lake.read_json(f"{folder}/{SNAPSHOT_FACTS}").get("created_at")
        if made_at is not None and _older(work.stores, datetime.fromisoformat(made_at), policy.snapshot_days):
            reason = f"made on {made_at[:10]}, kept for {policy.snapshot_days} days, and no version names it"
            old[name] = (folder, reason)
    named = _snapshots_named(work, set(old), leaving) if old else set()
    return [
        Removal("training snapshot", name, None, work.lake.size(folder), 0, reason)
        for name, (folder, reason) in old.items()
        if name not in named
    ]


def _snapshots_named(work: Workspace, snapshots: set[str], leaving: Collection[int] = ()) -> set[str]:
    """Return those of ``snapshots`` that an open retraining reads, or that a version not in ``leaving`` was trained on."""
    staying = [ref for ref in work.registry.versions(work.job.name) if ref.version not in leaving]
    facts = [work.registry.facts(ref) for ref in staying]
    used = {row.snapshot for row in _open_retrainings(work)}
    return {name for name in snapshots if name in used or any(training.names_snapshot(name) for training in facts)}


def _older(stores: Stores, moment: datetime, days: int) -> bool:
    """Return whether a moment (UTC unless it says otherwise) is more than so many days ago."""
    return stores.clock() - (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) > timedelta(days=days)


def _remove_publication(work: Workspace, removal: Removal) -> Removal | None:
    """Take a publication back. The run's rows and files go like those of any unpublished run, ``superseded_days`` later."""
    night = removal.night
    if night is None or ledger.published(work.warehouse, work.job.name, night).get(night) != removal.what:
        return None
    unpublish(work, night, f"retention: {removal.reason}")
    return removal


def _remove_run(work: Workspace, removal: Removal) -> Removal | None:
    run = ledger.get(work.warehouse, removal.what, work.job.name)
    rows = pruning.prune(work.warehouse, work.job, run, work.clock())
    if rows is None:
        return None
    RunFolder(work.lake, run).remove()
    return replace(removal, rows=rows)


def _remove_stage(work: Workspace, removal: Removal) -> Removal | None:
    run = ledger.get(work.warehouse, removal.what, work.job.name)
    if not over(work, run):
        return None
    unstage(work, run)
    return removal


def _remove_file(work: Workspace, removal: Removal) -> Removal | None:
    work.lake.remove(removal.what)
    return removal


def _remove_shadow_rows(work: Workspace, removal: Removal) -> Removal | None:
    if removal.night is None:
        return None
    before = work.clock() - timedelta(days=1)  # the night may have been scored again meanwhile
    rows = pruning.remove_shadow_rows(work.warehouse, work.job, removal.night, int(removal.what), before)
    return replace(removal, rows=rows) if rows else None


def _remove_version(work: Workspace, removal: Removal) -> Removal | None:
    with promotions.locked(work.warehouse, work.job.name):
        ref = _version(work, int(removal.what))
        if ref is None or ref.version in _versions_in_use(work):
            return None
        work.registry.remove(ref)
    return removal


def _version(work: Workspace, number: int) -> VersionRef | None:
    return next((ref for ref in work.registry.versions(work.job.name) if ref.version == number), None)


def _remove_snapshot(work: Workspace, removal: Removal) -> Removal | None:
    folder = work.lake.snapshots(work.job.name).get(removal.what)
    if folder is None or _snapshots_named(work, {removal.what}):
        return None
    work.lake.remove_folder(folder, SNAPSHOT_FACTS, SNAPSHOT_ROWS)
    return removal


_REMOVE: dict[Kind, Callable[[Workspace, Removal], Removal | None]] = {
    "publication": _remove_publication,
    "run": _remove_run,
    "rows in the source": _remove_stage,
    "file": _remove_file,
    "shadow predictions": _remove_shadow_rows,
    "predictions on demand": old_requests.remove,
    "model version": _remove_version,
    "training snapshot": _remove_snapshot,
}
"""The function that removes each kind, in the order of removal. It returns None when something needs the thing now."""
