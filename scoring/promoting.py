"""Promotion and rollback: which version is champion from which night on."""

from __future__ import annotations

from datetime import date, timedelta

from scoring.errors import ChampionMissing
from scoring.job import Job
from scoring.registry import VersionRef
from scoring.stores import Stores
from scoring.warehouse import ledger, promotions
from scoring.warehouse.promotions import Promotion
from scoring.warehouse.schema import ensure_job


def promote(
    stores: Stores, job: Job, version: int, reason: str, by: str, effective_from: date | None = None
) -> Promotion:
    """Make ``version`` champion from ``effective_from`` on, record why, and point the alias at it.

    ``effective_from`` is a night; by default the next one to be scored (see ``_next_night``), and for a job without any
    promotion the version's own ``until``. Raises ``VersionMissing``.
    """
    ref = stores.registry.resolve(job.name, version)
    ensure_job(stores.warehouse, job)
    if effective_from is None:
        known = promotions.history_of(stores.warehouse, job.name)
        until = date.fromisoformat(stores.registry.facts(ref)["until"])
        effective_from = _next_night(stores, job, known, until) if known else until
    return _record(stores, ref, effective_from, "promotion", (reason, by))


def rollback(stores: Stores, job: Job, reason: str, by: str, to: int | None = None) -> Promotion:
    """Make the champion before the present one (or version ``to``) champion from the next night on.

    Raises ``ChampionMissing`` when there is no earlier champion.
    """
    known = promotions.history_of(stores.warehouse, job.name)
    if to is None or not known:
        to = previous_champion(known, job)
    ref = stores.registry.resolve(job.name, to)
    effective = _next_night(stores, job, known, known[-1].effective_from)
    return _record(stores, ref, effective, "rollback", (reason, by))


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


def _record(stores: Stores, ref: VersionRef, effective_from: date, kind: str, why: tuple[str, str]) -> Promotion:
    """Write the promotion, with its artifact, and point the alias at the champion; ``why`` is the reason and by whom."""
    promotion = Promotion(
        ref.job, ref.version, effective_from, kind, *why, stores.clock(), model_sha256=ref.sha256, model_uri=ref.uri
    )
    with promotions.locked(stores.warehouse, ref.job):
        stores.registry.resolve(ref.job, ref.version)  # which retention may have removed meanwhile
        promotions.add(stores.warehouse, promotion)
    champion = promotions.champion_at(promotions.history_of(stores.warehouse, ref.job), date.max)
    stores.registry.set_alias(ref.job, "champion", champion or ref.version)
    return promotion
