"""Which model version is champion from which night on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.errors import ChampionMissing
from scoring.job import Job
from scoring.stores.warehouse import locks
from scoring.stores.warehouse.actions import Action, record_action
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.tables import PROMOTIONS


@dataclass(frozen=True)
class Promotion:
    """One decision that a version is champion from ``effective_from`` on."""

    job: str
    model_version: int
    effective_from: date
    kind: str
    reason: str
    promoted_by: str
    promoted_at: datetime
    model_sha256: str | None = None
    model_uri: str | None = None
    """URI of the version's files. It is None in old rows, like ``model_sha256``."""
    retraining_id: int | None = None
    """The retraining that made the version, or None for promotions by a person and for rollbacks."""


@contextmanager
def locked(warehouse: Warehouse, job: str) -> Iterator[None]:
    """Hold the lock of a job's versions, under which versions are promoted and removed."""
    with warehouse.transaction() as connection:
        locks.take(connection, f"job {job}")
        yield


def add(warehouse: Warehouse, promotion: Promotion) -> Promotion:
    """Record a promotion or rollback and return it. For a retraining that has promoted already, return that promotion."""
    row = insert(PROMOTIONS).values(vars(promotion)).on_conflict_do_nothing(index_elements=["retraining_id"])
    with warehouse.transaction() as connection:
        if connection.execute(row.returning(PROMOTIONS.c.promotion_id)).first() is not None:
            record_action(connection, _action(promotion))
            return promotion
    history = history_of(warehouse, promotion.job)
    return next(entry for entry in history if entry.retraining_id == promotion.retraining_id)


def _action(promotion: Promotion) -> Action:
    subject = f"version {promotion.model_version} from night {promotion.effective_from}"
    done = "rolled back" if promotion.kind == "rollback" else "promoted"
    return Action(promotion.job, done, subject, promotion.reason, promotion.promoted_at, promotion.promoted_by)


def history_of(warehouse: Warehouse, job: str) -> list[Promotion]:
    """Return all promotions of a job in the order in which they were recorded."""
    columns = [PROMOTIONS.c[name] for name in Promotion.__dataclass_fields__]
    query = sa.select(*columns).where(PROMOTIONS.c.job == job).order_by(PROMOTIONS.c.promotion_id)
    with warehouse.transaction() as connection:
        return [Promotion(*row) for row in connection.execute(query)]


def champion_at(promotions: list[Promotion], night: date) -> int | None:
    """Return the version that was champion at ``night``, or None if there was none."""
    promotion = in_effect(promotions, night)
    return promotion.model_version if promotion else None


def in_effect(promotions: list[Promotion], night: date) -> Promotion | None:
    """Return the promotion that made the champion of ``night``: of those effective by then, the latest.

    Of several that take effect on the same night, the one recorded last counts. None if there is none.
    """
    effective = [promotion for promotion in promotions if promotion.effective_from <= night]
    newest_first = reversed(effective)  # max keeps the first of equals
    return max(newest_first, key=lambda promotion: promotion.effective_from, default=None)


def previous_champion(history: list[Promotion], job: Job) -> int:
    """Return the champion before the present one. It is never a version that was rolled back.

    Nor is it a version whose promotion was still to come when the champion before it took over its night.
    """
    crowned: list[Promotion] = []
    for promotion in sorted(
        history, key=lambda promotion: promotion.effective_from
    ):  # of equals, in the order of record
        versions = [before.model_version for before in crowned]
        if promotion.kind == "rollback" and promotion.model_version in versions:
            del crowned[versions.index(promotion.model_version) + 1 :]
        elif _takes_over(crowned, promotion):
            crowned.pop()
        elif versions[-1:] != [promotion.model_version]:
            crowned.append(promotion)
    if len(crowned) > 1:
        return crowned[-2].model_version
    raise ChampionMissing(
        f"rollback of {job.name}",
        found=f"promotions of versions {[promotion.model_version for promotion in history]}",
        expected="an earlier champion",
        next_step="name a version with --to",
    )


def _takes_over(crowned: list[Promotion], promotion: Promotion) -> bool:
    """Return whether a promotion gives the first night of the last champion back to the champion before it."""
    if len(crowned) < 2 or crowned[-2].model_version != promotion.model_version:
        return False
    return crowned[-2].effective_from < crowned[-1].effective_from == promotion.effective_from
