"""One retraining, a function per task: snapshot, train, evaluate, gate, shadow, promote. The record says how far it came."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

from lifecycle import promotion
from lifecycle.comparison import Rivals, card_of, compare, holdout_nights, judge, page_of
from lifecycle.retraining.record import RetrainingRequest, as_begun, begin, end, fail, recorded, snapshot_of, version_of
from lifecycle.shadow import pin
from lifecycle.training import TrainingRequest, load, recipe_of, take, train_on, unseen_from
from scoring.errors import ArtifactMismatch, RetrainingFailed, VersionMissing, described
from scoring.interval import Nights
from scoring.night import promoted_ref
from scoring.progress import Progress, silent
from scoring.stores import Stores, Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import (
    Action,
    Evaluation,
    Promotion,
    Retraining,
    Row,
    Span,
    in_effect,
    monitoring,
    promotions,
    record_action,
    retrainings,
    shadows,
)

BY = "nightshift"


def snapshot(work: Workspace, retraining_id: int, progress: Progress = silent) -> bool:
    """Keep the rows of the window and return whether there is anything to train: other rows, or another recipe, than before."""
    if _promoted(work, retraining_id):
        return True
    with recorded(work.stores, retraining_id, "snapshot") as row:
        recipe_of(work.job)  # what cannot be stored is refused before any row is read
        _require_comparable(work)
        retrainings.record(work.warehouse, retraining_id, job_file=work.job.model_dump(mode="json"))
        training_rows = take(work, Nights(row.since, row.until), progress)
        retrainings.record(work.warehouse, retraining_id, snapshot=training_rows.hash)
        same = None if row.forced or row.model_version else _same_version(work, training_rows.hash, retraining_id)
        if same is None:
            return True
        words = f"version {same} was trained on the same rows (snapshot {training_rows.hash}) with the same recipe"
        end(work.stores, retraining_id, "unchanged", words)
    return False


def _require_comparable(work: Workspace) -> None:
    """Raise ``DeclarationMismatch`` when the champion cannot say anything of the rows that the job file declares today."""
    champion = _champion(work)
    with suppress(ArtifactMismatch, VersionMissing):  # which the comparison tells
        if champion is not None:
            work.registry.job_of(promoted_ref(work.stores, champion), work.job)


def _same_version(work: Workspace, digest: str, retraining_id: int) -> int | None:
    """Return the newest version of the same rows and recipe that another retraining, or a person, trained."""
    own_version = _known_version(work, retraining_id, digest)
    same = work.registry.tagged(work.job.name, snapshot=digest, recipe_sha256=recipe_of(work.job))
    return max((ref.version for ref in same if ref.version != own_version), default=None)


def _known_version(work: Workspace, retraining_id: int, digest: str) -> int | None:
    """Return the version that an interrupted try of this retraining registered, or None if it came to none."""
    refs = work.registry.tagged(work.job.name, retraining_id=retraining_id, snapshot=digest)
    return refs[0].version if refs else None


def train(work: Workspace, retraining_id: int, progress: Progress = silent) -> int:
    """Train on the snapshot, make the version the challenger, and return its number. Repeated, it gives the same version."""
    if _promoted(work, retraining_id):
        return version_of(retrainings.get(work.warehouse, retraining_id))
    with recorded(work.stores, retraining_id, "train") as row:
        work = as_begun(work, row)
        if row.model_version is None:
            training_rows = load(work, snapshot_of(row))
            champion = _champion(work)
            most = work.job.training.holdout_nights
            if champion is not None:
                seen = work.registry.facts(promoted_ref(work.stores, champion)).seen
                new = (row.until - unseen_from(work.job, seen.until)).days
                most = holdout_nights(new, most, work.job.promotion.min_nights)
            version = _known_version(work, retraining_id, training_rows.hash)
            if version is None:
                version = train_on(work, training_rows, progress, TrainingRequest(most, retraining_id)).ref.version
            number = champion.model_version if champion else None
            retrainings.record(work.warehouse, retraining_id, model_version=version, champion_version=number)
        version = version_of(retrainings.get(work.warehouse, retraining_id))
        work.registry.set_alias(work.job.name, "challenger", version)
        return version


def evaluate(work: Workspace, retraining_id: int) -> None:
    """Compare the challenger with the champion and keep what was found as the version's model card."""
    if _promoted(work, retraining_id):
        return
    with recorded(work.stores, retraining_id, "evaluate") as row:
        work = as_begun(work, row)
        ref = work.registry.resolve(work.job.name, version_of(row))
        champion = _champion(work)
        training_rows = load(work, snapshot_of(row))
        evaluation = compare(work, ref, training_rows, _rivals(work, row, champion))
        number = champion.model_version if champion else None
        retrainings.record(work.warehouse, retraining_id, champion_version=number)
        _keep_card(work.stores, ref, card_of(work, ref, evaluation, row))


def _rivals(work: Workspace, row: Retraining, champion: Promotion | None) -> Rivals:
    """Return whom the challenger is compared with, and since when the outcome is known to follow other rules."""
    if champion is None:
        return Rivals()
    proven = _proven(work, champion)
    other = None if proven.model_version == champion.model_version else promoted_ref(work.stores, proven)
    return Rivals(promoted_ref(work.stores, champion), other, _changed_on(work.stores, row))


def _proven(work: Workspace, champion: Promotion) -> Promotion:
    """Return the last promotion that was proven to be better: by its gate, or by a person's word, or the first one."""
    history = promotions.history_of(work.warehouse, work.job.name)
    present = {ref.version for ref in work.registry.versions(work.job.name)}
    latest = champion
    for entry in reversed(history[: history.index(champion) + 1]):
        if entry.model_version not in present:
            break
        latest = entry
        card = retrainings.card(work.warehouse, work.job.name, entry.model_version)
        judgement = (card["gate"] or {}) if card is not None and entry.retraining_id is not None else {}
        if judgement.get("proven", True):
            break
    return latest


def _changed_on(stores: Stores, row: Retraining) -> date | None:
    """Return the first night of the change that was known when the retraining was asked for, or None."""
    decided = monitoring.decisions(stores.warehouse, Span(row.job, Nights.of(row.night)))
    night = decided[-1].inputs.get("changed_on") if decided else None
    return date.fromisoformat(night) if night else None


def gate(work: Workspace, retraining_id: int) -> bool:
    """Return whether the challenger passes the gate. The gate's checks go into the record and the model card."""
    if _promoted(work, retraining_id):
        return True
    with recorded(work.stores, retraining_id, "gate") as row:
        work = as_begun(work, row)
        ref = work.registry.resolve(work.job.name, version_of(row))
        card = retrainings.card(work.warehouse, work.job.name, ref.version)
        if card is None:
            raise RetrainingFailed(
                f"version {ref.version} of {work.job.name}", found="no model card", next_step="clear evaluate"
            )
        judgement = judge(Evaluation.from_json(card["evaluation"]), work.job.promotion, work.job.task.loss)
        retrainings.record(work.warehouse, retraining_id, gate=judgement.as_dict())
        _keep_card(work.stores, ref, {**card, "gate": judgement.as_dict()})
        if not judgement.passed:
            end(work.stores, retraining_id, "refused", f"gate: {judgement.reason}")
        elif work.job.promotion.promote == "human":
            retrainings.record(work.warehouse, retraining_id, stage="approve")
    return judgement.passed


def start_shadow(work: Workspace, retraining_id: int) -> None:
    """Let the challenger score the next nights in the shadow. That happens once, and only beside a champion."""
    with recorded(work.stores, retraining_id, "shadow") as row:
        if row.champion_version is not None and shadows.of_retraining(work.warehouse, retraining_id) is None:
            pin(work, version_of(row), work.job.promotion.shadow_nights, retraining_id)


def shadow_passed(stores: Stores, retraining_id: int) -> bool | None:
    """Return whether the challenger did well in the shadow, or None while that is open. A first version needs none."""
    row = retrainings.get(stores.warehouse, retraining_id)
    if row.stage != "shadow" or row.champion_version is None:
        return row.state != "refused"
    shadow = shadows.of_retraining(stores.warehouse, retraining_id)
    if shadow is None or shadow.open:
        return None
    if shadow.state != "passed":
        end(stores, retraining_id, "refused", f"shadow: {shadow.detail}")
    return shadow.state == "passed"


def promote(work: Workspace, retraining_id: int, by: str = BY) -> Promotion:
    """Make the challenger champion from the next night to be scored on. When the task is repeated, the recorded promotion stands.

    Raises ``RetrainingFailed`` when another version became champion since the comparison.
    """
    with recorded(work.stores, retraining_id, "promote") as row:
        champion = _champion(work)
        number = champion.model_version if champion else None
        if number not in (row.champion_version, row.model_version):
            raise RetrainingFailed(
                f"promotion of version {row.model_version} of {work.job.name}",
                found=f"version {number} is champion now",
                expected=f"version {row.champion_version}, as when they were compared",
                next_step="clear evaluate",
            )
        if by != BY and not _promoted(work, retraining_id):
            _record_approval(work, row, by)
        why = f"retraining {retraining_id}: {(row.gate or {})['reason']}"
        successor = promotion.promote(work, version_of(row), why, by, retraining_id=retraining_id)
        end(
            work.stores,
            retraining_id,
            "promoted",
            f"version {successor.model_version} is champion from night {successor.effective_from} on",
        )
    return successor


def _record_approval(work: Workspace, row: Retraining, by: str) -> None:
    """Record who said yes. The promotion that follows has a record of its own."""
    subject = f"retraining {row.retraining_id}: version {row.model_version}"
    with work.warehouse.transaction() as connection:
        record_action(connection, Action(row.job, "approved", subject, row.reason, work.clock(), by))


def retrain(work: Workspace, request: RetrainingRequest, progress: Progress = silent) -> Retraining:
    """Do a whole retraining without Airflow and return it. It stays open while it waits for a shadow or a person."""
    row = begin(work, request)
    number = row.retraining_id
    try:
        if row.state == "running":
            _run(work, number, progress)
    except Exception as error:  # the record says failed, then it is raised again
        fail(work.stores, number, described(error))
        raise
    return retrainings.get(work.warehouse, number)


def _run(work: Workspace, number: int, progress: Progress) -> None:
    if not snapshot(work, number, progress):
        return
    train(work, number, progress)
    evaluate(work, number)
    if not gate(work, number):
        return
    if work.job.promotion.promote == "gate":
        promote(work, number)
    elif work.job.promotion.promote == "shadow":
        start_shadow(work, number)
        if shadow_passed(work.stores, number):  # a first version needs none
            promote(work, number)


def resume(work: Workspace, retraining_id: int, by: str) -> Retraining:
    """Go on with a retraining that waited for its shadow or for a person (``by`` says yes) and return it."""
    row = retrainings.get(work.warehouse, retraining_id)
    if row.state == "running" and row.stage == "shadow" and shadow_passed(work.stores, retraining_id):
        promote(work, retraining_id)
    elif row.state == "running" and row.stage == "approve":
        promote(work, retraining_id, by)
    return retrainings.get(work.warehouse, retraining_id)


def _promoted(work: Workspace, retraining_id: int) -> bool:
    """Return whether the retraining's promotion is on record: then the tasks before it have nothing left to do."""
    history = promotions.history_of(work.warehouse, work.job.name)
    return any(entry.retraining_id == retraining_id for entry in history)


def _champion(work: Workspace) -> Promotion | None:
    return in_effect(promotions.history_of(work.warehouse, work.job.name), date.max)


def _keep_card(stores: Stores, ref: VersionRef, card: Row) -> None:
    """Keep a card in the warehouse, for the pages, and with the version."""
    facts = {"job": ref.job, "model_version": ref.version, "card": card, "made_at": stores.clock()}
    retrainings.save_card(stores.warehouse, facts)
    for name, content in page_of(card).items():
        stores.registry.attach(ref, name, content)
