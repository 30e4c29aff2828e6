"""Promotion and rollback: which version is champion from which night on."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from scoring.errors import DeclarationMismatch, NightshiftError, PromotionRefused
from scoring.night import promoted_ref
from scoring.stores import Stores, Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import (
    Promotion,
    describe_prediction,
    ensure_job,
    ledger,
    previous_champion,
    promotions,
    shadows,
)

Why = tuple[str, str, int | None]
"""The reason, the person or program that decided, and the retraining that the version came from."""


def promote(
    work: Workspace,
    version: int,
    reason: str,
    by: str,
    effective_from: date | None = None,
    *,
    retraining_id: int | None = None,
) -> Promotion:
    """Make ``version`` champion from ``effective_from`` on, record why, and point the alias at it.

    ``effective_from`` is a night; by default the next one to be scored (see ``_next_night``) that the version was not
    trained on, and for a job without any promotion the version's own ``until``. The champion it displaces scores the
    next ``promotion.predecessor_nights`` in the shadow. A retraining promotes once: repeated, its promotion stands.
    Raises ``VersionMissing``, ``PromotionRefused`` for a night that the version was trained on, and ``DeclarationMismatch``
    for a version that cannot be scored with the job file as it is.
    """
    ref = work.registry.resolve(work.job.name, version)
    work.registry.job_of(ref, work.job)
    ensure_job(work.warehouse, work.job)
    history = promotions.history_of(work.warehouse, work.job.name)
    if effective_from is None:
        promotion = _crown(work, ref, history, "promotion", (reason, by, retraining_id))
    else:
        _refuse_trained_on(work, ref, effective_from)
        promotion = _record(work.stores, ref, effective_from, "promotion", (reason, by, retraining_id))
    _describe(work)
    before = promotions.in_effect([earlier for earlier in history if earlier != promotion], promotion.effective_from)
    if before is not None and before.model_version != version:
        _watch_predecessor(work, before, promotion)
    return promotion


def rollback(work: Workspace, reason: str, by: str, to: int | None = None) -> Promotion:
    """Make the champion before the present one (or version ``to``) champion from the next night on.

    A version trained on later nights than that takes over after the last of them. Raises ``ChampionMissing`` when there
    is no earlier champion, and ``DeclarationMismatch`` when it cannot be scored with the job file as it is.
    """
    history = promotions.history_of(work.warehouse, work.job.name)
    if to is None or not history:
        to = previous_champion(history, work.job)
    ref = work.registry.resolve(work.job.name, to)
    work.registry.job_of(ref, work.job)
    promotion = _crown(work, ref, history, "rollback", (reason, by, None))
    _describe(work)
    return promotion


def _describe(work: Workspace) -> None:
    """Write on the predictions' columns how the latest champion decides."""
    latest = promotions.in_effect(promotions.history_of(work.warehouse, work.job.name), date.max)
    if latest is None:
        return
    words = work.registry.facts(promoted_ref(work.stores, latest)).rule(work.job).decision.words
    describe_prediction(
        work.warehouse,
        work.job,
        f"Decision of the row's model version; of version {latest.model_version}, champion from night "
        f"{latest.effective_from} on: {words}",
    )


def _watch_predecessor(work: Workspace, before: Promotion, successor: Promotion) -> None:
    """Let a dethroned champion score its successor's first nights in the shadow, so that it can take the crown back."""
    if work.job.promotion.predecessor_nights == 0 or before.model_sha256 is None or not _scorable(work, before):
        return
    shadows.start(
        work.warehouse,
        {
            "job": work.job.name,
            "model_version": before.model_version,
            "model_sha256": before.model_sha256,
            "model_uri": before.model_uri,
            "role": "predecessor",
            "champion_version": successor.model_version,
            "first_night": successor.effective_from,
            "nights": work.job.promotion.predecessor_nights,
            "retraining_id": successor.retraining_id,
            "started_at": work.clock(),
        },
    )


def _scorable(work: Workspace, promotion: Promotion) -> bool:
    """Return whether the job file still declares what a champion was trained with. Other faults of it show in the shadow."""
    try:
        work.registry.job_of(promoted_ref(work.stores, promotion), work.job)
    except DeclarationMismatch:
        return False
    except NightshiftError:
        return True
    return True


def _crown(work: Workspace, ref: VersionRef, earlier: list[Promotion], kind: str, why: Why) -> Promotion:
    """Make a version champion from the next night on that it was not trained on and return that promotion.

    Promotions to come, on nights ahead of the clock, are taken over too: each gets a row of its own on the same night.
    """
    until = _trained_until(work, ref)
    night = _next_night(work, earlier, until or work.job.schedule.first_night)
    effective = max(night, until or night)
    if not earlier and until is not None:
        effective = until
    promotion = _record(work.stores, ref, effective, kind, why)
    history = promotions.history_of(work.warehouse, work.job.name)
    place = history.index(
        promotion
    )  # a retraining that is asked again finds its promotion among earlier and later ones
    to_come = {entry.effective_from for entry in history[:place] if entry.effective_from > promotion.effective_from}
    for night in sorted(to_come - {entry.effective_from for entry in history[place + 1 :]}):
        _record(work.stores, ref, night, kind, (f"{why[0]} (in place of what was to come on {night})", why[1], None))
    return promotion


def _trained_until(work: Workspace, ref: VersionRef) -> date | None:
    """Return the first night that a version may be champion of, or None for one whose facts do not say.

    That is the first one whose outcome overlaps none that it was trained on, and the ``--until`` that a person gave.
    """
    facts = work.registry.facts(ref)
    if facts.until is None:
        return None
    overlapping = timedelta(days=max(work.job.label.horizon - 1, 0))
    return max(facts.until + overlapping, facts.asked_until or facts.until)


def _refuse_trained_on(work: Workspace, ref: VersionRef, effective_from: date) -> None:
    until = _trained_until(work, ref)
    if until is None or effective_from >= until:
        return
    raise PromotionRefused(
        f"promotion of version {ref.version} of {ref.job}",
        found=f"effective from {effective_from}",
        expected=f"{until} or later, for it was trained on nights until then",
        next_step=f"leave --effective-from out, or train a version with --until {effective_from}",
    )


def _next_night(work: Workspace, history: list[Promotion], otherwise: date) -> date:
    """Return the night after the last published one that is over, or ``otherwise`` before the first.

    It is never before a promotion on record, which would take the crown again on its own night; but for those on
    nights ahead of the clock: nothing is derived from these.
    """
    settled = ledger.settled(work.warehouse, work.job.name, work.clock())
    night = max(settled) + timedelta(days=1) if settled else otherwise
    tonight = work.clock().astimezone(ZoneInfo(work.job.schedule.timezone)).date()
    return max(
        night, *(promotion.effective_from for promotion in history if promotion.effective_from <= tonight), date.min
    )


def _record(stores: Stores, ref: VersionRef, effective_from: date, kind: str, why: Why) -> Promotion:
    """Write the promotion, with its artifact, point the aliases, and end the stays in the shadow that it decides."""
    reason, by, retraining_id = why
    promotion = Promotion(
        ref.job,
        ref.version,
        effective_from,
        kind,
        reason,
        by,
        stores.clock(),
        model_sha256=ref.sha256,
        model_uri=ref.uri,
        retraining_id=retraining_id,
    )
    with promotions.locked(stores.warehouse, ref.job):
        stores.registry.resolve(ref.job, ref.version)  # which retention may have removed meanwhile
        promotion = promotions.add(stores.warehouse, promotion)
    for shadow in shadows.running(stores.warehouse, ref.job):
        crowned = shadow.model_version == ref.version
        displaced = shadow.role == "predecessor" and shadow.champion_version != ref.version  # else asked for once more
        if crowned or displaced:
            facts = {"state": "passed" if crowned else "ended", "detail": f"version {ref.version} became champion"}
            shadows.end(stores.warehouse, shadow.shadow_id, **facts, ended_at=stores.clock())
    champion = promotions.champion_at(promotions.history_of(stores.warehouse, ref.job), date.max)
    stores.registry.set_alias(ref.job, "champion", champion or ref.version)
    stores.registry.drop_alias(ref.job, "challenger", ref.version)
    return promotion
