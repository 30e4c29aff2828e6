"""``nightshift``: the one front door. It has the commands of all modules, some of them in groups."""

from __future__ import annotations

import gc
from types import ModuleType
from typing import Annotated

import typer

from cli import (
    audit,
    backtests,
    console,
    environments,
    erasures,
    exports,
    new_jobs,
    nightly,
    nights,
    performance,
    publications,
    quarantine,
    reasons,
    registrations,
    retrainings,
    serving,
    tables,
    upkeep,
    verdicts,
    versions,
)
from demo import commands
from scoring import __version__
from scoring.private_files import own_files_only

EXIT_CODES = """Exit codes: 0 done; 1 something failed, was held or refused, and the message says what was found, what was
expected and what to do next; 2 the command was not given as its --help says."""


def _app(sentence: str, *parts: ModuleType, epilog: str | None = None, completion: bool = False) -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True, add_completion=completion, pretty_exceptions_enable=False, help=sentence, epilog=epilog
    )
    for part in parts:
        app.registered_commands += part.app.registered_commands
    return app


app = _app(
    "Nightly batch scoring: every night scored exactly once, with the model that was champion that night.",
    nights,
    nightly,
    publications,
    reasons,
    audit,
    quarantine,
    erasures,
    exports,
    versions,
    registrations,
    environments,
    serving,
    backtests,
    new_jobs,
    upkeep,
    epilog=EXIT_CODES,
    completion=True,
)
app.add_typer(
    _app("Verdicts, reports, performance and decisions of scored nights.", verdicts, performance), name="drift"
)
app.add_typer(_app("Retrainings, and versions in the shadow of the champion.", retrainings), name="retrain")
app.add_typer(serving.keys, name="api-key")
app.add_typer(_app("The demo on real flights.", commands), name="demo")


def _version(flag: bool) -> None:
    if flag:
        from scoring.settings import code_version, load_settings

        console.OUT.print(f"nightshift {__version__}, code {code_version(load_settings())}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Nightly batch scoring: every night scored exactly once, with the model that was champion that night."""


def main() -> None:
    """Run the command line."""
    own_files_only()
    try:
        with tables.printed():
            console.run(lambda: app(prog_name="nightshift"))
    finally:
        gc.freeze()  # Python looks for garbage among all objects before it ends: 0.4 CPU seconds, after a night was scored
