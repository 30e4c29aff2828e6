"""Versions that score in the shadow, and the row of each of their nights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.stores.warehouse import locks
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.monitoring import evidence
from scoring.stores.warehouse.records import Shadow, ShadowNight
from scoring.stores.warehouse.span import Row
from scoring.stores.warehouse.tables import PUBLISHED, SHADOW_NIGHTS, SHADOWS


def start(warehouse: Warehouse, facts: Row) -> Shadow:
    """Record that a version scores in the shadow, and return its row.

    A version that already does in the same role, beside the same champion, keeps its row. Another role ends the earlier row.
    """
    of_version = sa.and_(
        SHADOWS.c.job == facts["job"], SHADOWS.c.model_version == facts["model_version"], SHADOWS.c.ended_at.is_(None)
    )
    with warehouse.transaction() as connection:
        locks.take(connection, f"job {facts['job']}")
        existing = connection.execute(sa.select(SHADOWS).where(of_version)).mappings().first()
        if existing is not None and all(
            existing[name] == facts[name] for name in ("role", "champion_version", "retraining_id")
        ):
            return Shadow(**existing)
        ended = {"state": "ended", "ended_at": facts["started_at"], "detail": f"goes on as {facts['role']}"}
        connection.execute(sa.update(SHADOWS).where(of_version).values(ended))
        row = insert(SHADOWS).values({**facts, "state": "running"})
        return Shadow(**connection.execute(row.returning(*SHADOWS.c)).mappings().one())


def running(warehouse: Warehouse, job: str, night: date | None = None) -> list[Shadow]:
    """Return the versions that score in the shadow, of ``night`` if given, oldest first."""
    query = sa.select(SHADOWS).where(SHADOWS.c.job == job, SHADOWS.c.ended_at.is_(None))
    if night is not None:
        query = query.where(SHADOWS.c.first_night <= night)
    return [Shadow(**row) for row in warehouse.rows(query.order_by(SHADOWS.c.shadow_id))]


def of_job(warehouse: Warehouse, job: str) -> list[Shadow]:
    """Return every version that ever scored in the shadow, oldest first."""
    query = sa.select(SHADOWS).where(SHADOWS.c.job == job).order_by(SHADOWS.c.shadow_id)
    return [Shadow(**row) for row in warehouse.rows(query)]


def of_retraining(warehouse: Warehouse, retraining_id: int) -> Shadow | None:
    """Return the shadow of a retraining's challenger, or None if there is none."""
    query = sa.select(SHADOWS).where(SHADOWS.c.retraining_id == retraining_id, SHADOWS.c.role == "challenger")
    rows = warehouse.rows(query.order_by(SHADOWS.c.shadow_id))
    return Shadow(**rows[-1]) if rows else None


def end(warehouse: Warehouse, shadow_id: int, **facts: Any) -> None:
    """Write how a version in the shadow ended."""
    with warehouse.transaction() as connection:
        connection.execute(sa.update(SHADOWS).where(SHADOWS.c.shadow_id == shadow_id).values(facts))


def save_night(warehouse: Warehouse, facts: Row) -> None:
    """Save the row of a version in the shadow for a run. A second call replaces the row, measurements included."""
    values = {"reason": None, "rows": None, "seconds": None, "disagreement": None, "sums": None, "measured_at": None}
    values |= facts
    row = insert(SHADOW_NIGHTS).values(values)
    with warehouse.transaction() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["run_id", "model_version"], set_=values))


def save_sums(warehouse: Warehouse, run_id: str, version: int, **facts: Any) -> None:
    """Save the losses of the shadow and of the champion on a run's rows with outcomes."""
    same = sa.and_(SHADOW_NIGHTS.c.run_id == run_id, SHADOW_NIGHTS.c.model_version == version)
    with warehouse.transaction() as connection:
        connection.execute(sa.update(SHADOW_NIGHTS).where(same).values(facts))


def nights(warehouse: Warehouse, job: str, version: int | None = None) -> list[ShadowNight]:
    """Return the shadow nights of runs that are published and not provisional, oldest first."""
    joined = sa.join(SHADOW_NIGHTS, PUBLISHED, PUBLISHED.c.run_id == SHADOW_NIGHTS.c.run_id)
    query = sa.select(SHADOW_NIGHTS).select_from(joined).where(SHADOW_NIGHTS.c.job == job, evidence(SHADOW_NIGHTS))
    if version is not None:
        query = query.where(SHADOW_NIGHTS.c.model_version == version)
    ordered = query.order_by(SHADOW_NIGHTS.c.night, SHADOW_NIGHTS.c.model_version)
    return [ShadowNight(**row) for row in warehouse.rows(ordered)]


def beside(rows: Sequence[ShadowNight], shadow: Shadow) -> list[ShadowNight]:
    """Return those of ``rows`` that count for a shadow: nights of its champion, from the shadow's first night on."""
    matching = [
        row
        for row in rows
        if row.model_version == shadow.model_version
        and row.champion_version == shadow.champion_version
        and row.night >= shadow.first_night
    ]
    return matching[: shadow.nights]
