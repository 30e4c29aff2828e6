"""Who did what, for people who review."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import tables
from cli.arguments import open_installation

app = typer.Typer()


@app.command("audit")
def audit_actions(
    name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; all by default.")] = None,
    newest: Annotated[int | None, typer.Option(min=1, help="Only so many of the newest actions; default: all.")] = None,
    as_json: tables.Json = False,
) -> None:
    """List who promoted, rolled back, approved, released, discarded, unpublished, rescored, accepted, retired or erased what.

    And when. Who it was comes from the login in Airflow, or from the operating system's user that ran the command.
    """
    from scoring.stores.warehouse import actions_of

    rows = [
        (action.done_at, action.done_by, action.action, action.job, action.subject, action.reason, action.login)
        for action in actions_of(open_installation().warehouse, name, newest)
    ]
    columns = ("at", "by", "action", "job", "what", "reason", "warehouse login")
    tables.table(f"actions of {name}" if name else "actions", columns, rows, key="actions")
