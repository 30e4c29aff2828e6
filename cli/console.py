"""What the command line prints beside tables: progress on a terminal, errors in one line."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from rich.console import Console

from scoring.errors import NightshiftError, described
from scoring.secrets import redact

if TYPE_CHECKING:
    import scoring.progress

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""The libraries make many objects that stay. Looking for garbage among them every 700 new ones (Python's default) is a
good part of loading them: with the collector off, a night of 1,000 rows took 2.7 CPU seconds instead of 3.2."""
# Data are printed as they are, whatever brackets and colons they hold; a line stays one line, for grep and for copying.
OUT = Console(soft_wrap=True, markup=False, emoji=False)
ERR = Console(stderr=True, soft_wrap=True, markup=False, emoji=False)


@contextmanager
def progress(what: str) -> Iterator[scoring.progress.Progress]:
    """Give a function to report progress to. It shows stages, rows and seconds, on a terminal only."""
    if not ERR.is_terminal:
        yield lambda stage, rows: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed:,} rows"))
    with Progress(*columns, TimeElapsedColumn(), console=ERR, transient=True) as bars:
        tasks: dict[str, Any] = {}
        lock = Lock()

        def advance(stage: str, rows: int) -> None:
            with lock:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(f"{what}: {stage}", total=None)
                bars.advance(tasks[stage], rows)

        yield advance


@contextmanager
def counted(what: str, total: int) -> Iterator[tuple[scoring.progress.Progress, Callable[[str], None]]]:
    """Give functions to report progress to: of stages, which name the present one, and of items done, by name.

    On a terminal a bar shows how many of ``total`` items are done; elsewhere nothing is shown.
    """
    if not ERR.is_terminal:
        yield (lambda stage, rows: None), (lambda item: None)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.completed} of {task.total}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=ERR, transient=True) as bars:
        bar = bars.add_task(what, total=total)
        yield (
            lambda stage, rows: bars.update(bar, description=f"{what}: {stage}"),
            lambda item: bars.update(bar, advance=1, description=f"{what} {item}"),
        )


@contextmanager
def stages(what: str) -> Iterator[scoring.progress.Progress]:
    """Give a function to report progress to, for stages that follow one another. Each ends as a line of rows and seconds.

    On a terminal the line of the stage under way moves; elsewhere a line is printed when its stage is over.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TextColumn("{task.fields[rows]}"))
    with Progress(*columns, TimeElapsedColumn(), console=ERR, disable=not ERR.is_terminal) as bars:
        names: list[str] = []

        def over() -> None:
            task = bars.tasks[-1]
            bars.update(task.id, total=1, completed=1)
            if bars.disable:
                rows = f", {task.fields['rows']}" if task.fields["rows"] else ""
                ERR.print(f"{task.description}{rows}, {task.elapsed or 0:.1f} s", highlight=False)

        def advance(stage: str, rows: int) -> None:
            if stage not in names:
                if names:
                    over()
                names.append(stage)
                bars.add_task(f"{what}: {stage}", total=None, rows="", count=0)
            task = bars.tasks[-1]
            count = task.fields["count"] + rows
            bars.update(task.id, count=count, rows=f"{count:,} rows" if count else "")

        yield advance
        if names:
            over()


@contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """Give a function that says what is being done: beside a spinner on a terminal, as a line each elsewhere."""
    if not ERR.is_terminal:
        lines: list[str] = []

        def print_once(line: str) -> None:
            if line not in lines:
                lines.append(line)
                ERR.print(line, highlight=False, soft_wrap=True)

        print_once(what)
        yield print_once
        return
    with ERR.status(what) as status:
        yield status.update


class _Redacted(logging.Formatter):
    """What libraries log, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def run(app: Callable[[], None]) -> None:
    """Run a command line. A known failure prints one message and ends with exit code 1, without a traceback."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Redacted())
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Redacted(logging.BASIC_FORMAT))
    try:
        app()
    except NightshiftError as error:
        failure(error)
        sys.exit(1)
    except Exception:  # noqa: BLE001 - a fault of ours: where it happened is printed, without secrets
        ERR.print(redact(traceback.format_exc()), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def failure(error: NightshiftError) -> None:
    """Print a known failure: its name and its message."""
    ERR.print(described(error), style="red", markup=False, highlight=False, soft_wrap=True)
