"""The command line as a shell runs it: arguments in, text and exit code out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from cli import arguments as command_line
from cli.arguments import open_stores
from cli.main import main
from scoring.settings import Settings, load_settings

SECRET = "s3cr3t-pa55"


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Shell = Callable[..., Said]


def with_password(url: str) -> str:
    """Return the URL with a password, which the embedded server's socket does not ask for."""
    return url.replace("postgres@", f"postgres:{SECRET}@")


@contextmanager
def shell_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """Give what runs a command with the environment of ``settings``; no output holds a password, no failure a traceback."""
    for name in [name for name in os.environ if name.startswith("NIGHTSHIFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, with_password(value))
    monkeypatch.syspath_prepend(str(settings.jobs_dir.parent))  # where `jobs` is, as in the project's folder
    opened, real = [], open_stores

    def remembered(*arguments):
        opened.append(real(*arguments))
        return opened[-1]

    monkeypatch.setattr(command_line, "open_stores", remembered)  # to close what a process closes at its end
    load_settings.cache_clear()

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["nightshift", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        said = Said(code, *capsys.readouterr())
        assert SECRET not in said.out + said.err
        assert "Traceback" not in said.out + said.err
        return said

    yield run
    load_settings.cache_clear()
    for stores in opened:
        stores.warehouse.engine.dispose()


def done(said: Said) -> str:
    """Return what a command printed that went well."""
    assert said.code == 0, said.err
    return said.out


def refused(said: Said, error: str) -> str:
    """Return the one message of a command that failed with ``error``; nothing else is on stderr."""
    assert (said.code, said.err.startswith(f"{error}: ")) == (1, True), said
    assert said.err.count("\n") == 1, said.err
    return said.err


def cells(output: str) -> list[list[str]]:
    """Return the cells of a printed table, row by row."""
    lines = [line for line in output.splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in lines]


def nightshift(*arguments: object) -> list[str]:
    """Return the words that run a command in a process of its own, whatever folder that begins in."""
    return [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)]
