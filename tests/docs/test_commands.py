"""Every command on the pages: it parses, and what is not marked as not run is run, as the page has it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from threadpoolctl import threadpool_limits
from typer.core import TyperGroup

from lifecycle.promotion import promote
from lifecycle.training import train
from scoring.interval import Nights
from scoring.job import find_job
from scoring.settings import HOME, Settings, child_environment
from scoring.stores import Stores, embedded, open_stores
from scoring.stores.warehouse import ensure_job
from scoring.stores.workspace import Workspace
from tests.conftest import new_database
from tests.support.docs import INLINE, PAGES, Block, blocks_of, prose_of, shell_blocks
from tests.support.preloaded import commands_of
from tools.reference.commands import application

JOB = "flight_delay"
SINCE, UNTIL = date(2013, 3, 11), date(2013, 4, 1)
"""Three weeks of flights to train on: enough for every command, and quick to fit."""
ALLOWED = re.compile(r"^(nightshift|make|export|sed|pip|pre-commit) ")
"""How a line of a console block begins; anything else needs a look at what it would do on somebody's machine."""


def _place(block: Block) -> str:
    return block.place


def unparsable(arguments: list[str]) -> str | None:
    """Return why the command line does not take these arguments; None if it does."""
    command: Any = application()
    path, rest = "nightshift", list(arguments)
    while isinstance(command, TyperGroup):
        if rest and rest[0] in {name for one in command.params for name in one.opts}:
            return None  # such as --version, which ends the program
        if not rest or rest[0] not in command.commands:
            return f"{path} has no command {rest[:1]}"
        path, command = f"{path} {rest[0]}", command.commands[rest.pop(0)]
    try:
        command.make_context(path, rest)
    except Exception as error:  # noqa: BLE001 - whatever the command line says is the answer
        return f"{path}: {type(error).__name__}: {error}"
    return None


def unknown_parts(text: str) -> list[str]:
    """Return the words of a command in running text that are no command and no option of it; placeholders pass."""
    words = text.split()[1:]
    command: Any = application()
    while words and isinstance(command, TyperGroup):
        if words[0] in ("…", "COMMAND") or words[0].startswith("--"):
            break
        if words[0] not in command.commands:
            return [words[0]]
        command = command.commands[words.pop(0)]
    if isinstance(command, TyperGroup):
        return []
    options = {name for one in command.params for name in one.opts} | {"--help"}
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]


@pytest.mark.parametrize("block", shell_blocks(), ids=_place)
def test_lines_are_understood_by_the_command_line(block: Block):
    commands = [words for words in block.commands("nightshift") if words[:2] != ["demo", "airflow"]]
    problems = [unparsable(words) for words in commands]
    assert [problem for problem in problems if problem] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_commands_in_running_text_exist(page: Path):
    commands = INLINE.findall(prose_of(page))
    assert {command: unknown_parts(command) for command in commands if unknown_parts(command)} == {}


@pytest.mark.parametrize("block", shell_blocks(), ids=_place)
def test_targets_of_make_exist(block: Block):
    targets = re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [words[0] for words in block.commands("make") if words[0] not in targets] == []


@pytest.mark.parametrize("block", [block for block in shell_blocks() if block.language == "console"], ids=_place)
def test_console_blocks_begin_with_programs_that_are_looked_at(block: Block):
    lines = block.script.splitlines()
    assert lines
    assert [line for line in lines if not ALLOWED.match(line)] == []


# ---------------------------------------------------------------- run as the pages have it


@dataclass(frozen=True)
class Installation:
    """A folder as after `make demo`, smaller: jobs, SQL, a champion of ``flight_delay`` and three scored nights."""

    folder: Path
    stores: Stores
    environment: dict[str, str]

    def run(self, script: str) -> None:
        """Run a script in the folder, and stop at the first command that fails."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-x", "-c", script],
            cwd=self.folder,
            env=self.environment,
            timeout=280,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]


@pytest.fixture(scope="module")
def installation(data_dir: Path, template: str, flights: str, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("installation")
    for name in ("jobs", "sql"):
        shutil.copytree(HOME / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "jobs" / f"{JOB}.yaml"
    file.write_text(file.read_text().replace(f"jobs.{JOB}:build_pipeline", "tests.support.docs:build_few_trees"))
    settings = Settings(
        data_dir=folder / "data",
        jobs_dir=folder / "jobs",
        sql_dir=folder / "sql",
        sources={"demo": SecretStr(embedded.url(data_dir / "postgres", flights))},
        warehouse_url=SecretStr(new_database(data_dir, template)),
        registry_url=SecretStr(new_database(data_dir)),
        code_version="test",
    )
    stores = open_stores(settings, lambda: datetime.now(UTC))
    job = find_job(settings.jobs_dir, JOB)
    ensure_job(stores.warehouse, job)
    with threadpool_limits(1):  # several threads wait for each other on a busy machine
        trained = train(Workspace(stores, job), Nights(SINCE, UNTIL))
    promote(Workspace(stores, job), trained.ref.version, "first version", "tests")
    with commands_of("evidently.presets") as commands:
        installed = Installation(folder, stores, _environment(folder, settings, commands))
        installed.run(f"nightshift run {JOB} --from 2013-04-01 --to 2013-04-03")
        yield installed
    stores.warehouse.engine.dispose()


def _environment(folder: Path, settings: Settings, commands: Path) -> dict[str, str]:
    """Return the environment of a shell in the installation, with ``nightshift`` and ``python`` on its path."""
    programs = Path(sys.executable).parent
    plain = {name: value for name, value in child_environment({}).items() if not name.startswith("NIGHTSHIFT_")}
    return {
        **plain,
        **settings.environment(),
        "PATH": os.pathsep.join([str(commands), str(programs), plain["PATH"]]),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(folder), str(HOME)]),
    }


def run_blocks(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.language in ("console", "bash", "sh") and not block.not_run]


AT_NIGHT = {"fitted-models.md", "sources.md"}
"""Pages whose commands take long and run at night; of each kind there are tests that run with every change."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.nightly] if page.name in AT_NIGHT else [])
        for page in PAGES
        if run_blocks(page)
    ],
    ids=lambda page: str(page.relative_to(HOME)),
)
def test_page_runs_as_it_stands(page: Path, installation: Installation):
    installation.run("\n".join(block.script for block in run_blocks(page)))


ANALYST = [block for block in blocks_of(HOME / "docs" / "people" / "analyst.md") if block.language == "sql"]


@pytest.mark.slow
@pytest.mark.parametrize("block", ANALYST, ids=_place)
def test_query_of_the_analyst_gives_rows(block: Block, installation: Installation):
    columns, rows = installation.stores.warehouse.query(block.text)
    assert columns
    assert rows or "performance_by_night" in block.text


# ---------------------------------------------------------------- the checks themselves can fail


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["scoer"], "has no command"),
        (["drift"], "has no command"),
        (["run", "flight_delay", "--nihgt", "2013-04-01"], "--nihgt"),
        (["promote", "flight_delay", "two"], "integer"),
        (["models"], "Missing parameter"),
    ],
)
def test_a_wrong_line_is_found(arguments: list[str], why: str):
    problem = unparsable(arguments)
    assert problem is not None
    assert why in problem


def test_a_right_line_passes():
    assert unparsable(["run", "flight_delay", "--night", "2013-04-01"]) is None


@pytest.mark.parametrize(
    "text", ["nightshift scoer JOB", "nightshift run JOB --nihgt NIGHT", "nightshift drift run JOB"]
)
def test_a_wrong_command_in_running_text_is_found(text: str):
    assert unknown_parts(text) != []


@pytest.mark.parametrize("text", ["nightshift", "nightshift drift …", "nightshift run JOB --from … --to …"])
def test_a_right_command_in_running_text_passes(text: str):
    assert unknown_parts(text) == []
