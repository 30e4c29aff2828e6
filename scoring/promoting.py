"""Promotion and rollback: which version is champion from which night on."""

from __future__ import annotations

from datetime import date, timedelta

from scoring.decision import Rule
from scoring.errors import ChampionMissing
from scoring.job import Job
from scoring.registry import VersionRef
from scoring.stores import Stores
from scoring.warehouse import ledger, promotions, shadows
from scoring.warehouse.promotions import Promotion
from scoring.warehouse.schema import describe_prediction, ensure_job

Why = tuple[str, str, int | None]
"""The reason, who said so, and the retraining that the version came from."""


def promote(
    stores: Stores, job: Job, version: int, reason: str, by: str, effective_from: date | None = None, *,
    retraining_id: int | None = None,
) -> Promotion:  # fmt: skip
    """Make ``version`` champion from ``effective_from`` on, record why, and point the alias at it.

    ``effective_from`` is a night; by default the next one to be scored (see ``_next_night``), and for a job without any
    promotion the version's own ``until``. The champion it displaces scores the next ``promotion.predecessor_nights`` in
    the shadow. A retraining promotes once: asked again, what it did stands. Raises ``VersionMissing``.
    """
    ref = stores.registry.resolve(job.name, version)
    ensure_job(stores.warehouse, job)
    known = promotions.history_of(stores.warehouse, job.name)
    if effective_from is None:
        until = date.fromisoformat(stores.registry.facts(ref)["until"])
        effective_from = _next_night(stores, job, known, until) if known else until
    made = _record(stores, ref, effective_from, "promotion", (reason, by, retraining_id))
    _describe(stores, job)
    before = promotions.in_effect([one for one in known if one != made], made.effective_from)
    if before is not None and before.model_version != version:
        _watch_predecessor(stores, job, before, made)
    return made


def promoted_ref(stores: Stores, promotion: Promotion) -> VersionRef:
    """Return the version of a promotion, whose artifact stands in it; the registry is asked for rows from before that."""
    if promotion.model_sha256 and promotion.model_uri:
        return VersionRef(promotion.job, promotion.model_version, promotion.model_sha256, promotion.model_uri)
    return stores.registry.resolve(promotion.job, promotion.model_version)


def rollback(stores: Stores, job: Job, reason: str, by: str, to: int | None = None) -> Promotion:
    """Make the champion before the present one (or version ``to``) champion from the next night on.

    Raises ``ChampionMissing`` when there is no earlier champion.
    """
    known = promotions.history_of(stores.warehouse, job.name)
    if to is None or not known:
        to = previous_champion(known, job)
    ref = stores.registry.resolve(job.name, to)
    effective = _next_night(stores, job, known, known[-1].effective_from)
    made = _record(stores, ref, effective, "rollback", (reason, by, None))
    _describe(stores, job)
    return made


def _describe(stores: Stores, job: Job) -> None:
    """Write on the predictions' columns how the latest champion decides."""
    latest = promotions.in_effect(promotions.history_of(stores.warehouse, job.name), date.max)
    if latest is None:
        return
    words = Rule.of_facts(stores.registry.facts(promoted_ref(stores, latest)), job).decision.words
    describe_prediction(
        stores.warehouse, job,
        f"Decision of the row's model version; of version {latest.model_version}, champion from night "
        f"{latest.effective_from} on: {words}",
    )  # fmt: skip


def _watch_predecessor(stores: Stores, job: Job, before: Promotion, made: Promotion) -> None:
    """Let a dethroned champion score its successor's first nights in the shadow, so that it can take the crown back."""
    if job.promotion.predecessor_nights == 0 or before.model_sha256 is None:
        return
    shadows.start(
        stores.warehouse,
        {
            "job": job.name, "model_version": before.model_version, "model_sha256": before.model_sha256,
            "model_uri": before.model_uri, "role": "predecessor", "champion_version": made.model_version,
            "first_night": made.effective_from, "nights": job.promotion.predecessor_nights,
            "retraining_id": made.retraining_id, "started_at": stores.clock(),
        },
    )  # fmt: skip


def previous_champion(known: list[Promotion], job: Job) -> int:
    """Return the version that the present champion displaced; one that was rolled back is never gone back to."""
    crowned: list[int] = []
    for one in sorted(known, key=lambda promotion: promotion.effective_from):  # of equals, in the order of record
        if one.kind == "rollback" and one.model_version in crowned:
            del crowned[crowned.index(one.model_version) + 1 :]
        elif crowned[-1:] != [one.model_version]:
            crowned.append(one.model_version)
    if len(crowned) > 1:
        return crowned[-2]
    raise ChampionMissing(
        f"rollback of {job.name}",
        found=f"promotions of versions {[one.model_version for one in known]}",
        expected="an earlier champion",
        next_step="name a version with --to",
    )


def _next_night(stores: Stores, job: Job, known: list[Promotion], otherwise: date) -> date:
    """Return the night after the last published one, or ``otherwise`` before the first.

    It is never before a promotion on record: that one would take the crown again on its own night.
    """
    published = ledger.published(stores.warehouse, job.name)
    night = max(published) + timedelta(days=1) if published else otherwise
    return max(night, *(one.effective_from for one in known))


def _record(stores: Stores, ref: VersionRef, effective_from: date, kind: str, why: Why) -> Promotion:
    """Write the promotion, with its artifact, point the aliases, and end what was in the shadow for the crown."""
    reason, by, retraining_id = why
    promotion = Promotion(
        ref.job, ref.version, effective_from, kind, reason, by, stores.clock(), model_sha256=ref.sha256, model_uri=ref.uri,
        retraining_id=retraining_id,
    )  # fmt: skip
    with promotions.locked(stores.warehouse, ref.job):
        stores.registry.resolve(ref.job, ref.version)  # which retention may have removed meanwhile
        promotion = promotions.add(stores.warehouse, promotion)
    for one in shadows.running(stores.warehouse, ref.job):
        crowned = one["model_version"] == ref.version
        if crowned or one["role"] == "predecessor":
            facts = {"state": "passed" if crowned else "ended", "detail": f"version {ref.version} became champion"}
            shadows.end(stores.warehouse, one["shadow_id"], **facts, ended_at=stores.clock())
    champion = promotions.champion_at(promotions.history_of(stores.warehouse, ref.job), date.max)
    stores.registry.set_alias(ref.job, "champion", champion or ref.version)
    stores.registry.drop_alias(ref.job, "challenger", ref.version)
    return promotion
