"""Runs one call while others run in between, so that what they share through a module or a class shows every time."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")
_HOUSE = Path(__file__).parents[2]
_LIBRARIES = (
    "<frozen",
    *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")),
    *(f"{_HOUSE / package}{os.sep}" for package in ("scoring", "lifecycle")),
)
"""Where code lies that is not the user's own."""
LINES = 60
"""Lines of the user's code before which the other call runs at most, once before each."""
PATIENCE_SECONDS = 2.0
"""How long to wait for the other call, at most. If it waits for a lock of the first call, it ends only after that call."""


def interleaved(call: Callable[[], Result], other: Callable[[], object]) -> Result:
    """Return what ``call`` returns while ``other`` runs, in another thread, before each line of the user's own code.

    The user's own code is what lies neither in a library nor in ``scoring`` or ``lifecycle``. Raises what either of them raises.
    """
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as others:
        return pool.submit(_traced, call, _Intruder(other, others)).result()


class _Intruder:
    """Runs a call, once before each line that is traced."""

    def __init__(self, other: Callable[[], object], pool: ThreadPoolExecutor) -> None:
        self.other, self.pool = other, pool
        self.lines: set[tuple[CodeType, int]] = set()
        self.waiting: Future[object] | None = None

    def at_call(self, frame: FrameType, event: str, value: Any) -> Any:
        """Return what traces the lines of a function, or nothing for a library's."""
        name = frame.f_code.co_filename
        if name.startswith("<"):  # made of a text, such as the __init__ of a dataclass: it is its module's
            name = frame.f_globals.get("__file__") or name
        return None if name.startswith(_LIBRARIES) else self.at_line

    def at_line(self, frame: FrameType, event: str, value: Any) -> Any:
        """Run the other call before a line that was not met yet, unless one still waits for its turn."""
        line = (frame.f_code, frame.f_lineno)
        if event == "line" and line not in self.lines and len(self.lines) < LINES and self.waiting is None:
            self.lines.add(line)
            self.waiting = other = self.pool.submit(self.other)
            try:
                other.result(PATIENCE_SECONDS)
                self.waiting = None
            except TimeoutError:  # it waits for a lock that the first call holds: no more of them
                if other.done():
                    raise
        return self.at_line


def _traced(call: Callable[[], Result], intruder: _Intruder) -> Result:
    before = sys.gettrace()
    sys.settrace(intruder.at_call)
    try:
        return call()
    finally:
        sys.settrace(before)
