"""Roles of Airflow's UI under the FAB auth manager, and its first user: ``python -m orchestration.accounts PASSWORD_FILE``.

``Admin`` and ``Viewer`` are Airflow's own; ``Reviewer`` may also answer approvals, ``Operator`` may run nights but not approve.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scoring.errors import SettingsError

READ, CREATE, EDIT, DELETE, MENU = "can_read", "can_create", "can_edit", "can_delete", "menu_access"
ROLES: dict[str, list[tuple[str, str]]] = {
    "Reviewer": [(EDIT, "HITL Detail"), (MENU, "HITL Detail"), (EDIT, "DAGs")],
    "Operator": [
        (EDIT, "DAGs"),
        (CREATE, "DAG Runs"),
        (EDIT, "DAG Runs"),
        (CREATE, "Task Instances"),
        (EDIT, "Task Instances"),
        (CREATE, "Backfills"),
        (EDIT, "Backfills"),
        (DELETE, "Backfills"),
    ],
}
"""What a role may do beyond ``Viewer``, in FAB's words. Airflow takes an answer to an approval from those only who may edit its
DAG, which is to pause it."""


def set_up(manager: Any, password: str) -> list[str]:
    """Make the roles and the user admin unless they are there, and return what each is now. Safe to repeat."""
    manager.sync_roles()
    look = [
        (permission.action.name, permission.resource.name) for permission in manager.find_role("Viewer").permissions
    ]
    manager.bulk_sync_roles([{"role": name, "perms": look + more} for name, more in ROLES.items()])
    lines = [f"role {name}" for name in ("Admin", "Viewer", *ROLES)]
    user = manager.find_user(username="admin")
    if user is None:
        made = manager.add_user("admin", "First", "User", "admin@localhost", manager.find_role("Admin"), password)
        if not made:
            raise SettingsError("user admin", found="FAB did not make it", next_step="read the log above")
        return [*lines, "user admin: made"]
    return [*lines, "user admin: is there; its password stays"]


def main(arguments: list[str]) -> int:
    """Set the roles and the first user up, print what there is, and return the exit code."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    if len(arguments) != 1:
        print("usage: python -m orchestration.accounts PASSWORD_FILE", file=sys.stderr)
        return 2
    password = Path(arguments[0]).read_text(encoding="utf-8").strip()
    with get_application_builder() as builder:
        print("\n".join(set_up(builder.sm, password)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
