"""The whole command line as `nightshift` gives it, for the reference and for the tests of the docs.

Today it is put together here from the three programs that there are. Once ``cli.main`` has an ``app``, ``application``
returns ``typer.main.get_command(app)`` and everything else in this file goes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_name
from typer.models import CommandInfo

import drift.__main__  # noqa: F401 - its commands are there once it is imported
from demo import __main__ as demo
from drift import command_line, retraining_commands
from scoring import __main__ as scoring
from scoring import console

RENAMED = {"explain-night": "explain", "diff-nights": "diff", "retrain": "run", "retrainings": "list"}
"""Today's name of a command, and its name behind `nightshift` in the group that it belongs to."""
HELP = "Nightly batch scoring: every night scored exactly once, with the model that was champion that night."


def application() -> TyperGroup:
    """Return the command line `nightshift` with its groups `drift`, `retrain` and `demo`."""
    command = get_command(_application())
    command.name = "nightshift"
    assert isinstance(command, TyperGroup)
    return command


def _application() -> typer.Typer:
    watching = [command for command in command_line.app.registered_commands if not _retrains(command)]
    retraining = [command for command in command_line.app.registered_commands if _retrains(command)]
    app = _group(HELP, scoring.app.registered_commands)
    app.add_typer(_group("Verdicts, reports, performance and decisions of scored nights.", watching), name="drift")
    app.add_typer(_group("Retrainings, and versions in the shadow of the champion.", retraining), name="retrain")
    app.add_typer(_group("The demo on real flights.", demo.app.registered_commands), name="demo")
    return app


def _retrains(command: CommandInfo) -> bool:
    return command.callback is not None and command.callback.__module__ == retraining_commands.__name__


def _group(sentence: str, commands: Iterable[CommandInfo]) -> typer.Typer:
    """Return a program of its own with these commands, under their names behind `nightshift`."""
    group = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=sentence)
    for command in commands:
        renamed = copy.copy(command)
        name = command.name or get_command_name(getattr(command.callback, "__name__", ""))
        renamed.name = RENAMED.get(name, name)
        group.registered_commands.append(renamed)
    return group


def main() -> None:
    """Run the command line."""
    console.run(_application())


if __name__ == "__main__":
    main()
