"""The environment of a version: the libraries that it was made with."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import console, tables
from cli.arguments import JobName, open_job
from scoring.errors import VersionMissing

app = typer.Typer()


@app.command("environment")
def make_environment(
    name: JobName,
    version: Annotated[int, typer.Argument(help="Number of the model version.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be installed, and install nothing.")
    ] = False,
    as_json: tables.Json = False,
) -> None:
    """Install the libraries that a version was made with beside those of today, unless they are there.

    Nights with the version then use them if these libraries give its golden rows other bits.
    """
    from scoring.stores.registry import PICKLE, Environments, Needed, changed

    work = open_job(name)
    facts = work.registry.facts(work.registry.resolve(name, version))
    needed = Needed.of(facts)
    if needed is None:
        raise VersionMissing(
            f"environment of version {version} of {name}",
            found=f"format {facts.format or PICKLE}, and {len(facts.library_versions)} libraries in its facts",
            expected=f"a version of format {PICKLE}, and the libraries that it was made with, as every one since 1.0 has",
            next_step="train a new version",
        )
    tables.table(
        f"version {version} of {name} was made with Python {needed.python} and", ("package", "version"), needed.packages
    )
    differing = changed(facts)
    console.OUT.print(f"other libraries now: {', '.join(differing) or 'none'}", soft_wrap=True, highlight=False)
    if not dry_run:
        with console.step(f"installing {needed.words}"):
            folder = Environments.of(work.settings).make(needed)
        console.OUT.print(f"{needed.words}: {folder}", soft_wrap=True, highlight=False)
