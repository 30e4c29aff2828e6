"""The command that removes an entity's rows from every store."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import console, tables
from cli.arguments import JobName, Reason, open_job

app = typer.Typer()
STAYS = (
    "not touched: the source, which gives the rows again to the next run unless they are removed there; the fitted pipelines; "
    "counts and sums over all rows of a night; reasons in the table actions, which nobody may change; files that `export` wrote; "
    "logs of Airflow; backups; copies of a version's files on other machines, below cache/models of their data folder, until "
    "they load it again",
    "PostgreSQL keeps erased rows on disk until it vacuums the tables, and in its WAL until that is recycled",
)


@app.command("forget")
def forget_entity(
    name: JobName,
    key: Annotated[
        list[str],
        typer.Option("--key", metavar="COLUMN=VALUE", help="A key column and its value; once for each that is known."),
    ],
    remove: Annotated[bool, typer.Option("--apply", help="Remove it; without this it is only shown.")] = False,
    reason: Reason = "asked for",
    as_json: tables.Json = False,
) -> None:
    """Show what the stores hold of an entity, such as a customer; remove it with --apply.

    Rows that have all the given values are the entity's: of runs, predictions, quarantine, training snapshots and the files of
    model versions, published or not. Texts that only these rows have are taken out of pages and sentences. Killed, the same
    command goes on. That it was done, when and by whom is on record; the value is not.
    """
    from lifecycle.erasure import EntityKey, forget, plan
    from scoring.settings import system_user

    work = open_job(name)
    entity = EntityKey.of(work.job, _pairs(key))
    with console.stages(f"forget {name}") as progress:
        inventory = forget(work, entity, reason, system_user(), progress) if remove else plan(work, entity, progress)
    rows = [(item.store, item.places, item.rows) for item in inventory.items]
    title = f"{name}: {'erased' if remove else 'would be erased'}"
    if rows:
        tables.table(title, ("store", "places", "rows"), rows, key="stores")
    console.OUT.print(f"{title}: {sum(item.rows for item in inventory.items):,} in {len(rows)} stores", highlight=False)
    for sentence in (*inventory.notes, *(STAYS if remove else ())):
        console.OUT.print(sentence, highlight=False, soft_wrap=True)


def _pairs(given: list[str]) -> dict[str, str]:
    """Return the values by column. The text after the first = is the value, whatever is in it."""
    pairs = {}
    for item in given:
        column, equals, value = item.partition("=")
        if not equals or column in pairs:
            raise typer.BadParameter("give COLUMN=VALUE, each column once", param_hint="--key")
        pairs[column] = value
    return pairs
