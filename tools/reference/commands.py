"""The page about commands, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from cli.main import EXIT_CODES, app
from tools.reference.markdown import page, prose, table

INTRODUCTION = f"""\
Everything that `nightshift` can do. `JOB` is the name of a file in `jobs/`, a night is a calendar day in the job's timezone,
written YYYY-MM-DD. `nightshift COMMAND --help` prints the same, `nightshift --version` the version, and `nightshift
--install-completion` lets the shell complete commands and options.

{EXIT_CODES}"""


def application() -> TyperGroup:
    """Return the command line `nightshift`, as it takes its arguments apart."""
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def commands() -> str:
    """Return the page: one section for each command, those of a group behind the group's own sentence."""
    parts = ["## nightshift …", *_sections(application(), "nightshift")]
    return page("Commands", INTRODUCTION, parts)


def _sections(group: TyperGroup, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items(), key=lambda pair: (isinstance(pair[1], TyperGroup), pair[0])):
        whole = f"{path} {name}"
        if isinstance(command, TyperGroup):
            yield f"## {whole} …\n\n{prose(command.help)}"
            yield from _sections(command, whole)
        else:
            yield _section(command, whole)


def _section(command: Any, path: str) -> str:
    arguments = [argument for argument in command.params if argument.param_type_name == "argument"]
    options = [
        option for option in command.params if option.param_type_name == "option" and "--help" not in option.opts
    ]
    usage = " ".join([path, *(_shown(argument) for argument in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [(f"`{_shown(argument)}`", _meaning(argument)) for argument in arguments]
    rows += [
        (", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts]), _meaning(option))
        for option in options
    ]
    parts = [f"### {path}", f"```text\n{usage}\n```", prose(command.help)]
    return "\n\n".join(parts + ([table(("argument", "meaning"), rows)] if rows else []))


def _shown(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]")
    return name if argument.required else f"[{name}]"


def _meaning(parameter: Any) -> str:
    required = " Required." if parameter.required and parameter.param_type_name == "option" else ""
    default = parameter.default
    text = f" Default: `{default}`." if default not in (None, False, ()) and not callable(default) else ""
    return f"{prose(parameter.help)}{required}{text}"
