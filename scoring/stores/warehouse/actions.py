"""Who did what: promoted, rolled back, released, discarded, unpublished, rescored, retired, approved, erased."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from scoring.settings import system_user
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.tables import fixed_table

_RECORDED = "job action subject reason done_by done_at"
ACTIONS = fixed_table("actions", f"action_id {_RECORDED} login")


@dataclass(frozen=True)
class Action:
    """One thing that somebody did by hand or by an answer."""

    job: str | None
    """The job, or None for what is about no single one."""
    action: str
    """What was done, a verb in the past: ``released``."""
    subject: str
    """What it was done to: ``run …``, ``version …``, ``night …``."""
    reason: str | None
    done_at: datetime
    done_by: str = field(default_factory=system_user)
    """The login in Airflow, else the operating system's user of this process: never what a variable says."""
    login: str | None = None
    """The login in the warehouse that wrote the record, as the server knows it. Only read, never written."""


def record_action(connection: sa.Connection, action: Action) -> None:
    """Record an action in the transaction that does it, so that neither is there without the other."""
    values = {name: getattr(action, name) for name in _RECORDED.split()}
    connection.execute(sa.insert(ACTIONS).values(values))


def actions_of(warehouse: Warehouse, job: str | None = None, newest: int | None = None) -> list[Action]:
    """Return the actions of a job, or all, oldest first; of them the ``newest`` ones, if that is given."""
    query = sa.select(*(ACTIONS.c[name] for name in Action.__dataclass_fields__)).order_by(ACTIONS.c.action_id.desc())
    if job is not None:
        query = query.where(ACTIONS.c.job == job)
    return [Action(**row) for row in reversed(warehouse.rows(query.limit(newest)))]
